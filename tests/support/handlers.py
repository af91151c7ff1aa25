"""A handler of a user's."""

from __future__ import annotations

from typing import Any


class Recorder:
    """A handler in prometheus_client's contract that records what it is asked to send."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self.error = error

    def __call__(self, url: str, method: str, timeout: float | None, headers: list[Any], data: bytes) -> Any:
        def send() -> None:
            self.calls.append({"url": url, "method": method, "timeout": timeout, "headers": headers, "data": data})
            if self.error:
                raise self.error

        return send
