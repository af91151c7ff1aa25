"""An embedded gateway: what a Prometheus Pushgateway does, in memory, for laptops and tests.

    with Gateway() as gateway:
        ...  # push to gateway.address, read gateway.metrics()

It gives the answers of the real Pushgateway 1.5.1, down to the digits on the page: tests/test_gateway.py runs against
both. On purpose it differs in this:

- It stays healthy. The real one can be broken for everyone, until it restarts, by one push: to a group whose label is
  not UTF-8, or that differs from another only by `instance=""` (both are answered 400, and yet leave a failure time
  that breaks the page); of `# TYPE x gauge_histogram`; of its own `push_failure_time_seconds` with another type; or to
  `/metrics/job@base64/` with a job that is not base64 (the next push there never gets an answer). Here each is a 400
  and nothing else happens.
- A body that ends early (a connection cut, a gzip stream cut or damaged) is a 400. The real one takes it for whole when
  the cut falls on the end of a line.
- Bodies are text, plain or gzip: delimited protobuf is a 415. More than 64 MiB is a 413.
- A path that is right but for letter case or a final slash is a 404; the real one redirects.
- There is no status page, no `/api/v1`, no persistence, no TLS; on `/metrics` no family about the gateway itself but
  `pushgateway_build_info`, and in HELP no bytes that are not UTF-8. The names of the real one's own families are taken,
  as they are there.
"""

from gangplank.testing.gateway.server import Gateway

__all__ = ["Gateway"]
