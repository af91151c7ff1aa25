"""What the author of an adapter may write, and what type checkers refuse."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Unpack, assert_type
from weakref import WeakKeyDictionary

from gangplank import Adapter, AdapterExporter, Exporter, ExporterOptions, KeywordOptions, Run


class Callback:
    """A framework's base class."""


class PrometheusExporter(AdapterExporter, Callback):
    def __init__(self, address: str, job: str, **options: Unpack[ExporterOptions]) -> None:
        super().__init__()
        self.export_with(Exporter(address, job, framework={"framework": "toy_framework"}, **options))

    def on_fit_begin(self, trainer: object) -> None:
        assert_type(self.new_run("train"), Run)
        assert_type(self.calls, WeakKeyDictionary[Any, Any])
        self.calls[trainer] = self.new_run("train")
        assert_type(self.guard("ending the fit"), AbstractContextManager[None])
        self.calls = {}  # type: ignore[assignment]
        self.guard()  # type: ignore[call-arg]
        self.new_run()  # type: ignore[call-arg]
        self.export_with("127.0.0.1:9091")  # type: ignore[arg-type]


class Positional(AdapterExporter):
    """One that takes some options by position, as Keras' does."""

    def __init__(self, address: str, job: str, metrics: list[str], **options: Unpack[KeywordOptions]) -> None:
        self.export_with(Exporter(address, job, metrics=metrics, **options))


def exporters() -> None:
    exporter = PrometheusExporter("127.0.0.1:9091", "slopes", timeout=1.0, handler=None)
    with exporter as same:
        assert_type(same, PrometheusExporter)
    assert_type(exporter.addresses, tuple[str, ...])
    exporter.close()
    Positional("127.0.0.1:9091", "slopes", ["loss"], timeout=1.0)

    PrometheusExporter("127.0.0.1:9091", "slopes", time_out=1.0)  # type: ignore[call-arg]
    PrometheusExporter("127.0.0.1:9091", "slopes", timeout="1")  # type: ignore[arg-type]
    PrometheusExporter("127.0.0.1:9091")  # type: ignore[call-arg]
    Positional("127.0.0.1:9091", "slopes", ["loss"], metrics=["loss"])  # type: ignore[misc]
    Positional("127.0.0.1:9091", "slopes", ["loss"], ignore_exceptions=False)  # type: ignore[call-arg]


def announced() -> None:
    Adapter(
        name="toy_framework",
        framework="toy_framework",
        exporter="gangplank_toy_framework:PrometheusExporter",
        install="pip install x",
    )

    Adapter(name="toy_framework", framework="toy_framework")  # type: ignore[call-arg]
    Adapter(name="toy_framework", framework="toy_framework", exporter=PrometheusExporter, install="x")  # type: ignore[arg-type]
