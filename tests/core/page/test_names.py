"""Names of metrics: legal, short, one to one, and never reserved."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangplank.core.labels import PHASES
from gangplank.core.page.names import Metric, MetricNames, Source, reserved_metrics

LEGAL = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# Names that are close to each other collide more often than any text does.
close = st.text("ab_/.-é", min_size=1, max_size=4)
raw_names = st.lists(
    st.one_of(
        st.text(min_size=1, max_size=300),
        close,
        close.map(lambda name: f"train_{name}"),
        close.map(lambda name: f"val/{name}"),
        st.sampled_from(sorted(reserved_metrics("predict"))),
    ),
    unique=True,
)


def logged(raw: str) -> Metric:
    return Metric(Source.LOGGED, raw)


def exported(phase: str, *batches: list[str]) -> dict[str, str]:
    names = MetricNames(phase)
    for batch in batches:
        names.add([logged(metric) for metric in batch])
    return {metric: names.of(Source.LOGGED)[metric] for batch in batches for metric in batch}


@given(raw_names, st.sampled_from(PHASES))
def test_names_are_legal_short_one_to_one_and_never_reserved(metrics: list[str], phase: str) -> None:
    names = exported(phase, metrics)
    assert len(set(names.values())) == len(metrics)
    for name in names.values():
        assert LEGAL.fullmatch(f"gangplank_{phase}_{name}")
        assert name not in reserved_metrics(phase)
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


@pytest.mark.parametrize("before", [False, True])
@given(some_name=st.text("aloswerz", min_size=1, max_size=5), prefixed=st.sampled_from(["train_", "train/", "train."]))
def test_a_metric_has_its_name_whether_it_is_before_or_behind_the_one_with_a_phase(
    before: bool, some_name: str, prefixed: str
) -> None:
    pair = [some_name, f"{prefixed}{some_name}"]
    names = exported("train", pair if before else pair[::-1])
    assert names == {pair[0]: some_name, pair[1]: f"train_{some_name}"}


def test_a_metric_of_a_later_record_finds_its_name_taken() -> None:
    names = exported("train", ["train_loss"], ["loss"])
    assert names["train_loss"] == "loss"
    assert re.fullmatch(r"loss_[0-9a-f]{8}", names["loss"])
    assert exported("train", ["loss"], ["train_loss"]) == {"loss": "loss", "train_loss": "train_loss"}


@given(st.lists(st.tuples(st.sampled_from(Source), close), unique=True), st.sampled_from(PHASES), st.randoms())
def test_one_name_from_two_places_is_two_metrics_and_ours_keeps_it(
    pairs: list[tuple[Source, str]], phase: str, random: st.DrawFn
) -> None:
    metrics = [Metric(*pair) for pair in pairs]
    names = MetricNames(phase)
    named = names.add(metrics)
    assert len({names.of(metric.source)[metric.raw] for metric in metrics}) == len(metrics)
    again = MetricNames(phase)
    random.shuffle(metrics)  # type: ignore[attr-defined]
    assert again.add(metrics) == named
    of_others = {naming.name for metric, naming in named.items() if metric.source is not Source.LOGGED}
    for metric, naming in named.items():
        if metric.source is Source.LOGGED:
            assert naming.name not in of_others
        assert (naming.name == naming.wanted) == (naming.holder is None)


def test_what_is_legal_keeps_its_name_in_a_collision() -> None:
    names = exported("train", ["a/b", "a.b", "a_b"])
    assert names["a_b"] == "a_b"
    assert re.fullmatch(r"a_b_[0-9a-f]{8}", names["a/b"])
    assert re.fullmatch(r"a_b_[0-9a-f]{8}", names["a.b"])
