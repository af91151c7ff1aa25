"""Contests: contestants that are measured in turns, round after round, and the targets."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

OURS = "gangplank"


class WrongAnswerError(Exception):
    """A contestant computed a wrong result."""


class MissingError(Exception):
    """A contestant is not available here; the message says why."""


def check(right: object, what: str) -> None:
    """Raise WrongAnswerError unless `right` is true."""
    if not right:
        raise WrongAnswerError(what)


class Spread(NamedTuple):
    """The median and the range of one figure over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: list[float]) -> Spread:
        """Return the spread of at least one figure."""
        return cls(statistics.median(figures), min(figures), max(figures))


@dataclass(frozen=True, kw_only=True)
class Target:
    """A target of gangplank.

    Attributes:
        most: the largest figure that meets the target, or with `than` the largest multiple of that contestant's figure.
        times: the figure of `than` has to be at least this many times that of gangplank.
        than: a contestant.
        of: the contestant that the target is for.
    """

    most: float | None = None
    times: float | None = None
    than: str | None = None
    of: str = OURS


@dataclass(frozen=True, kw_only=True)
class Contest:
    """One row: the figure of each contestant in each round; less is better, unless it is a rate.

    Attributes:
        what: what is measured.
        unit: of the figures.
        rounds: the figures by contestant, one per round; the others are compared with the first contestant.
        targets: of this row.
        missing: why a contestant has no figures.
        notes: for the reader of the table.
        compared: whether the contestants do the same work, so that ratios of their figures have a meaning.
        group: the heading of the table that the row is in.
    """

    group: str
    what: str
    unit: str
    rounds: Mapping[str, list[float]] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    compared: bool = True

    def spread(self, contestant: str) -> Spread:
        """Return the figures of a contestant."""
        return Spread.of(self.rounds[contestant])

    def ratio(self, over: str, under: str) -> Spread:
        """Return the ratio of two contestants' figures, round by round, since one round is measured at one time."""
        both = zip(self.rounds[over], self.rounds[under], strict=False)
        return Spread.of([one / other if other else float("inf") for one, other in both])

    def reached(self, target: Target) -> float | None:
        """Return the figure, or the ratio, that the target is for; None if a contestant is missing."""
        if target.of not in self.rounds or (target.than is not None and target.than not in self.rounds):
            return None
        if target.than is None:
            return self.spread(target.of).median
        pair = (target.than, target.of) if target.times is not None else (target.of, target.than)
        return self.ratio(*pair).median

    def met(self, target: Target) -> bool | None:
        """Return whether a target is met; None if a contestant is missing."""
        reached = self.reached(target)
        if reached is None:
            return None
        return reached >= target.times if target.times is not None else reached <= (target.most or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Return it as data for JSON; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, read: dict[str, Any]) -> Contest:
        """Return the contest that `to_json` returned."""
        targets = tuple(Target(**target) for target in read["targets"])
        return cls(**{**read, "targets": targets, "notes": tuple(read["notes"])})


def take_turns(
    contestants: Mapping[str, Callable[[], float]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Measure each contestant once per round, in turn; a missing one is left out of the later rounds.

    Returns:
        the figures by contestant, and the reason for each missing one.
    """
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    missing: dict[str, str] = {}
    for turn in range(rounds):
        # In reverse order every other time, so that no contestant always follows the same one.
        for name, measure in list(contestants.items())[:: -1 if turn % 2 else 1]:
            if name not in missing:
                try:
                    figures[name].append(measure())
                except MissingError as reason:
                    missing[name] = str(reason)
    return {name: taken for name, taken in figures.items() if taken}, missing


class Options(NamedTuple):
    """How much to measure."""

    quick: bool = False
    rounds: int = 5

    def size(self, full: int, quick: int) -> int:
        """Return the full size, or the small one if the run is quick."""
        return quick if self.quick else full
