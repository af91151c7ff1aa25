"""Modules of torch in production: they stay what they are, and a CUDA device's work is timed until it is done."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from typing import Any

import pytest
import torch
from prometheus_client import CollectorRegistry

from gangplank import Drift, instrument
from gangplank.predict.counting import count_samples
from support.predicted import held_up, shown
from support.reading import eventually

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry that nothing is in."""
    return CollectorRegistry()


def network() -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Dropout(), torch.nn.Linear(3, 1))


def test_a_module_is_counted_and_timed(registry: CollectorRegistry) -> None:
    model = instrument(network(), registry=registry, name="net")
    with torch.inference_mode():
        assert model(torch.ones(4, 2)).shape == (4, 1)
    assert shown(registry, "total", model="net") == 4
    assert shown(registry, "latency_seconds_count", method="__call__", model="net") == 1
    assert shown(registry, "in_flight", model="net") == 0


def test_it_is_the_module_in_all_else(registry: CollectorRegistry) -> None:
    inner = network()
    model = instrument(inner, registry=registry)
    for method in (model.eval, model.train, model.float, model.cpu, lambda: model.to("cpu"), model.requires_grad_):
        assert method() is model
    assert model.eval().training is False
    assert inner.training is False
    assert (len(model), type(model[0]), len(list(model))) == (3, torch.nn.Linear, 3)
    assert model.state_dict().keys() == inner.state_dict().keys()
    assert all(ours is theirs for ours, theirs in zip(model.parameters(), inner.parameters(), strict=True))
    model.extra = torch.nn.Parameter(torch.ones(1))
    assert "extra" in inner.state_dict()
    del model.extra
    assert "extra" not in inner.state_dict()
    assert repr(model) == repr(inner)
    assert not isinstance(model, torch.nn.Module)


def test_it_learns_as_the_module_does(registry: CollectorRegistry) -> None:
    model = instrument(network(), registry=registry)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    before = model[0].weight.detach().clone()
    model(torch.ones(4, 2)).sum().backward()
    optimizer.step()
    assert not torch.equal(before, model[0].weight)


def test_copies_measure_too(registry: CollectorRegistry) -> None:
    model = instrument(network(), registry=registry)
    again = copy.deepcopy(model)
    assert again[0].weight is not model[0].weight
    again(torch.ones(4, 2))
    assert shown(registry, "total") == 4
    assert pickle.loads(pickle.dumps(model))(torch.ones(2, 2)).shape == (2, 1)


def test_outputs_of_several_parts(registry: CollectorRegistry) -> None:
    lstm = instrument(torch.nn.LSTM(2, 3, batch_first=True), registry=registry)
    lstm(torch.ones(4, 7, 2))
    assert shown(registry, "total") == 4
    assert count_samples(torch.tensor(1.0)) == 1
    assert count_samples({"loss": torch.tensor(1.0), "logits": torch.ones(6, 2)}) == 6


def test_what_is_compiled_is_instrumented_afterwards(registry: CollectorRegistry) -> None:
    model = instrument(torch.compile(network(), backend="eager"), registry=registry)
    for _ in range(3):
        assert model(torch.ones(4, 2)).shape == (4, 1)
    assert shown(registry, "total") == 12


def test_drift_gets_copies(registry: CollectorRegistry) -> None:
    given: list[Any] = []
    with held_up() as (wait, _, released):

        def drift(x: Any, y: Any) -> Drift:
            wait()
            given.append((x.tolist(), y.requires_grad))
            return Drift(0)

        model = instrument(network(), registry=registry, get_drift_metrics_func=drift)
        x = torch.ones(1, 2)
        model(x)
        x.zero_()
        released.set()
        eventually(lambda: shown(registry, "drift_checks_total", result="checked") == 1)
    assert given == [([[1.0, 1.0]], False)]


@pytest.fixture
def busy() -> Any:
    """A function that keeps the device busy for about this many seconds, and returns before."""
    x = torch.ones(4, 2, device="cuda")
    clock = 1_000_000_000  # cycles of a GPU in a second, or fewer

    def spin(seconds: float) -> torch.Tensor:
        torch.cuda._sleep(int(clock * seconds))  # noqa: SLF001  there is no public one
        return x * 2

    spin(0.01)
    torch.cuda.synchronize()
    return spin


@needs_cuda
def test_on_cuda_a_call_is_timed_until_the_device_is_done(registry: CollectorRegistry, busy: Any) -> None:
    predict = instrument(busy, registry=registry)
    start = time.perf_counter()
    predict(0.5)
    returned = time.perf_counter() - start
    assert shown(registry, "in_flight") == 1
    assert shown(registry, "total") == 0
    torch.cuda.synchronize()
    done = time.perf_counter() - start
    eventually(lambda: shown(registry, "total") == 4)
    seconds = shown(registry, "time_seconds_total")
    assert seconds is not None
    assert returned < done / 4  # nobody has waited for the device
    assert abs(seconds - done) < 0.05 + done / 10
    assert shown(registry, "in_flight") == 0


@needs_cuda
def test_on_cuda_threads_and_streams_have_times_of_their_own(registry: CollectorRegistry, busy: Any) -> None:
    predict = instrument(busy, registry=registry)

    def work() -> None:
        with torch.cuda.stream(torch.cuda.Stream()):
            for _ in range(20):
                predict(0.001)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: shown(registry, "total") == 8 * 20 * 4)
    assert shown(registry, "in_flight") == 0
    assert shown(registry, "latency_seconds_count", method="spin") == 160


@needs_cuda
def test_a_cuda_graph_can_be_captured_around_it(registry: CollectorRegistry) -> None:
    model = instrument(network().cuda().eval(), registry=registry)
    x = torch.ones(4, 2, device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side), torch.no_grad():
        model(x)
    torch.cuda.current_stream().wait_stream(side)
    eventually(lambda: shown(registry, "total") == 4)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), torch.no_grad():
        y = model(x)
    assert shown(registry, "total") == 4  # capturing predicts nothing
    replay: Any = instrument(lambda: (graph.replay(), y)[1], registry=registry, name="graph")
    replay()
    torch.cuda.synchronize()
    eventually(lambda: shown(registry, "total", model="graph") == 4)


@needs_cuda
def test_a_cuda_graph_can_be_captured_while_earlier_calls_are_waited_for(
    registry: CollectorRegistry, busy: Any
) -> None:
    predict = instrument(busy, registry=registry)
    x = torch.ones(4, 2, device="cuda")
    for _ in range(50):
        predict(0.001)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = x * 3
        graph.replay()
        assert y.sum().item() == 24
    eventually(lambda: shown(registry, "total") == 200)


@needs_cuda
def test_on_cuda_drift_gets_copies(registry: CollectorRegistry, busy: Any) -> None:
    given: list[Any] = []

    def drift(x: Any, y: Any) -> Drift:
        given.append((x["x"].tolist(), y.tolist()))
        return Drift(0)

    def double(*, x: Any) -> Any:
        return x * 2

    predict = instrument(double, registry=registry, get_drift_metrics_func=drift)
    x = torch.ones(1, device="cuda")
    busy(0.1)
    predict(x=x)
    x.zero_()
    eventually(lambda: shown(registry, "drift_checks_total", result="checked") == 1)
    assert given == [([1.0], [2.0])]
