"""An embedded gateway: what a Prometheus Pushgateway does, in memory, for laptops and tests.

    with Gateway() as gateway:
        ...  # push to gateway.address, read gateway.metrics()

It gives the answers of the real Pushgateway 1.11.2, down to the digits on the page: tests/test_gateway.py runs against
both, and against 1.5.1, from which it differs where the newer one does. On purpose it differs from both in this:

- It stays healthy. The real ones can be broken for everyone, until they restart, by one push: to a group whose label is
  not UTF-8, or that differs from another only by `instance=""` (both are answered 400, and yet leave a failure time
  that breaks the page); or of their own `push_failure_time_seconds` with another type. Here each is a 400 and nothing
  else happens.
- Quoted names, and lines without a name, are a 400. The newer one reads `{"m"} 1` as `m 1`, and takes `{x="1"} 1` for a
  second sample of the metric in the line before it.
- Bodies are text, plain or gzip, not Snappy: delimited protobuf is a 415. More than 64 MiB is a 413.
- A path that is right but for letter case or a final slash is a 404; the real one redirects.
- There is no status page, no `/api/v1`, no persistence, no TLS; on `/metrics` no family about the gateway itself but
  `pushgateway_build_info`, and in HELP no bytes that are not UTF-8. The names of the real one's own families are taken,
  as they are there.
"""

from gangplank.testing.gateway.server import Gateway

__all__ = ["Gateway"]
