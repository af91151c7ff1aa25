"""Who listens to the hooks: the core's own exporter, and strangers' plugins, whose faults are their own."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pluggy

from gangplank.core import exporter, hookspecs
from gangplank.core.observers import Observers
from gangplank.core.report import Report
from gangplank.core.snapshot import RunInfo, RunView

report = Report(raises=False)


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _load() -> Observers:
    """Load what is installed under the entry-point group `gangplank`; what cannot be loaded is one warning."""
    manager = _manager()
    for entry in importlib.metadata.entry_points(group=hookspecs.PROJECT):
        try:
            manager.register(entry.load(), entry.name)
        except Exception as error:  # noqa: BLE001  whatever a stranger's module does when it is imported
            kind = type(error).__name__
            report.once(f"load {entry.name}", "The plugin %s cannot be loaded: %s: %s", entry.name, kind, error)
    callers = {}
    for name, plugin in manager.list_name_plugin():
        others = [other for _, other in manager.list_name_plugin() if other is not plugin]
        callers[name] = {
            hook: manager.subset_hook_caller(hook, others)
            for hook in ("gangplank_run_started", "gangplank_snapshot", "gangplank_run_finished")
        }
    return Observers(callers, report)


_core = _manager()
_core.register(exporter)
_observers: Observers | None = None


def load() -> None:
    """Load the installed plugins, the first time; may take as long as they take to import."""
    global _observers  # noqa: PLW0603  once in a process
    if _observers is None:
        _observers = _load()


def announce(hook: str, run: RunView, **what: Any) -> None:
    """Call a hook: in the core's exporter now, and its errors are the caller's; in the others by and by."""
    getattr(_core.hook, hook)(run=run, **what)
    if _observers is not None:
        _observers.tell(hook, run=RunInfo(run.group, run.name), **what)
