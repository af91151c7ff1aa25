"""The hooks: what a run tells whoever listens, and what it asks them.

A plugin is a module (or any object) with functions of these names, marked with `gangplank.hookimpl`, that an installed
distribution announces under the entry-point group `gangplank`. The whole journey, for a plugin that notes how each run
of a company ended:

1. `gangplank_ledger.py`, which imports nothing that is slow to import; a hook takes only the arguments it names:

       from gangplank import Outcome, RunInfo, hookimpl

       @hookimpl
       def gangplank_run_finished(run: RunInfo, outcome: Outcome) -> None:
           with open("/var/log/runs", "a") as file:
               print(dict(run.group.labels)["job"], run.name, outcome, file=file)

2. `pyproject.toml`, whose entry point's name is the plugin's:

       [project]
       name = "gangplank-ledger"
       version = "1.0"
       dependencies = ["gangplank"]

       [project.entry-points.gangplank]
       ledger = "gangplank_ledger"

3. `pip install .`, then `gangplank plugins` lists `ledger` with its hooks, or says why it cannot be used.
   `GANGPLANK_DISABLE_PLUGINS=ledger` switches it off (`all`: every installed one); `GANGPLANK_PLUGINS=ledger,other`
   lets only these in.

What the hooks of an installed plugin get is read-only and holds no credentials. They are called on a thread of their
own, each guarded: one that raises is reported once, by the plugin's name, one that hangs holds up the other plugins,
and neither the training. Only `gangplank_open_sink` and `gangplank_adapters` are called where they are needed: at
construction, and by the command line. The core's own exporter (`gangplank.core.exporter`) and gangplank's own sinks and
adapters (`gangplank._builtin`) implement the same hooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pluggy

from gangplank.core.sinks import Sink
from gangplank.core.snapshot import Adapter, Delivery, Outcome, RunView, Snapshot

PROJECT = "gangplank"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def gangplank_run_started(run: RunView) -> None:
    """A run has become real: its first epoch, or its evaluation, begins.

    For who wants to know what runs: a chat message, a row in a table. `run.group.labels` has the job, the phase and the
    user's own labels, `run.name` the `run` label.

        @hookimpl
        def gangplank_run_started(run):
            post(f"{run.group} has begun")

    It is announced by the entry point `chat = "company_chat"`, as the module's docstring shows.
    """


@hookspec
def gangplank_snapshot(run: RunView, snapshot: Snapshot) -> None:
    """A run has recorded something: `snapshot` is frozen, and what it leaves out has not changed.

    For who watches the numbers. All are float64, by the framework's names; an epoch is a count of completed epochs.

        @hookimpl
        def gangplank_snapshot(run, snapshot):
            if snapshot.metrics.get("loss", 0) > 100:
                post(f"{run.group} diverges in epoch {snapshot.epoch}")

    It is announced by the entry point `chat = "company_chat"`. Nothing a hook returns changes what is exported.
    """


@hookspec
def gangplank_run_finished(run: RunView, outcome: Outcome) -> None:
    """A run has ended; nothing more is recorded in it.

    `outcome` is text as well: `finished`, `failed` or `interrupted`.

        @hookimpl
        def gangplank_run_finished(run, outcome):
            if outcome is Outcome.FAILED:
                page_someone(run.group)

    It is announced by the entry point `chat = "company_chat"`. When the process ends, plugins have a third of a second
    to be told of what they have not heard yet.
    """


@hookspec
def gangplank_delivered(run: RunView, delivery: Delivery) -> None:
    """A page of a run has arrived at a destination, or has not.

    For who must know that the numbers are where the dashboards look: alerting, tests.

        @hookimpl
        def gangplank_delivered(run, delivery):
            if delivery.error is not None:
                count_failure(delivery.to, delivery.error.reason)

    It is announced by the entry point `audit = "company_audit"`. A page that failed is sent again, whatever is done
    here.
    """


@hookspec
def gangplank_info(run: RunView) -> Mapping[str, str]:  # type: ignore[empty-body]
    """Return facts about where the run runs, for `gangplank_run_info`; asked once, when the run has started.

    For what the core cannot know: a cluster's queue, a cost centre, a data set's version.

        @hookimpl
        def gangplank_info(run):
            return {"queue": os.environ.get("QUEUE", ""), "cost_centre": cost_centre_of(os.getuid())}

    It is announced by the entry point `cluster = "company_cluster"`. The names must be legal labels that are not taken:
    what the core, the user and plugins of earlier names say stays. Empty values are left out. Facts go to the info
    family only, so that installing a plugin changes no other series.
    """


@hookspec(firstresult=True)
def gangplank_open_sink(address: str) -> Sink | None:
    """Return a sink for an address whose scheme is this plugin's, None for any other.

    Called on the user's thread when an exporter is made, for schemes that are not gangplank's own: those cannot be
    taken over by being installed. Check everything that can be checked, raise `gangplank.ConfigurationError` with the
    cure, and connect to nothing: that is for the first `send`. The address holds no credentials; a sink that needs some
    finds them in its own environment variables.

        class Kafka:
            def __init__(self, address):
                self._address = address

            def __str__(self):
                return self._address

            def send(self, page, timeout):
                try:
                    producer(self._address).send(page.identified().text(), timeout)
                except KafkaError as error:
                    raise DeliveryError(str(error), "unreachable") from error

            def close(self):
                ...

        @hookimpl
        def gangplank_open_sink(address):
            return Kafka(address) if address.startswith("kafka://") else None

    It is announced by the entry point `kafka = "gangplank_kafka"`; after `pip install gangplank-kafka`,
    `gangplank.Run("kafka://broker:9092/metrics", "digits")` works. `gangplank.Sink` says what a sink must do.
    """


@hookspec
def gangplank_adapters() -> Iterable[Adapter]:  # type: ignore[empty-body]
    """Return the frameworks that this plugin adapts, for `gangplank adapters` and for the contract tests.

    All in text, so that asking imports no framework: this module may not import one either.

        @hookimpl
        def gangplank_adapters():
            return [
                Adapter(
                    name="lightgbm",
                    framework="lightgbm",
                    exporter="gangplank_lightgbm.exporter:PrometheusExporter",
                    install="pip install gangplank-lightgbm",
                )
            ]

    It is announced by the entry point `lightgbm = "gangplank_lightgbm"`; `gangplank.testing.AdapterContract` tests that
    what is announced works. docs/write-an-adapter.md tells the rest.
    """
