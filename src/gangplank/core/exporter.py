"""The core's own plugin: from the hooks to the ledger of the run, and on to its delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gangplank.core.hookspecs import hookimpl
from gangplank.core.snapshot import Outcome, Snapshot

if TYPE_CHECKING:
    from gangplank.core.run import Run


@hookimpl(tryfirst=True)
def gangplank_run_started(run: Run) -> None:
    """Show that the run has begun, and what is planned."""
    run.delivery.push(run.ledger)


@hookimpl(tryfirst=True)
def gangplank_snapshot(run: Run, snapshot: Snapshot) -> None:
    """Show the newest values: those of an epoch or an evaluation at once, those of a step by and by."""
    run.ledger.update(snapshot)
    run.delivery.push(run.ledger, at_once=snapshot.step is None or snapshot.epoch is not None)


@hookimpl(tryfirst=True)
def gangplank_run_finished(run: Run, outcome: Outcome) -> None:
    """Show how the run ended, and wait a moment for that to arrive."""
    run.ledger.close(outcome)
    if outcome is Outcome.FINISHED:
        run.delivery.push(run.ledger)
    run.delivery.push_last(run.ledger)
