"""A server that an Alertmanager posts its alerts to."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """What has been posted so far.

    Attributes:
        url: to post to.
        alerts: in the order in which they came; each has its `labels` and its `annotations`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.alerts: list[dict[str, Any]] = []


@contextlib.contextmanager
def webhook() -> Iterator[Webhook]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.alerts.extend(json.loads(body)["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        posted = Webhook(f"http://127.0.0.1:{server.server_port}/")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield posted
        finally:
            server.shutdown()
            thread.join()
