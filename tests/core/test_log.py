"""The log under any number of names that the user has chosen: one line a minute for each kind, and all are counted."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import gangplank
from gangplank import Exporter, Run
from gangplank.core import log
from gangplank.testing import MemorySink
from support.logged import warnings

MANY = 20_000


class Clock:
    """The clock of the log, which the test sets."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(log, "time", clock)
    return clock


def notes(run: Run, epoch: int, number: int) -> None:
    run.record({f"note{number}": "text"}, epoch=epoch)


def rates(run: Run, epoch: int, number: int) -> None:
    run.record(epoch=epoch, learning_rates={f"rate{number}": "text"})


def tensors(run: Run, epoch: int, number: int) -> None:
    run.record(epoch=epoch, weights={f"tensor{number}": "text"})


UNCOUNTED = "The weights 'tensor{}' are not counted: weights of dtype <U4 are not real numbers"
KINDS: dict[str, tuple[Callable[[Run, int, int], None], str, str]] = {
    "metrics": (notes, "The metric 'note{}' is not exported: a str is not a number", "not_numeric"),
    "rates": (rates, "The learning rate 'rate{}' is not exported: a str is not a number", "not_numeric"),
    "tensors": (
        tensors,
        "The weights 'tensor{}' are not counted: weights of dtype <U4 are not real numbers",
        "weights",
    ),
}


def remembered(logs: log.Log) -> int:
    """Return how many texts the log keeps."""
    return len(logs._logged) + sum(len(one.sentences) for one in logs._waiting.values())  # noqa: SLF001


@pytest.mark.parametrize("kind", KINDS)
def test_ever_new_names_are_a_line_now_one_a_minute_and_one_at_the_end(
    kind: str, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    record, sentence, reason = KINDS[kind]
    many = MANY if kind == "metrics" else 3_000
    memory = MemorySink()
    run = gangplank.run("memory", "a", sink=memory, histogram_buckets=[0.0])
    for number in range(many):
        record(run, number, number)
    assert warnings(caplog) == [sentence.format(0)]
    assert remembered(run._log) <= 2_100  # noqa: SLF001
    clock.now += 60
    record(run, many, many)
    (_, line) = warnings(caplog)
    said = re.fullmatch(r"(.*) \((\d+) more like it since the last line\)", line)
    assert said
    assert said[1] == ". ".join(sentence.format(number) for number in range(1, 21))
    assert int(said[2]) in (many - 21, many - 20)  # the thread that sends may log it before the record does
    run.finish()
    assert len(warnings(caplog)) == 3
    assert memory.value("gangplank_run_dropped_metrics_total", reason=reason) == many + 1


def test_ever_new_names_in_one_record_are_a_line(caplog: pytest.LogCaptureFixture) -> None:
    run = gangplank.run("memory", "a", sink=MemorySink())
    for epoch in range(3):
        run.record({f"note{number}": "text" for number in range(MANY)}, epoch=epoch)
    (line,) = warnings(caplog)
    assert line.count("is not exported") == 20
    assert line.endswith(f"({MANY - 20} more like it since the last line)")
    run.finish()


def test_wanted_names_that_never_appeared_are_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with gangplank.run("memory", "a", sink=MemorySink(), metrics=[f"m{number}" for number in range(MANY)]) as run:
        run.record({"loss": 1.0}, epoch=0)
    assert [line.count("never appeared") for line in warnings(caplog)] == [20, 20]  # the second at the end of the run


def test_names_that_change_are_all_named_a_few_at_a_time(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    run = gangplank.run("memory", "a", sink=MemorySink(), ignore_exceptions=False)
    run.record({f"a/{number:02}": 1.0 for number in range(45)}, epoch=0)
    assert [line.count("is exported as") for line in warnings(caplog)] == [20]
    for epoch in range(1, 4):
        clock.now += 60
        run.record({"loss": 1.0}, epoch=epoch)
    assert [line.count("is exported as") for line in warnings(caplog)] == [20, 20, 5]
    assert all(any(f"'a/{number:02}'" in line for line in warnings(caplog)) for number in range(45))
    run.finish()


def test_facts_of_a_plugin_that_are_refused_are_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with Exporter("memory", "a", sink=MemorySink()).run() as run:
        run.start()
        run.kept.add_info("slurm", {f"a b{number}": "x" for number in range(MANY)})
    assert [line.count("is not a valid label name") for line in warnings(caplog)] == [20, 20]


def test_each_kind_has_a_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    with gangplank.run("memory", "a", sink=MemorySink()) as run:
        run.record({"note": "text", "a/b": 1.0}, epoch=0, learning_rates={"rate": "text"})
    assert sorted(line.split(" ")[1] for line in warnings(caplog)) == ["learning", "metric", "metric"]


def test_what_waits_is_the_parents_to_log_after_a_fork(caplog: pytest.LogCaptureFixture) -> None:
    logs = log.Log(raises=False)
    for number in range(3):
        logs.warn_of_each("%s is odd", {str(number): (number,)})
    logs.reset()
    logs.log_waiting(at_once=True)
    assert warnings(caplog) == ["0 is odd"]


class Unprintable:
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


def test_what_cannot_be_logged_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    logs = log.Log(raises=False)
    thing: Any = Unprintable()
    logs.warn_of_each("%s is odd", {"a": (thing,)})
    logs.warn_of_each("%s is odd", {"b": ("b",)})
    assert warnings(caplog) == ["b is odd"]


def test_the_lines_are_a_minute_apart(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    logs = log.Log(raises=False)
    for second in range(0, 181, 20):
        clock.now += 20
        logs.warn_of_each("%s is odd", {str(second): (second,)})
        logs.log_waiting()
    assert [line.split(" ")[0] for line in warnings(caplog)] == ["0", "20", "80", "140"]
