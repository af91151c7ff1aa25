"""The newest page of every group on one page, whatever the order they come in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from gangplank.core.page.page import MetricValue, Page
from gangplank.core.page.text import Block
from gangplank.core.sinks.together import Together
from gangplank.core.types import Group, Snapshot
from gangplank.core.weights.histogram import WeightCounts

# Text that could break out of a label, beside plain words.
values = st.one_of(st.sampled_from(["a", "b", "a b", 'a"b', "a\\b", "a\nb", "a\r\nb", "ä\u2028b"]), st.text(min_size=1))


def page(group: dict[str, str], run: str | None, loss: float = 0.5, **more: float) -> Page:
    """Return the page of a run, with a histogram whose first edge is negative."""
    return Page(
        group=Group(tuple(group.items())),
        phase=group["phase"],
        labels={} if run is None else {"run": run},
        info={"host": "a", "note": 'say "b"\r\n'},
        started=1.0,
        last_update=2.0,
        heartbeat=3.0,
        metrics={name: MetricValue(value, 1) for name, value in {"loss": loss, **more}.items()},
        newest=Snapshot(weights={"": WeightCounts(edges=(-0.5, 0.5), counts=(1, 3), total=4, sum=-1.25, nonfinite=0)}),
    )


@st.composite
def pages(draw: st.DrawFn) -> Page:
    """Draw the page of a run; few groups, so that they meet again."""
    group = {"job": draw(st.sampled_from(["digits", "letters"])), "phase": draw(st.sampled_from(["train", "test"]))}
    keys = draw(st.sampled_from([(), ("team",), ("team", "site"), ("site", "team")]))
    group |= {key: draw(st.sampled_from(["x", "y"])) for key in keys}
    run = draw(st.sampled_from([None, "1", "2"]))
    if run is not None and draw(st.booleans()):
        group["run"] = run
    return page(group, run, draw(st.floats(allow_nan=False)), **draw(st.sampled_from([{}, {"extra": 1.0}])))


def shown(together: Together) -> list[Metric]:
    """Return the families as who scrapes sees them; each has one TYPE, and no series is there twice."""
    text = together.text().decode()
    types = Counter(line.split()[2] for line in text.split("\n") if line.startswith("# TYPE"))
    assert set(types.values()) <= {1}
    families = list(text_string_to_metric_families(text))
    assert len(families) == len(types)
    series = Counter(
        (sample.name, frozenset(sample.labels.items())) for family in families for sample in family.samples
    )
    assert set(series.values()) <= {1}
    return families


def losses(families: list[Metric]) -> dict[frozenset[tuple[str, str]], float]:
    """Return the loss of each identity."""
    return {
        frozenset(sample.labels.items()): sample.value
        for family in families
        if family.name.endswith("_loss")
        for sample in family.samples
    }


def is_replaced(old: Page, new: Page) -> bool:
    """Return whether a newer page takes the place of an older one."""
    group, key = dict(old.group.labels), dict(new.group.labels)
    of_the_same_group = group == key
    # A run that is not one of several at once takes the place of such runs as well: a text tells them not apart.
    is_the_only_run = "run" not in key and {name: group[name] for name in group if name != "run"} == key
    return of_the_same_group or is_the_only_run or old.identified().labels == new.identified().labels


@given(st.lists(pages(), max_size=12), st.data())
def test_the_newest_page_of_each_group_is_shown_once_also_after_a_file_was_read_again(
    sequence: list[Page], data: st.DataObject
) -> None:
    together = Together()
    newest: list[Page] = []
    for one in sequence:
        together.put(one)
        newest = [*(old for old in newest if not is_replaced(old, one)), one]
        families = shown(together)
        found = losses(families)
        assert found == {frozenset(one.identified().labels.items()): one.metrics["loss"][0] for one in newest}
        if data.draw(st.booleans()):
            together = Together(together.text())
            assert losses(shown(together)) == found


@given(st.lists(pages(), min_size=1, max_size=6))
def test_what_is_read_from_a_text_is_all_there(sequence: list[Page]) -> None:
    together = Together()
    for one in sequence:
        together.put(one)
    families = shown(together)

    def samples(families: list[Metric]) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
        return {(s.name, frozenset(s.labels.items()), s.value) for family in families for s in family.samples}

    again = shown(Together(together.text()))
    assert samples(again) == samples(families)
    assert {family.name: family.type for family in again if family.samples} == {
        family.name: family.type for family in families if family.samples
    }


@given(values, values)
def test_whatever_a_label_holds_is_read_again(job: str, team: str) -> None:
    together = Together()
    together.put(page({"job": job, "phase": "train", "team": team}, "1"))
    together = Together(together.text())
    together.put(page({"job": job, "phase": "test", "team": team}, "2"))
    assert len(losses(shown(together))) == 2
    together.put(page({"team": team, "phase": "train", "job": job}, "3", 0.25))
    found = {dict(identity)["run"]: loss for identity, loss in losses(shown(together)).items()}
    assert found == {"2": 0.5, "3": 0.25}


def test_while_a_page_is_written_the_old_one_is_shown() -> None:
    together = Together()
    meanwhile: list[bytes] = []

    class Watched(Page):
        def blocks(self) -> Iterator[Block]:
            for block in super().blocks():
                meanwhile.append(together.text())
                yield block

    together.put(page({"job": "digits", "phase": "train"}, "1"))
    before = together.text()
    together.put(Watched(**vars(page({"job": "digits", "phase": "train"}, "2"))))
    assert len(meanwhile) > 10
    assert set(meanwhile) == {before}
    assert b'run="1"' not in together.text()


def test_of_two_types_the_newest_one_is_shown() -> None:
    theirs = page({"job": "digits", "phase": "test"}, None)
    counter = '# TYPE gangplank_train_loss_total counter\ngangplank_train_loss_total{job="digits",phase="test"} 1.0\n'
    together = Together(theirs.identified().text() + f"# HELP gangplank_train_loss_total \n{counter}".encode())
    assert {family.type for family in shown(together) if family.name == "gangplank_train_loss"} == {"counter"}
    together.put(page({"job": "digits", "phase": "train"}, None, 0.25))
    assert {family.type for family in shown(together) if family.name.startswith("gangplank_train_loss")} == {"gauge"}


def test_what_is_no_page_of_ours_is_left_out() -> None:
    other = "# HELP node_load1 \n# TYPE node_load1 gauge\nnode_load1 1.0\n"
    ours = "# HELP gangplank_train_loss of no run\n# TYPE gangplank_train_loss gauge\n"
    ours += 'gangplank_train_loss{job="digits"} 1.0\n'
    assert Together((other + ours).encode()).text() == b""


def test_a_sample_with_more_labels_stays_with_its_own_group() -> None:
    together = Together()
    together.put(page({"job": "digits", "phase": "train"}, "1", 1.0))
    together.put(page({"job": "digits", "phase": "train", "host": "b"}, "1", 2.0))
    together = Together(together.text())
    together.put(page({"job": "digits", "phase": "train"}, "2", 3.0))
    assert sorted(losses(shown(together)).values()) == [2.0, 3.0]


def test_a_sum_with_a_negative_edge_is_there() -> None:
    together = Together()
    together.put(page({"job": "digits", "phase": "train"}, "1"))
    for families in (shown(together), shown(Together(together.text()))):
        (weights,) = (family for family in families if family.name == "gangplank_train_model_weights")
        found = {sample.name: sample.value for sample in weights.samples if "le" not in sample.labels}
        assert found == {"gangplank_train_model_weights_sum": -1.25, "gangplank_train_model_weights_count": 4}
        assert np.array_equal([s.value for s in weights.samples if "le" in s.labels], [1, 3, 4])
