"""Outputs that are not computed yet: they are timed until they are, and nobody waits for them."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from gangplank import Drift, PrometheusModel, instrument
from gangplank.predict import waiting
from gangplank.predict.background import Background
from support.predicted import shown
from support.reading import eventually


class Array:
    """An array as JAX has it: it is computed once `computed` is set."""

    shape = (3, 2)

    def __init__(self, error: Exception | None = None) -> None:
        self.computed, self.waited_on = threading.Event(), threading.Event()
        self.error = error
        self.deleted = False

    def is_ready(self) -> bool:
        return self.computed.is_set()

    def is_deleted(self) -> bool:
        return self.deleted

    def block_until_ready(self) -> None:
        self.waited_on.set()
        assert self.computed.wait(20)
        if self.error is not None:
            raise self.error


class CudaTensor:
    """A tensor as torch has it on a device."""

    shape = (3, 2)
    is_cuda = True
    device = "cuda:0"


class Cuda:
    """Torch's module `cuda`: its events come when `reached` is set."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.capturing = False
        self.recorded: list[Any] = []
        self.Event = self.event

    def is_initialized(self) -> bool:
        return True

    def is_current_stream_capturing(self) -> bool:
        return self.capturing

    def current_stream(self, device: Any) -> Any:
        return device, threading.get_ident()

    def event(self, *, blocking: bool) -> Any:
        assert blocking
        assert not self.capturing
        return SimpleNamespace(record=self.recorded.append, synchronize=lambda: self.reached.wait(20))


@pytest.fixture(autouse=True)
def frameworks(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    """Have two frameworks loaded."""
    cuda = Cuda()
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(core=SimpleNamespace(Tracer=())))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    return cuda


def recorded(registry: CollectorRegistry) -> tuple[float | None, ...]:
    """Return samples, calls, calls in flight, and calls that were not timed."""
    return (
        shown(registry, "total"),
        shown(registry, "latency_seconds_count", method="<lambda>"),
        shown(registry, "in_flight"),
        shown(registry, "untimed_total"),
    )


def test_a_call_is_in_flight_and_timed_until_its_output_is_computed(registry: CollectorRegistry) -> None:
    array = Array()
    assert instrument(lambda: array, registry=registry)() is array
    assert array.waited_on.wait(20)
    assert recorded(registry) == (0, 0, 1, 0)
    array.computed.set()
    eventually(lambda: recorded(registry) == (3, 1, 0, 0))
    seconds = shown(registry, "time_seconds_total")
    assert seconds is not None
    assert seconds > 0


def test_it_waits_for_every_part(registry: CollectorRegistry) -> None:
    first, second = Array(), Array()
    instrument(lambda: {"a": first, "b": [second]}, registry=registry)()
    first.computed.set()
    assert second.waited_on.wait(20)
    assert recorded(registry) == (0, 0, 1, 0)
    second.computed.set()
    eventually(lambda: recorded(registry) == (3, 1, 0, 0))


def test_what_is_computed_already_is_recorded_at_once(registry: CollectorRegistry) -> None:
    array = Array()
    array.computed.set()
    instrument(lambda: array, registry=registry)()
    assert recorded(registry) == (3, 1, 0, 0)
    assert not array.waited_on.is_set()


def test_a_computation_that_fails_is_an_error(registry: CollectorRegistry) -> None:
    array = Array(ValueError("out of memory"))
    instrument(lambda: array, registry=registry)()
    array.computed.set()
    eventually(lambda: shown(registry, "errors_total", method="<lambda>", exception="ValueError") == 1)
    eventually(lambda: recorded(registry) == (0, 0, 0, 0))


def test_an_array_that_was_given_to_another_computation_was_computed(registry: CollectorRegistry) -> None:
    array = Array(RuntimeError("Array has been deleted."))
    instrument(lambda: array, registry=registry)()
    array.deleted = True
    array.computed.set()
    eventually(lambda: recorded(registry) == (3, 1, 0, 0))


def test_a_full_queue_loses_no_count(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "queue", Background("few outputs", 2))
    arrays = [Array() for _ in range(5)]
    outputs = iter(arrays)
    measured: Any = instrument(lambda: next(outputs), registry=registry)
    measured()
    assert arrays[0].waited_on.wait(20)
    for _ in range(4):
        measured()
    assert recorded(registry) == (6, 2, 3, 2)
    for array in arrays:
        array.computed.set()
    eventually(lambda: recorded(registry) == (15, 5, 0, 2))


def test_on_cuda_an_event_says_when(registry: CollectorRegistry, frameworks: Cuda) -> None:
    instrument(lambda: [CudaTensor(), CudaTensor()], registry=registry)()
    assert frameworks.recorded == [("cuda:0", threading.get_ident())]  # one, on the stream of the caller
    assert recorded(registry) == (0, 0, 1, 0)
    frameworks.reached.set()
    eventually(lambda: recorded(registry) == (3, 1, 0, 0))


def test_a_check_for_drift_waits_for_the_work_of_the_caller(registry: CollectorRegistry, frameworks: Cuda) -> None:
    checked = threading.Event()

    def check(_x: Any, _y: Any) -> Drift:
        checked.set()
        return Drift()

    model: Any = instrument(lambda _: 1, registry=registry, get_drift_metrics_func=check)
    model(CudaTensor())
    assert frameworks.recorded == [("cuda:0", threading.get_ident())]  # the stream that makes the copies
    assert not checked.wait(0.05)
    frameworks.reached.set()
    assert checked.wait(20)


def test_the_thread_that_waits_may_do_so_while_another_one_records_a_graph(
    registry: CollectorRegistry, frameworks: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[tuple[str, int, int]] = []

    def library(name: str) -> Any:
        return SimpleNamespace(
            cuThreadExchangeStreamCaptureMode=lambda mode: modes.append((name, mode._obj.value, threading.get_ident()))  # noqa: SLF001  what it points to
        )

    monkeypatch.setattr("ctypes.CDLL", library)
    frameworks.reached.set()
    tensor = CudaTensor()
    instrument(lambda: tensor, registry=registry)()
    eventually(lambda: recorded(registry) == (3, 1, 0, 0))
    ((name, mode, thread),) = modes
    assert (name, mode) == ("libcuda.so.1", 2)
    assert thread != threading.get_ident()


def test_a_graph_that_cuda_records_is_left_alone(
    registry: CollectorRegistry, frameworks: Cuda, caplog: pytest.LogCaptureFixture
) -> None:
    frameworks.capturing = True
    tensor = CudaTensor()
    instrument(lambda: tensor, registry=registry)()
    assert frameworks.recorded == []
    assert recorded(registry) == (0, 0, 0, 0)
    assert caplog.records == []


def test_a_model_that_is_closed_waits_for_its_outputs(registry: CollectorRegistry) -> None:
    array = Array()
    with PrometheusModel(lambda: array, registry) as model:
        model()
        assert array.waited_on.wait(20)
        threading.Timer(0.05, array.computed.set).start()
    assert shown(registry, "call_total") == 3
