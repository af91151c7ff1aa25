"""Runs to watch: pages of runs that never were, and what watches them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType

from gangplank.cli.remote.gateway import GatewayClient
from gangplank.cli.watch.sources import GatewaySource
from gangplank.cli.watch.watcher import View, Watcher
from gangplank.core.page.page import STATES
from gangplank.core.sinks.pushgateway import path_of
from gangplank.core.types import Group
from support.verbs import put_at, served

Values = Mapping[str, float | None]

EDGES = ("-0.1", "0", "0.1", "+Inf")
_SECONDS = "_timestamp_seconds"


def healthy(now: float) -> dict[str, float | None]:
    """Return the samples of a healthy training, without `gangplank_`; those about time are relative to now."""
    return {
        "run_heartbeat_timestamp_seconds": now - 5,
        "run_last_update_timestamp_seconds": now - 5,
        "run_start_timestamp_seconds": now - 3000,
        'run_activity_seconds_total{activity="startup"}': 30,
        "run_step": 600,
        "run_steps_planned": 1000,
        "run_resumed_from_step": 0,
        "run_epoch": 6,
        "run_epochs_planned": 10,
        "run_epoch_duration_seconds": 60,
        "run_nonfinite_metrics": 0,
        "train_model_weights_nonfinite": 0,
        "train_loss": 0.5,
        "train_accuracy": 0.75,
    }


def page(
    state: str = "running",
    changes: Values = MappingProxyType({}),
    /,
    *,
    run: str = "r1",
    now: float | None = None,
    **more: float | None,
) -> str:
    """Return the page of a healthy run with other samples.

    Args:
        state: of the run.
        changes: values by name; for timestamps, the seconds ago; None takes one away.
        **more: the same.
        run: its name; an empty text is none.
        now: the time to which those of the run are relative.
    """
    changes = {**changes, **more}
    now = time.time() if now is None else now
    ago = {name: None if value is None else now - value for name, value in changes.items() if name.endswith(_SECONDS)}
    return text({**healthy(now), **changes, **ago}, state, run)


def text(values: Values, state: str = "running", run: str = "r1") -> str:
    """Return samples in Prometheus' text format, each with a run."""
    states = {f'run_state{{state="{one}"}}': float(one == state) for one in STATES}
    families: dict[str, list[str]] = {}
    for name, value in {**states, **values}.items():
        if value is not None:
            family, _, own = name.partition("{")
            labels = ",".join(filter(None, (own.removesuffix("}"), f'run="{run}"' if run else "")))
            families.setdefault(family, []).append(f"gangplank_{family}{{{labels}}} {_number(value)}")
    lines = []
    for family, samples in families.items():
        kind = "counter" if family.endswith("_total") else "gauge"
        lines += [f"# TYPE gangplank_{family} {kind}", *samples]
    return "\n".join((*lines, ""))


def weights(*counts: int, run: str = "r1", tensor: str = "") -> str:
    """Return the histogram of weights, with so many in each bucket of `EDGES`."""
    more = f'run="{run}"' + (f',tensor="{tensor}"' if tensor else "")
    name = "gangplank_train_model_weights"
    buckets = [f'{name}_bucket{{{more},le="{edge}"}} {sum(counts[: index + 1])}' for index, edge in enumerate(EDGES)]
    return "\n".join(
        (f"# TYPE {name} histogram", *buckets, f"{name}_sum{{{more}}} 0", f"{name}_count{{{more}}} {sum(counts)}", "")
    )


def push(address: str, body: str, job: str, phase: str = "train", **key: str) -> None:
    """Push a page to the group of a run."""
    put_at(address, path_of(Group((("job", job), ("phase", phase), *key.items()))), body)


def watching(address: str, job: str | None = None) -> Watcher:
    """Return what watches a gateway, which has not read it yet."""
    return Watcher(GatewaySource(GatewayClient(address)), 0.05, job)


def looked(address: str) -> tuple[Watcher, View]:
    """Return what watches a gateway, and its first view, which has no error."""
    watcher = watching(address)
    view = watcher.read()
    assert not view.error, view.error
    return watcher, view


def answering(body: str) -> AbstractContextManager[tuple[str, list[str]]]:
    """Run a server that shows one page."""
    return served(lambda *_: (200, {}, body))


def _number(value: float) -> str:
    return repr(float(value)).replace("inf", "Inf").replace("nan", "NaN")
