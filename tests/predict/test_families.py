"""The families of a registry: registered once, shared by models, and clean."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

import gangplank
from gangplank import ConfigurationError, Drift, PrometheusModel
from gangplank.core.page.names import reserved_metrics
from support.predicted import Model, all_shown, held_up, shown
from support.reading import eventually
from support.servers import find

X = np.ones((4, 2))


def drift(_x: Any, _y: Any) -> Drift:
    return Drift(1, 0.5, 2.0)


def test_models_of_one_registry_share_families_and_those_with_the_same_labels_share_series(
    registry: CollectorRegistry,
) -> None:
    for name, version in ((None, None), ("a", None), ("a", "2"), (None, "2"), ("a", None)):
        PrometheusModel(Model(), registry, name=name, version=version).predict(X)
    totals = {
        tuple(sample.labels.items()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "gangplank_predict_total"
    }
    assert totals == {
        (): 4,
        (("model", "a"),): 8,
        (("model", "a"), ("version", "2")): 4,
        (("version", "2"),): 4,
    }
    names = [family.name for family in registry.collect()]
    assert len(names) == len(set(names)) > 8


def test_a_model_made_again_goes_on_counting(registry: CollectorRegistry) -> None:
    for _ in range(3):
        model = PrometheusModel(Model(), registry, get_drift_metrics_func=drift)
        model.predict(X)
        model.close()
    assert (shown(registry, "total"), shown(registry, "drift_detected_total")) == (12, 3)
    other = CollectorRegistry()
    PrometheusModel(Model(), other).predict(X)
    assert (shown(registry, "total"), shown(other, "total")) == (12, 4)


def test_a_registry_that_was_emptied_shows_them_again(registry: CollectorRegistry) -> None:
    PrometheusModel(Model(), registry).predict(X)
    for collector in list(registry._collector_to_names):  # noqa: SLF001  as test suites do
        registry.unregister(collector)
    assert shown(registry, "total") is None
    PrometheusModel(Model(), registry).predict(X)
    assert shown(registry, "total") == 8


def test_somebody_elses_metrics_of_these_names_are_an_error_that_says_what_to_do(registry: CollectorRegistry) -> None:
    Counter("gangplank_predict_total", "Of somebody else.", registry=registry)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"gangplank_predict_total.*registry=prometheus_client"):
            PrometheusModel(Model(), registry)


def test_a_registry_that_nobody_has_any_more_is_freed() -> None:
    registry = CollectorRegistry()
    PrometheusModel(Model(), registry, get_drift_metrics_func=drift).predict(X)
    gone = weakref.ref(registry)
    del registry
    gc.collect()
    assert gone() is None


def test_what_is_shown_from_the_start(registry: CollectorRegistry) -> None:
    PrometheusModel(Model(), registry, None, drift)
    begun = shown(registry, "model_loaded_timestamp_seconds")
    assert begun is not None
    assert begun > 1_700_000_000
    methods = ("__call__", "predict", "predict_on_batch")
    assert all_shown(registry) == {
        "total": 0,
        "call_total": 0,
        "in_flight": 0,
        "untimed_total": 0,
        "drift_detected_total": 0,
        **{f"drift_checks_total{{'result': '{result}'}}": 0 for result in ("checked", "failed", "dropped")},
        **{f"latency_seconds_count{{'method': '{method}'}}": 0 for method in methods},
        **{f"batch_size_count{{'method': '{method}'}}": 0 for method in methods},
        **{f"batch_size_sum{{'method': '{method}'}}": 0 for method in methods},
    }


def test_a_page_has_everything_and_is_clean(registry: CollectorRegistry) -> None:
    for name in (None, "a"):
        model = PrometheusModel(Model(), registry, None, drift, name=name)
        model.predict(X)
        model(X)
        with pytest.raises(KeyError):
            model(KeyError())
        model.close()
    page = generate_latest(registry)
    checked = subprocess.run(
        [find("promtool"), "check", "metrics"], input=page, capture_output=True, timeout=20, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    samples = set(re.findall(r"^gangplank_predict_(\w+)", page.decode(), re.MULTILINE))
    assert len(samples) > 20
    # A metric of a training must not have these names.
    assert samples <= reserved_metrics("predict")
    assert reserved_metrics("predict") - reserved_metrics("train") - samples == {"batch_size", "latency_seconds"}


def test_only_so_many_types_of_exceptions_are_told_apart(registry: CollectorRegistry) -> None:
    model = PrometheusModel(Model(), registry)
    errors = [type(f"Error{number}", (Exception,), {})() for number in range(30)]
    for error in errors * 2:
        with pytest.raises(type(error)):
            model.predict(error)
    counts = {
        sample.labels["exception"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "gangplank_predict_errors_total"
    }
    assert counts == {**{f"Error{number}": 2 for number in range(20)}, "other": 20}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_child_has_no_calls_of_its_parents_in_flight(registry: CollectorRegistry) -> None:
    with held_up() as (wait, entered, released):
        measured = gangplank.instrument(wait, registry=registry)

        def fork() -> int:
            return os.fork()

        thread = threading.Thread(target=measured)
        thread.start()
        entered.wait(20)
        assert shown(registry, "in_flight") == 1
        pid = gangplank.instrument(fork, registry=registry)()
        if not pid:  # pragma: no cover
            signal.alarm(20)
            # The call that goes on in both is the parent's.
            os._exit(0 if shown(registry, "in_flight") == shown(registry, "total") == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        released.set()
        thread.join()
    eventually(lambda: shown(registry, "in_flight") == 0)
    assert shown(registry, "total") == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_call_that_goes_on_in_parent_and_child_counts_once_where_values_are_in_files(tmp_path: Path) -> None:
    program = """
        import os

        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        import gangplank

        pid = gangplank.instrument(os.fork)()
        if not pid:
            gangplank.instrument(lambda: 1)()  # the child counts its own
            os._exit(0)
        os.waitpid(pid, 0)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        print([registry.get_sample_value(f"gangplank_predict_{name}") for name in ("total", "in_flight")])
    """
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[2.0, 0.0]\n"
