from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangplank import ConfigurationError
from gangplank.core.naming import PHASES, RESERVED_LABELS, RESERVED_METRICS, MetricNames, check_labels, check_value

LEGAL = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# Names that are close to each other collide more often than any text does.
close = st.text("ab_/.-é", min_size=1, max_size=4)
raw_names = st.lists(
    st.one_of(
        st.text(min_size=1, max_size=300),
        close,
        close.map(lambda name: f"train_{name}"),
        close.map(lambda name: f"val/{name}"),
        st.sampled_from(sorted(RESERVED_METRICS)),
    ),
    unique=True,
)


def exported(phase: str, *batches: list[str]) -> dict[str, str]:
    names = MetricNames(phase)
    for batch in batches:
        names.add(batch)
    return {metric: names[metric] for batch in batches for metric in batch}


@given(raw_names, st.sampled_from(PHASES))
def test_names_are_legal_short_one_to_one_and_never_reserved(metrics: list[str], phase: str) -> None:
    names = exported(phase, metrics)
    assert len(set(names.values())) == len(metrics)
    for name in names.values():
        assert LEGAL.fullmatch(f"gangplank_{phase}_{name}")
        assert name not in RESERVED_METRICS
        assert len(name) <= 170


@given(raw_names, st.sampled_from(PHASES), st.randoms())
def test_the_order_of_a_dict_changes_no_name(metrics: list[str], phase: str, random: st.DrawFn) -> None:
    shuffled = list(metrics)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert exported(phase, metrics) == exported(phase, shuffled)


@given(raw_names, raw_names)
def test_a_name_stays_whatever_comes_later(first: list[str], later: list[str]) -> None:
    before = exported("train", first)
    after = exported("train", first, [*first, *later])
    assert {metric: after[metric] for metric in first} == before


@pytest.mark.parametrize(
    ("phase", "metric", "name"),
    [
        ("train", "loss", "loss"),
        ("train", "val_loss", "val_loss"),
        ("train", "train_loss", "loss"),
        ("train", "train/loss", "loss"),
        ("validate", "val_loss", "loss"),
        ("validate", "validate/loss", "loss"),
        ("test", "test_accuracy", "accuracy"),
        ("predict", "predict.batches", "batches"),
        ("train", "top-5 accuracy", "top_5_accuracy"),
        ("train", "a:b", "a_b"),
        ("train", "train_", "train_"),
        ("train", "trainer_lag", "trainer_lag"),
        ("train", "5", "5"),
    ],
)
def test_a_metric_is_named_as_a_reader_expects(phase: str, metric: str, name: str) -> None:
    assert exported(phase, [metric]) == {metric: name}


def test_a_phase_in_front_stays_where_the_short_name_is_taken() -> None:
    assert exported("train", ["train_loss", "loss"]) == {"loss": "loss", "train_loss": "train_loss"}


def test_what_is_legal_keeps_its_name_in_a_collision() -> None:
    names = exported("train", ["a/b", "a.b", "a_b"])
    assert names["a_b"] == "a_b"
    assert re.fullmatch(r"a_b_[0-9a-f]{8}", names["a/b"])
    assert re.fullmatch(r"a_b_[0-9a-f]{8}", names["a.b"])


@pytest.mark.parametrize("name", sorted(RESERVED_LABELS | {"__x", "__address__", "a-b", "1a", "", "é", "host", "mine"}))
def test_a_label_that_would_break_a_page_is_refused_as_a_key(name: str) -> None:
    with pytest.raises(ConfigurationError, match="grouping_key"):
        check_labels("grouping_key", {name: "x"}, reserved=("host", "mine"))


def test_labels_become_text_in_the_order_they_were_written() -> None:
    assert list(check_labels("info", {"b": 1, "a": True}).items()) == [("b", "1"), ("a", "True")]


@pytest.mark.parametrize(
    ("value", "why"), [("", "empty"), ("a\ud800", "surrogate"), (None, "NoneType"), (3, "int"), (b"x", "bytes")]
)
def test_a_label_value_that_prometheus_cannot_hold_is_refused_with_the_reason(value: object, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        check_value("job", value)  # type: ignore[arg-type]
