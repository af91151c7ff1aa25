"""The text of pages: prometheus_client's, byte for byte; read back as it was; and never long in one go."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from gangplank.core.errors import DROP_REASONS, FAILURE_REASONS
from gangplank.core.page.page import STATES, MetricValue, Page
from gangplank.core.page.reading import read
from gangplank.core.page.text import join
from gangplank.core.recording.activities import ACTIVITIES
from gangplank.core.sinks.together import Together
from gangplank.core.types import Group, Snapshot, StepTimes
from gangplank.core.weights.buckets import HISTOGRAM_WEIGHT_BUCKETS_AUTO
from gangplank.core.weights.histogram import WeightCounts

# What must be escaped, or could end a line or a label, beside any other text.
texts = st.one_of(
    st.sampled_from(
        ['a"b', "a\\", '\\"', "\\n", "a\nb", "a\r\nb", "ä\u2028b\x85", "%s%d", "{le=", '",job="', "# HELP "]
    ),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8),
)
names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,6}", fullmatch=True)
numbers = st.floats() | st.sampled_from([0.0, -0.0, 999_999.0, 1e6, 1_234_567.0, 1e21, 1e-7, -1e6])
wholes = st.integers(0, 2**40) | st.sampled_from([999_999, 1_000_000])
edges = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5, unique=True).map(
    lambda found: tuple(sorted(number + 0.0 for number in found))
)
# Labels that no family of ours has, in front of `le` and behind it.
free_labels = names.map(lambda name: f"{name}_")


@st.composite
def weight_counts(draw: st.DrawFn) -> WeightCounts:
    bounds = draw(edges)
    *counts, total = sorted(draw(st.lists(wholes, min_size=len(bounds) + 1, max_size=len(bounds) + 1)))
    return WeightCounts(bounds, tuple(counts), total, draw(numbers), draw(wholes))


@st.composite
def step_times(draw: st.DrawFn) -> StepTimes:
    bounds = draw(edges)
    counts = draw(st.lists(wholes, min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    return StepTimes(bounds, tuple(counts), draw(numbers), draw(st.none() | numbers), draw(st.none() | numbers))


snapshots = st.builds(
    Snapshot,
    step_times=st.none() | step_times(),
    epochs_planned=st.none() | wholes,
    steps_planned=st.none() | wholes,
    resumed_from_step=st.none() | wholes,
    checkpoint=st.none() | st.tuples(numbers, st.none() | wholes),
    epoch=st.none() | wholes,
    step=st.none() | wholes,
    epoch_duration=st.none() | numbers,
    samples_per_second=st.none() | numbers,
    learning_rates=st.one_of(st.builds(dict), st.just({"": 0.1}), st.dictionaries(texts, numbers, max_size=3)),
    parameters=st.none() | st.tuples(wholes, wholes),
    weights=st.one_of(
        st.none(),
        st.builds(lambda counted: {"": counted}, weight_counts()),
        st.dictionaries(texts, weight_counts(), max_size=3),
    ),
    dropped=st.dictionaries(st.sampled_from(DROP_REASONS), wholes, max_size=2),
)


@st.composite
def pages(draw: st.DrawFn) -> Page:
    """Draw a page that may have a value in each family."""
    key = {"job": draw(texts), "phase": draw(st.sampled_from(["train", "test"]))}
    key |= draw(st.dictionaries(free_labels, texts, max_size=2))
    return Page(
        group=Group(tuple(key.items())),
        phase=key["phase"],
        labels=draw(st.one_of(st.just({}), st.builds(lambda run: {"run": run}, texts))),
        info=draw(st.dictionaries(names.map(lambda name: f"info_{name}"), texts, max_size=3)),
        started=draw(numbers),
        last_update=draw(numbers),
        heartbeat=draw(numbers),
        succeeded=draw(st.none() | numbers),
        activities=draw(st.dictionaries(st.sampled_from(ACTIVITIES), numbers)),
        elapsed=draw(numbers),
        state=draw(st.sampled_from(STATES)),
        metrics=draw(
            st.dictionaries(names, st.builds(MetricValue, numbers, st.none() | wholes, st.none() | wholes), max_size=4)
        ),
        newest=draw(snapshots),
        failures=draw(
            st.dictionaries(texts, st.dictionaries(st.sampled_from(FAILURE_REASONS), wholes, max_size=2), max_size=2)
        ),
    )


class Families(Collector):
    """What prometheus_client is to write."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], str]:
    """Return the samples of a text; their values as text, in which NaN equals itself."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = repr(sample.value)
    return found


@given(pages())
def test_the_text_is_prometheus_clients(page: Page) -> None:
    for one in (page, page.identified()):
        assert one.text() == generate_latest(one)


@given(pages(), pages())
def test_pages_together_have_the_samples_of_each(one: Page, other: Page) -> None:
    other = replace(
        other, group=Group((*other.group.labels, ("another_group", "yes")))
    )  # it must not replace the first
    together = Together()
    together.put(one)
    together.put(other)
    text = together.text()
    assert samples(text) == samples(one.identified().text()) | samples(other.identified().text())
    about = [line for line in text.decode().split("\n") if line.startswith("# TYPE")]
    assert len(about) == len(set(about))


@given(pages())
def test_a_text_that_is_read_back_is_the_same(page: Page) -> None:
    text = page.identified().text()
    blocks = [family._replace(lines=[line.encode()]) for family, line in read(text)]
    with_samples = [family for family in page.identified().collect() if family.samples]
    assert join(blocks) == generate_latest(Families(with_samples))


@given(pages())
def test_bounds_are_spelled_alike_at_every_destination(page: Page) -> None:
    def bounds(text: bytes) -> list[str]:
        families = text_string_to_metric_families(text.decode())
        return [sample.labels["le"] for family in families for sample in family.samples if "le" in sample.labels]

    together = Together()
    together.put(page)
    assert bounds(page.text()) == bounds(together.text())


def test_bounds_are_spelled_as_a_gateway_spells_them() -> None:
    counted = WeightCounts((-0.5, 0.0, 1.0, 1e6), (0, 0, 0, 0), 0, 0.0, 0)
    text = page_of({"": counted}).text().decode()
    assert [line.split('"')[1] for line in text.split("\n") if "weights_bucket" in line] == [
        "-0.5",
        "0",
        "1",
        "1e+06",
        "+Inf",
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"\0\0\0",
        b"\xff\xfe",
        b"gangplank_train_loss 1.0\n",
        b"# HELP a b\n",
        b"# HELP a b\n# TYPE b gauge\nb 1.0\n",
        b"# HELP a b\n# TYPE a gauge\na{\n",
        b'# HELP a b\n# TYPE a gauge\na{x="1} 1.0\n',
        b'# HELP a b\n# TYPE a gauge\na{x="1",} 1.0\n',
        b'# HELP a b\n# TYPE a gauge\na{x="\\t"} 1.0\n',
        b"# HELP a b\n# TYPE a gauge\na one\n",
        b"# HELP a b\n# TYPE a gauge\na 1.0 2.0\n",
    ],
)
def test_what_gangplank_has_not_written_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(read(text))


def page_of(weights: dict[str, WeightCounts], metrics: int = 0) -> Page:
    return Page(
        group=Group((("job", "digits"), ("phase", "train"))),
        phase="train",
        labels={"run": "one"},
        info={},
        started=0,
        last_update=0,
        heartbeat=0,
        metrics={f"metric_{number}": MetricValue(number / 7, 1) for number in range(metrics)},
        newest=Snapshot(weights=weights or None),
    )


@pytest.mark.parametrize(("tensors", "metrics"), [(500, 20), (0, 2_000)])
@pytest.mark.parametrize("work", ["a page", "a put", "a join", "reading"])
def test_other_threads_run_meanwhile(tensors: int, metrics: int, work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor's time between two turns is counted: a machine with other work to do is no slower by that."""
    edges = HISTOGRAM_WEIGHT_BUCKETS_AUTO
    counted = WeightCounts(edges, tuple(range(len(edges))), 100, 0.5, 0)
    page = page_of({f"block_{number}/kernel": counted for number in range(tensors)}, metrics)
    together = Together()
    together.put(page)
    text = together.text()
    done: dict[str, Callable[[], object]] = {
        "a page": page.text,
        "a put": lambda: together.put(page),
        "a join": together.text,
        "reading": lambda: Together(text),
    }
    longest: list[float] = []
    turns: list[float] = []

    def note_turn(_: float = 0) -> None:
        turns.append(time.thread_time())

    for _ in range(3):  # what a garbage collection takes in one of them does not count
        turns.clear()
        note_turn()
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", note_turn)
            done[work]()
        note_turn()
        longest.append(max(later - earlier for earlier, later in itertools.pairwise(turns)))
    assert min(longest) < 0.005
