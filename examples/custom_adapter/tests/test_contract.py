"""gangplank's contract for adapters, and tests of what is specific to LightGBM."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lightgbm
import pytest
from gangplank_lightgbm.callback import PrometheusExporter, learning_rate
from sklearn.datasets import load_breast_cancer

from gangplank.testing import AdapterContract
from gangplank.testing.gateway import Gateway

PARAMS = {"objective": "binary", "metric": "auc", "learning_rate": 0.1, "verbosity": -1, "num_threads": 1}


def data() -> tuple[lightgbm.Dataset, lightgbm.Dataset]:
    """Return a training set and a validation set."""
    x, y = load_breast_cancer(return_X_y=True)
    train = lightgbm.Dataset(x[100:], y[100:])
    return train, lightgbm.Dataset(x[:100], y[:100], reference=train)


class TestLightGBM(AdapterContract):
    """The tests that every adapter must pass."""

    adapter = "lightgbm"

    def train(self, exporter: Any, epochs: int, each_epoch: Callable[[int], None]) -> Mapping[str, float]:
        """Train, and return what LightGBM itself recorded."""
        train, validation = data()
        reported: dict[str, dict[str, list[float]]] = {}
        with exporter:
            lightgbm.train(
                PARAMS,
                train,
                epochs,
                valid_sets=[train, validation],
                callbacks=[exporter, lightgbm.record_evaluation(reported), lambda env: each_epoch(env.iteration)],
            )
        return {"auc": reported["training"]["auc"][-1], "val_auc": reported["valid_1"]["auc"][-1]}


def values(gateway: Gateway, name: str, label: str = "") -> list[float]:
    """Return the values of the samples that have this label, sorted."""
    lines = [line for line in gateway.metrics().splitlines() if line.startswith(f"{name}{{") and label in line]
    return sorted(float(line.rsplit(" ", 1)[1]) for line in lines)


def value(gateway: Gateway, name: str, label: str = "") -> float:
    """Return the value of the one sample that has this label."""
    [found] = values(gateway, name, label)
    return found


def test_early_stopping_is_a_good_end(gateway: Gateway) -> None:
    """The gateway shows the last round, not the best one."""
    train, validation = data()
    reported: dict[str, dict[str, list[float]]] = {}
    stop, record = lightgbm.early_stopping(2, verbose=False), lightgbm.record_evaluation(reported)
    with PrometheusExporter(gateway.address, "tumours") as exporter:
        booster = lightgbm.train(PARAMS, train, 500, valid_sets=validation, callbacks=[exporter, stop, record])
    rounds = len(reported["valid_0"]["auc"])
    assert booster.best_iteration + 2 == rounds == value(gateway, "gangplank_run_epoch")
    assert value(gateway, "gangplank_train_val_auc") == reported["valid_0"]["auc"][-1]
    assert value(gateway, "gangplank_run_epochs_planned") == 500
    assert value(gateway, "gangplank_run_state", 'state="finished"') == 1
    assert value(gateway, "gangplank_train_learning_rate") == 0.1


@pytest.mark.parametrize("how", ["train", "cv"])
def test_early_stopping_is_a_good_end_also_if_nobody_keeps_the_model(gateway: Gateway, how: str) -> None:
    """The run ends with its model, before the `with` block does; `cv` returns no model."""
    train, validation = data()
    sets: dict[str, Any] = {"valid_sets": validation} if how == "train" else {"nfold": 3}
    with PrometheusExporter(gateway.address, "tumours") as exporter:
        stop = lightgbm.early_stopping(2, verbose=False)
        getattr(lightgbm, how)(PARAMS, train, 500, **sets, callbacks=[exporter, stop])
        assert value(gateway, "gangplank_run_state", 'state="finished"') == 1
    assert 2 < value(gateway, "gangplank_run_epoch") < 500


def test_a_training_that_stopped_early_ends_before_the_next_begins(gateway: Gateway) -> None:
    """Also while its model is kept."""
    kept = []
    with PrometheusExporter(gateway.address, "tumours", concurrent=True, ignore_exceptions=False) as exporter:
        for _ in range(3):
            train, validation = data()
            stop = lightgbm.early_stopping(2, verbose=False)
            kept.append(lightgbm.train(PARAMS, train, 500, valid_sets=validation, callbacks=[exporter, stop]))
        assert values(gateway, "gangplank_run_state", 'state="finished"') == [0, 1, 1]
    assert values(gateway, "gangplank_run_state", 'state="finished"') == [1, 1, 1]


def test_a_training_that_was_broken_off_has_failed(gateway: Gateway) -> None:
    """At once, without a `with` block, although the exception is caught."""
    exporter = PrometheusExporter(gateway.address, "tumours")
    with contextlib.suppress(ZeroDivisionError):
        lightgbm.train(PARAMS, data()[0], 5, callbacks=[exporter, lambda env: 1 / (1 - env.iteration)])
    end = time.monotonic() + 10
    while values(gateway, "gangplank_run_state", 'state="failed"') != [1]:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert value(gateway, "gangplank_run_epoch") == 1, "the other callback is called first"


def test_one_exporter_serves_two_threads(gateway: Gateway) -> None:
    """Each training has its own rounds and its own end."""
    exporter = PrometheusExporter(gateway.address, "tumours", concurrent=True)
    both = threading.Barrier(2, timeout=60)

    def train(rounds: int) -> None:
        with exporter:
            lightgbm.train(PARAMS, data()[0], rounds, callbacks=[exporter, lambda env: env.iteration or both.wait()])

    with ThreadPoolExecutor() as threads:
        list(threads.map(train, (3, 30)))
    assert values(gateway, "gangplank_run_epoch") == values(gateway, "gangplank_run_epochs_planned") == [3, 30]
    assert values(gateway, "gangplank_run_state", 'state="finished"') == [1, 1]


def test_a_training_that_goes_on_counts_from_the_first_round_of_all(gateway: Gateway) -> None:
    """Also without a `with` block, if nothing ends the training early."""
    exporter = PrometheusExporter(gateway.address, "tumours")
    first = lightgbm.train(PARAMS, data()[0], 3, callbacks=[exporter], keep_training_booster=True)
    train, validation = data()
    lightgbm.train(PARAMS, train, 4, valid_sets=validation, init_model=first, callbacks=[exporter])
    assert value(gateway, "gangplank_run_epoch") == value(gateway, "gangplank_run_epochs_planned") == 7
    assert value(gateway, "gangplank_run_state", 'state="finished"') == 1


def test_cross_validation_shows_means_and_deviations(gateway: Gateway) -> None:
    """Of all folds together."""
    with PrometheusExporter(gateway.address, "tumours") as exporter:
        found = lightgbm.cv(PARAMS, data()[0], 3, nfold=3, eval_train_metric=True, callbacks=[exporter])
    for ours, theirs in {
        "val_auc": "valid auc-mean",
        "val_auc_stdv": "valid auc-stdv",
        "auc": "train auc-mean",
    }.items():
        assert value(gateway, f"gangplank_train_{ours}") == found[theirs][-1]


def test_further_validation_sets_carry_their_names(gateway: Gateway) -> None:
    """The first set has no name in its metrics."""
    train, validation = data()
    holdout = lightgbm.Dataset(validation.data[:50], validation.label[:50], reference=train)
    reported: dict[str, dict[str, list[float]]] = {}
    with PrometheusExporter(gateway.address, "tumours") as exporter:
        sets, names = [validation, train, holdout], ["valid", "fitted", "holdout"]
        callbacks = [exporter, lightgbm.record_evaluation(reported)]
        lightgbm.train(PARAMS, train, 2, valid_sets=sets, valid_names=names, callbacks=callbacks)
    assert value(gateway, "gangplank_train_val_auc") == reported["valid"]["auc"][-1]
    assert value(gateway, "gangplank_train_val_holdout_auc") == reported["holdout"]["auc"][-1]


@pytest.mark.parametrize(("params", "expected"), [({"eta": 0.3}, 0.3), ({"learning_rate": 0.2}, 0.2), ({}, None)])
def test_the_learning_rate_is_the_one_that_was_given(params: dict[str, float], expected: float | None) -> None:
    """Under any of its names."""
    assert learning_rate(params) == expected
