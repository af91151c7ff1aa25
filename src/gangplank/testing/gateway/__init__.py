"""An embedded, in-memory Prometheus Pushgateway for development and tests.

    with Gateway() as gateway:
        ...  # push to gateway.address, read gateway.metrics()

It answers as the real Pushgateway 1.11.2 does, down to the digits of numbers: the tests in tests/testing/gateway run
against both, and against 1.5.1, from which it differs as 1.11.2 does. It differs from both deliberately in this:

- One push cannot break it. Some pushes break a real gateway for all its users until it restarts: to a group whose label
  is not UTF-8, or that differs from another only by `instance=""` (it answers 400, but keeps a failure time that breaks
  the page); or of its own `push_failure_time_seconds` with another type. Here each is answered 400, and changes
  nothing.
- Quoted names, and lines without a name, are answered 400. 1.11.2 reads `{"m"} 1` as `m 1`, and `{x="1"} 1` as a second
  sample of the metric in the line before it.
- Bodies are text, plain or gzip, not Snappy: delimited protobuf is answered 415. More than 64 MiB is answered 413.
- A client that is silent, or slower than a minute a request, is disconnected.
- A path that is right except for letter case or a final slash is answered 404; the real one redirects.
- There is no status page, no `/api/v1`, no persistence and no TLS; `/metrics` has no family about the gateway itself
  except `pushgateway_build_info`, and no bytes in HELP that are not UTF-8. The names of the real one's own families are
  reserved, as they are there.
"""

from gangplank.testing.gateway.server import Gateway

__all__ = ["Gateway"]
