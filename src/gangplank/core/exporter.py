"""The core's own plugin: from the hooks to the ledger of the run, and on to its destinations."""

from __future__ import annotations

from typing import Protocol

from gangplank.core.delivery import Destinations
from gangplank.core.hookspecs import hookimpl
from gangplank.core.ledger import Ledger
from gangplank.core.snapshot import Outcome, Snapshot


class ExportedRun(Protocol):
    """What the core's exporter needs of a run, beyond what other plugins see."""

    @property
    def ledger(self) -> Ledger:
        """Its newest values."""

    @property
    def destinations(self) -> Destinations:
        """Where they travel."""


@hookimpl
def gangplank_run_started(run: ExportedRun) -> None:
    """Show that the run has begun, and what is planned."""
    run.destinations.begin(run.ledger)


@hookimpl
def gangplank_snapshot(run: ExportedRun, snapshot: Snapshot) -> None:
    """Show the newest values: those of an epoch or an evaluation at once, those of a step by and by."""
    run.ledger.update(snapshot)
    run.destinations.push(run.ledger, at_once=not snapshot.of_steps)


@hookimpl
def gangplank_run_finished(run: ExportedRun, outcome: Outcome) -> None:
    """Show how the run ended, and wait a moment for that to arrive."""
    run.ledger.close(outcome)
    run.destinations.push_last(run.ledger, raises=outcome is Outcome.FINISHED)
