"""Weights tensor by tensor: named, capped and written fast."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import hypothesis
import hypothesis.strategies as some
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis.extra import numpy as hnp
from prometheus_client import generate_latest

import gangplank
from gangplank import HISTOGRAM_WEIGHT_BUCKETS_0_3, ConfigurationError, Group, MetricError, Page, Snapshot
from gangplank.core.weights.arrays import Tensor, parameters_in
from gangplank.core.weights.buckets import HISTOGRAM_WEIGHT_BUCKETS_AUTO, edges_of
from gangplank.core.weights.histogram import count_tensors, count_weights
from support.counting import arrays_of, names, number_counted
from support.reading import samples, value
from support.servers import Server

ONE, TWO = np.ones((2, 3), np.float32), np.zeros(4, np.float32)


def readable(arrays: Mapping[str, npt.NDArray[Any]]) -> Iterable[Tensor]:
    return ((name, partial(np.asarray, array)) for name, array in arrays.items())


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (ONE, [""]),
        ([ONE, TWO], ["0", "1"]),
        ([("kernel", ONE), ("bias", TWO)], ["kernel", "bias"]),
        ({"dense": {"kernel": ONE, "bias": [TWO, (ONE + 1,)]}}, ["dense/kernel", "dense/bias/0", "dense/bias/1/0"]),
        ((pair for pair in [("a", ONE), ("b", TWO)]), ["a", "b"]),
    ],
)
def test_each_array_has_a_name(weights: Any, expected: list[str]) -> None:
    assert names(weights) == expected


def test_arrays_alone_are_no_model() -> None:
    assert parameters_in([ONE]) is None


@hypothesis.given(
    some.dictionaries(
        some.text(max_size=5), hnp.arrays(np.float32, some.integers(0, 9), elements=some.floats(width=32)), max_size=8
    ),
    some.integers(1, 5),
)
def test_the_largest_are_apart_and_nothing_is_lost(tensors: dict[str, npt.NDArray[Any]], most: int) -> None:
    edges = [-1.0, 0.0, 1.0]
    counted, others = count_tensors(readable(tensors), edges, most, {})
    assert others == max(0, len(tensors) - most)
    assert len(counted) <= most + 1
    whole = count_weights(tensors.values(), edges)
    assert [sum(column) for column in zip(*(c.counts for c in counted.values()), strict=True)] == [
        *(whole.counts if tensors else ())
    ]
    assert sum(c.total for c in counted.values()) == whole.total
    assert sum(c.nonfinite for c in counted.values()) == whole.nonfinite
    apart = {name for name in counted if name in tensors and name != "other"}
    assert all(counted[name] == count_weights([tensors[name]], edges) for name in apart)
    left = [array.size for name, array in tensors.items() if name not in apart and name != "other"]
    assert not left or not apart or max(left) <= min(tensors[name].size for name in apart)


def test_by_tensor_the_gateway_has_them_labelled(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    weights = {"a/kernel": ONE, "b": TWO, "c": np.array([np.nan, 1], np.float32), "d": np.array([2.0])}
    with gangplank.run(gateway.address, "digits", histogram_buckets=[0.0], per_tensor=2) as run:
        run.record({"loss": 1}, epoch=0, weights=weights)
    name = "gangplank_train_model_weights"
    held = {sample.labels["tensor"]: sample.value for sample in samples(gateway.metrics(), f"{name}_count")}
    assert held == {"a/kernel": 6, "b": 4, "other": 2}
    assert value(gateway, f"{name}_bucket", tensor="b", le="0") == 4
    assert value(gateway, f"{name}_sum", tensor="other") == 3
    assert value(gateway, f"{name}_nonfinite", tensor="other") == 1
    assert caplog.text.count('2 largest tensors are exported; 2 others as tensor="other"') == 1


@pytest.mark.parametrize("per_tensor", [-1, 1.5, "all", None])
def test_a_number_of_tensors_that_is_none_is_refused(per_tensor: Any) -> None:
    with pytest.raises(ConfigurationError, match="per_tensor"):
        gangplank.run("gateway:9091", "digits", per_tensor=per_tensor)


odd = some.text(some.characters(codec="utf-8"), max_size=8)


@hypothesis.given(
    some.lists(odd.filter(bool), min_size=1, max_size=4, unique=True),
    some.dictionaries(some.sampled_from(["job", "le_", "run", "zone"]), odd, max_size=3),
    some.lists(hnp.arrays(np.float32, 5, elements=some.floats(width=32)), min_size=4, max_size=4),
)
def test_the_fast_text_is_sample_for_sample_prometheus_clients(
    tensors: list[str], labels: dict[str, str], arrays: list[npt.NDArray[Any]]
) -> None:
    weights, _ = count_tensors(readable(dict(zip(tensors, arrays, strict=False))), HISTOGRAM_WEIGHT_BUCKETS_0_3, 50, {})
    page = Page(
        group=Group(()),
        phase="train",
        labels=labels,
        info={},
        started=0,
        last_update=0,
        heartbeat=0,
        newest=Snapshot(weights=weights),
    )
    fast, plain = page.text().decode().split("\n"), generate_latest(page).decode().split("\n")
    assert sorted(fast) == sorted(plain)
    name = "gangplank_train_model_weights"
    start = fast.index(f"# TYPE {name} histogram")
    end = fast.index(next(line for line in fast[start:] if line.startswith("# HELP")))
    assert all(line.startswith((f"{name}_bucket", f"{name}_sum", f"{name}_count")) for line in fast[start + 1 : end])


def test_large_counts_are_written_alike() -> None:
    weights = {"a": count_weights([np.zeros(1_234_567, np.float32)], [0.0]), "b": count_weights([], [0.0])}
    page = Page(
        group=Group(()),
        phase="train",
        labels={},
        info={},
        started=0,
        last_update=0,
        heartbeat=0,
        newest=Snapshot(weights=weights),
    )
    assert sorted(page.text().splitlines()) == sorted(generate_latest(page).splitlines())


def test_automatic_edges_are_symmetric_exponential_and_few() -> None:
    edges = HISTOGRAM_WEIGHT_BUCKETS_AUTO
    assert edges_of(edges) == edges
    assert edges == tuple(-edge + 0.0 for edge in reversed(edges))
    assert {upper / lower for lower, upper in itertools.pairwise(edges[16:])} == {2.0}
    assert len(edges) == 31


def test_automatic_edges_are_asked_for_by_name(gateway: Server) -> None:
    with gangplank.run(gateway.address, "digits", histogram_buckets="auto") as run:
        run.record({}, epoch=0, weights=ONE)
    assert len(list(samples(gateway.metrics(), "gangplank_train_model_weights_bucket"))) == 32


def test_what_is_held_twice_counts_once() -> None:
    assert number_counted({"a": {"kernel": ONE}, "b": [ONE, (ONE,)]}) == 6
    assert number_counted({"a": 1.0, "b": 1.0}) == 2
    made = (np.full(2, place) for place in range(5))  # each may be where the one before was
    assert number_counted(made) == 10


class Spread:
    """A JAX array in several processes."""

    is_fully_addressable = False
    shape = (2,)

    def __init__(self, *, replicated: bool) -> None:
        self.is_fully_replicated = replicated

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("not all of it is here")

    def addressable_data(self, _: int) -> npt.NDArray[Any]:
        return ONE


def test_an_array_in_several_processes_is_counted_where_each_has_all_of_it() -> None:
    assert number_counted(Spread(replicated=True)) == 6
    with pytest.raises(MetricError, match="spread over several processes"):
        list(arrays_of([Spread(replicated=False)]))
