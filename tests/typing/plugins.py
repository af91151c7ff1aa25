"""What the author of a plugin may write, and what type checkers refuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import assert_type

from gangplank import Adapter, Delivery, DeliveryError, Group, Outcome, RunInfo, Sink, Snapshot, hookimpl, hooks
from gangplank.testing import MemorySink


@hookimpl
def gangplank_run_started(run: RunInfo) -> None:
    assert_type(run.group, Group)
    assert_type(run.name, str | None)
    run.name = "mine"  # type: ignore[misc]


@hookimpl(tryfirst=True)
def gangplank_snapshot(snapshot: Snapshot) -> None:
    assert_type(snapshot.metrics, Mapping[str, float])
    assert_type(snapshot.epoch, int | None)
    snapshot.epoch = 3  # type: ignore[misc]
    snapshot.metrics["loss"] = 0.0  # type: ignore[index]
    snapshot.losses  # type: ignore[attr-defined]  # noqa: B018


@hookimpl
def gangplank_run_finished(run: RunInfo, outcome: Outcome) -> None:
    text: str = outcome
    assert_type(str(run.group), str)
    assert text == "finished"
    assert outcome is Outcome.DONE  # type: ignore[attr-defined]


@hookimpl
def gangplank_delivered(delivery: Delivery) -> None:
    assert_type(delivery.error, DeliveryError | None)
    delivery.error.reason  # type: ignore[union-attr]  # noqa: B018


@hookimpl
def gangplank_info() -> Mapping[str, str]:
    return {"queue": "gpu"}


@hookimpl
def gangplank_open_sink(address: str) -> Sink | None:
    return MemorySink() if address.startswith("memory://") else None


@hookimpl
def gangplank_adapters() -> Iterable[Adapter]:
    return ()


@hookimpl(first=True)  # type: ignore[call-overload, untyped-decorator]
def misspelt() -> None: ...


def registered() -> None:
    hooks.register(SimpleNamespace(gangplank_run_started=gangplank_run_started), "chat")
    hooks.unregister("chat")

    hooks.register(SimpleNamespace())  # type: ignore[call-arg]
    hooks.gangplank_finished  # type: ignore[attr-defined]  # noqa: B018
