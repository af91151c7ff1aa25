"""Who listens to the hooks."""

from __future__ import annotations

import pluggy

from gangplank.core import exporter, hookspecs


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(exporter)
    manager.check_pending()
    return manager


#: Calls a hook in all who implement it: `hook.gangplank_snapshot(run=run, snapshot=snapshot)`.
hook = _manager().hook
