"""The hooks; `gangplank.hooks` is their public module, and shows how to write and install a plugin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pluggy

from gangplank.core.sinks.base import Sink
from gangplank.core.types import Adapter, Delivery, Outcome, RunView, Snapshot

PROJECT = "gangplank"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def gangplank_run_started(run: RunView) -> None:
    """A run has started: its first epoch, or its evaluation, begins.

    For messages, or for a list of the runs. `run.group.labels` has the job, the phase and the user's own labels,
    `run.name` is the `run` label.

        @hookimpl
        def gangplank_run_started(run):
            post(f"{run.group} has started")

    It is announced by the entry point `chat = "company_chat"`, as the module's docstring shows.
    """


@hookspec
def gangplank_snapshot(run: RunView, snapshot: Snapshot) -> None:
    """A run has recorded something: `snapshot` is frozen, and fields that are None or empty have not changed.

    For checks of the values. Metrics are float64, by the framework's names; `epoch` counts completed epochs.

        @hookimpl
        def gangplank_snapshot(run, snapshot):
            if snapshot.metrics.get("loss", 0) > 100:
                post(f"{run.group} diverges in epoch {snapshot.epoch}")

    It is announced by the entry point `chat = "company_chat"`. What the hook returns is
    ignored: it cannot change what is exported.
    """


@hookspec
def gangplank_run_finished(run: RunView, outcome: Outcome) -> None:
    """A run has ended; nothing more is recorded in it.

    `outcome` is a string: `finished`, `failed` or `interrupted`.

        @hookimpl
        def gangplank_run_finished(run, outcome):
            if outcome is Outcome.FAILED:
                alert(run.group)

    It is announced by the entry point `chat = "company_chat"`. When the process exits, plugins have a third of a second
    to handle the events that are still in the queue.
    """


@hookspec
def gangplank_delivered(run: RunView, delivery: Delivery) -> None:
    """An attempt to send a page of a run has succeeded or failed.

    For alerts and tests that depend on the delivery.

        @hookimpl
        def gangplank_delivered(run, delivery):
            if delivery.error is not None:
                count_failure(delivery.to, delivery.error.reason)

    It is announced by the entry point `audit = "company_audit"`. gangplank sends a page
    that failed again; a plugin need not.
    """


@hookspec
def gangplank_info(run: RunView) -> Mapping[str, str]:  # type: ignore[empty-body]
    """Return facts about the run, for `gangplank_run_info`; called once, when the run has started.

    For facts that gangplank cannot know: the queue of a cluster, a cost centre, the version of a data set.

        @hookimpl
        def gangplank_info(run):
            return {"queue": os.environ.get("QUEUE", ""), "cost_centre": cost_centre_of(os.getuid())}

    It is announced by the entry point `cluster = "company_cluster"`. The names must be valid labels that gangplank, the
    user and plugins whose names sort earlier do not set. Empty values are left out. The facts go to the info family
    only, so that installing a plugin changes no other series.
    """


@hookspec(firstresult=True)
def gangplank_open_sink(address: str) -> Sink | None:
    """Return a sink for an address whose scheme is this plugin's, None for any other.

    Called on the user's thread when an exporter is made, but never for gangplank's own schemes. Check everything that
    can be checked, raise a `gangplank.ConfigurationError` that suggests a fix, and do not connect before the first
    `send`. The address contains no credentials; a sink that needs some reads its own environment variables.

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
    `gangplank.Exporter("kafka://broker:9092/metrics", "digits")` works. `gangplank.Sink` documents what a sink must do.
    """


@hookspec
def gangplank_adapters() -> Iterable[Adapter]:  # type: ignore[empty-body]
    """Return the adapters of this plugin, for `gangplank adapters` and for the contract tests.

    They are text only, so that no framework is imported; the plugin's module must not import one either.

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
    the announced adapter works. docs/write-an-adapter.md shows how to write one.
    """
