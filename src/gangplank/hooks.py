"""The hooks: a plugin implements them to observe runs, and to add facts, sinks and adapters.

A plugin is a module (or any object) with functions of these names, marked with `gangplank.hookimpl`. An installed
distribution announces it under the entry-point group `gangplank`. A complete example is a plugin that logs how each run
of a company ended:

1. `gangplank_outcomes.py`, which imports nothing that is slow to import; a hook takes only the arguments it names:

       from gangplank import Outcome, RunInfo, hookimpl

       @hookimpl
       def gangplank_run_finished(run: RunInfo, outcome: Outcome) -> None:
           with open("/var/log/runs", "a") as file:
               print(dict(run.group.labels)["job"], run.name, outcome, file=file)

2. `pyproject.toml`, whose entry point has the plugin's name:

       [project]
       name = "gangplank-outcomes"
       version = "1.0"
       dependencies = ["gangplank"]

       [project.entry-points.gangplank]
       outcomes = "gangplank_outcomes"

3. `pip install .`; then `gangplank plugins` lists `outcomes` with its hooks, or says why it cannot be used.
   `GANGPLANK_DISABLE_PLUGINS=outcomes` switches it off (`all` switches off every installed plugin);
   `GANGPLANK_PLUGINS=outcomes,other` allows only these.

In a notebook, `register(plugin, "outcomes")` adds a plugin to this process, and `unregister("outcomes")` removes it.

What the hooks of a plugin receive is read-only and holds no credentials. They are called on a thread of their own,
each call guarded: a plugin that raises is reported once, by its name; one that hangs delays the other plugins; neither
affects the training. Only `gangplank_open_sink` and `gangplank_adapters` are called when they are needed: when an
exporter is made, and by the command line. The exporter itself, and gangplank's own sinks and adapters, implement the
same hooks.
"""

from gangplank.core.plugins.hookspecs import (
    gangplank_adapters,
    gangplank_delivered,
    gangplank_info,
    gangplank_open_sink,
    gangplank_run_finished,
    gangplank_run_started,
    gangplank_snapshot,
    hookimpl,
)
from gangplank.core.plugins.registry import register, unregister

__all__ = [
    "gangplank_adapters",
    "gangplank_delivered",
    "gangplank_info",
    "gangplank_open_sink",
    "gangplank_run_finished",
    "gangplank_run_started",
    "gangplank_snapshot",
    "hookimpl",
    "register",
    "unregister",
]
