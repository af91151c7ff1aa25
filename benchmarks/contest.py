"""What is measured: contests, whose contestants take turns, round after round, and the targets of each."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

OURS = "gangplank"


class WrongAnswerError(Exception):
    """A contestant was measured, and what it computed is wrong."""


class MissingError(Exception):
    """A contestant cannot be had here; the message says why."""


def check(right: object, what: str) -> None:
    """Raise WrongAnswerError unless something holds."""
    if not right:
        raise WrongAnswerError(what)


class Spread(NamedTuple):
    """The rounds of one figure."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: list[float]) -> Spread:
        """Return the spread of at least one figure."""
        return cls(statistics.median(figures), min(figures), max(figures))


@dataclass(frozen=True, kw_only=True)
class Target:
    """What gangplank is to reach.

    Attributes:
        most: the largest figure that is good enough, or with `than` the largest multiple of that contestant's figure.
        times: how many times `than`'s figure has to be gangplank's.
        than: a contestant.
        of: the contestant that is to reach it.
    """

    most: float | None = None
    times: float | None = None
    than: str | None = None
    of: str = OURS


@dataclass(frozen=True, kw_only=True)
class Contest:
    """One row: what each contestant's figure was in each round; less is better, unless it is a rate.

    Attributes:
        what: is measured.
        unit: of the figures.
        rounds: the figures by contestant, one per round; the first contestant is what the others are compared with.
        targets: what is to be reached.
        missing: why a contestant has no figures.
        notes: what a reader has to know.
        compared: whether the contestants do the same, so that ratios of their figures say something.
        group: the heading under which the row stands.
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
        """Return how many times one contestant's figure is another's, round by round: those were side by side."""
        both = zip(self.rounds[over], self.rounds[under], strict=False)
        return Spread.of([one / other if other else float("inf") for one, other in both])

    def reached(self, target: Target) -> float | None:
        """Return what the target speaks of; None where a contestant is missing."""
        if target.of not in self.rounds or (target.than is not None and target.than not in self.rounds):
            return None
        if target.than is None:
            return self.spread(target.of).median
        pair = (target.than, target.of) if target.times is not None else (target.of, target.than)
        return self.ratio(*pair).median

    def met(self, target: Target) -> bool | None:
        """Return whether a target is met; None where nobody knows."""
        reached = self.reached(target)
        if reached is None:
            return None
        return reached >= target.times if target.times is not None else reached <= (target.most or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it; `from_json` takes it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, read: dict[str, Any]) -> Contest:
        """Return what `to_json` made JSON of."""
        targets = tuple(Target(**target) for target in read["targets"])
        return cls(**{**read, "targets": targets, "notes": tuple(read["notes"])})


def take_turns(
    contestants: Mapping[str, Callable[[], float]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Measure each contestant once per round, in turn; who is missing is left out of the later rounds.

    Returns:
        the figures by contestant, and why those that have none have none.
    """
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    missing: dict[str, str] = {}
    for turn in range(rounds):
        # Backwards every other time, so that none always follows the same one.
        for name, measure in list(contestants.items())[:: -1 if turn % 2 else 1]:
            if name not in missing:
                try:
                    figures[name].append(measure())
                except MissingError as reason:
                    missing[name] = str(reason)
    return {name: taken for name, taken in figures.items() if taken}, missing


class Options(NamedTuple):
    """How thoroughly to measure."""

    quick: bool = False
    rounds: int = 5

    def size(self, full: int, quick: int) -> int:
        """Return the one of two sizes that is wanted."""
        return quick if self.quick else full
