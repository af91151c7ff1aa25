"""The hooks: what a run tells whoever listens.

The core's own exporter implements them (`gangplank.core.exporter`) and comes first; it runs on the training thread.
"""

from __future__ import annotations

import pluggy

from gangplank.core.snapshot import Outcome, RunView, Snapshot

PROJECT = "gangplank"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def gangplank_run_started(run: RunView) -> None:
    """A run has become real: its first epoch, or its evaluation, begins."""


@hookspec
def gangplank_snapshot(run: RunView, snapshot: Snapshot) -> None:
    """A run has recorded something: `snapshot` is frozen, and what it leaves out has not changed."""


@hookspec
def gangplank_run_finished(run: RunView, outcome: Outcome) -> None:
    """A run has ended; nothing more is recorded in it."""
