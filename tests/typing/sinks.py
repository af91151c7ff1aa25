"""What the author of a sink, a handler or a credentials function may write, and what type checkers refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_type

from gangplank import Credentials, DeliveryError, Exporter, Group, Handler, Page, Sink
from gangplank.testing import MemorySink


class Kafka:
    def __init__(self, address: str) -> None:
        self.address = address

    def send(self, page: Page, timeout: float) -> None:
        assert_type(page.group, Group)
        assert_type(page.text(), bytes)
        assert_type(page.identified(), Page)
        raise DeliveryError(f"{self.address} did not answer in {timeout} s", "unreachable", retry_after=30.0)

    def close(self) -> None: ...


class WithoutClose:
    def __init__(self, address: str) -> None: ...

    def send(self, page: Page, timeout: float) -> None: ...


class WithoutTimeout:
    def __init__(self, address: str) -> None: ...

    def send(self, page: Page) -> None: ...

    def close(self) -> None: ...


def sinks() -> None:
    sink: Sink = Kafka("kafka://broker")
    Exporter("kafka://broker", "digits", sink=Kafka)
    Exporter("kafka://broker", "digits", sink=lambda _: sink)

    sink = WithoutClose("")  # type: ignore[assignment]
    sink = WithoutTimeout("")  # type: ignore[assignment]
    Exporter("kafka://broker", "digits", sink=WithoutClose)  # type: ignore[arg-type]
    Exporter("kafka://broker", "digits", sink=sink)  # type: ignore[arg-type]
    DeliveryError("gone", "lost")  # type: ignore[arg-type]
    DeliveryError("gone", "unreachable", False)  # type: ignore[call-arg]


def in_memory(sink: Sink) -> None:
    memory = MemorySink()
    Exporter("memory", "digits", sink=memory)
    assert_type(memory.pages, list[Page])
    assert_type(memory.value("gangplank_run_state", state="running"), float | None)

    memory.value("gangplank_run_epoch", phase=1)  # type: ignore[arg-type]
    sink.pages  # type: ignore[attr-defined]  # noqa: B018


def send_with(
    url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
) -> Callable[[], None]:
    raise NotImplementedError


def send_now(url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes) -> None: ...


def handlers() -> None:
    handler: Handler = send_with
    Exporter("127.0.0.1:9091", "digits", handler=handler)

    handler = send_now  # type: ignore[assignment]
    Exporter("127.0.0.1:9091", "digits", handler=lambda url: lambda: None)  # type: ignore[arg-type]


def token() -> str:
    return "Bearer secret"


def password() -> tuple[str, str]:
    return "me", "secret"


def nothing() -> None: ...


def credentials() -> None:
    given: Credentials = token
    given = password
    Exporter("127.0.0.1:9091", "digits", credentials=given)
    Exporter("127.0.0.1:9091", "digits", credentials=lambda: ("me", "secret"))

    given = nothing  # type: ignore[assignment]
    Exporter("127.0.0.1:9091", "digits", credentials=("me", "secret"))  # type: ignore[arg-type]
