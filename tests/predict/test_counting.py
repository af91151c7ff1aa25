"""How many samples an output has, whatever its structure."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangplank.predict.counting import count_samples


class Outputs(NamedTuple):
    logits: Any
    hidden: Any = None


def array(*shape: int | None) -> Any:
    """Return an array, or something that has such a shape."""
    return SimpleNamespace(shape=shape) if None in shape else np.zeros(shape)


class WithoutRank:
    @property
    def shape(self) -> Any:
        class Unknown:
            def __iter__(self) -> Any:
                raise ValueError("Cannot iterate over a shape with unknown rank.")

        return Unknown()


def structures(count: int) -> st.SearchStrategy[Any]:
    """Make structures of arrays that all have so many rows."""
    leaf = st.lists(st.integers(0, 3), max_size=2).map(lambda more: np.zeros((count, *more)))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.dictionaries(st.text(), inner, min_size=1, max_size=3),
            st.dictionaries(st.text(), inner, min_size=1, max_size=3).map(OrderedDict),
            st.lists(leaf, min_size=1, max_size=3),
            st.lists(leaf, min_size=1, max_size=3).map(tuple),
            st.tuples(leaf, inner),
            leaf.map(Outputs),
        ),
        max_leaves=5,
    )


@given(st.integers(0, 50).flatmap(lambda count: st.tuples(st.just(count), structures(count))))
def test_a_structure_of_arrays_has_as_many_samples_as_each_has_rows(case: tuple[int, Any]) -> None:
    count, output = case
    assert count_samples(output) == count


plain = st.one_of(
    st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.dictionaries(st.text(), st.text())
)


@given(st.lists(plain))
def test_a_list_of_anything_else_has_as_many_as_items(output: list[Any]) -> None:
    assert count_samples(output) == len(output)
    assert count_samples(tuple(output)) == len(output)


@given(st.one_of(plain, st.dictionaries(st.text(), st.lists(st.text()))))
def test_anything_else_is_one_sample(output: Any) -> None:
    assert count_samples(output) == 1


@pytest.mark.parametrize(
    ("output", "count"),
    [
        (array(5), 5),
        (array(0, 3), 0),
        (array(), 1),
        (np.float32(1), 1),
        ([np.float32(1), np.float32(2)], 2),
        ([array(2), array(3), array(4)], 3),  # the boxes found in each of three images
        ((array(), array(7, 2)), 7),  # a loss, and logits
        ([0.5, array(7, 2)], 7),
        ((None, 0.5, array(7, 2)), 7),
        ([[], {"logits": array(7, 2)}], 2),
        ((array(4, 9, 8), (array(1, 4, 8), array(1, 4, 8))), 4),  # of an LSTM
        ({"loss": array(), "logits": array(6, 2)}, 6),
        ({"loss": array()}, 1),
        ([{"label": "cat", "score": 0.5}, {"label": "dog", "score": 0.5}], 2),
        ([{"logits": array(6, 2)}, {"logits": array(6, 2)}], 2),
        ([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]], 3),
        ([], 0),
        ("a text", 1),
        (SimpleNamespace(shape=len), 1),
    ],
)
def test_it_counts(output: Any, count: int) -> None:
    assert count_samples(output) == count


@pytest.mark.parametrize(
    "output",
    [
        array(None, 3),
        {"a": array(None, 3)},
        [array(None, 3), array(None, 2)],
        (array(None, 3), "more"),
        WithoutRank(),
        type("KerasTensor", (), {"shape": (5, 3)})(),
        type("FakeTensor", (), {"shape": ()})(),
    ],
)
def test_what_will_be_computed_later_has_none(output: Any) -> None:
    assert count_samples(output) is None


@pytest.mark.parametrize("kind", [list, tuple])
def test_the_first_items_tell_what_a_long_list_is_of(kind: type[Any]) -> None:
    class Text(str):
        __slots__ = ()

        @property
        def shape(self) -> Any:
            raise AssertionError("looked at")

    assert count_samples(kind(["a"] * 8 + [Text("b")] * 9)) == 17
    assert count_samples(kind([["a", {"b": 0.5}]] * 8 + [[Text("b")]] * 9)) == 17
