"""The adapter keeps gangplank's contract; and what is LightGBM's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightgbm
import pytest
from gangplank_lightgbm.callback import PrometheusExporter, learning_rate
from sklearn.datasets import load_breast_cancer

from gangplank.testing import AdapterContract
from gangplank.testing.gateway import Gateway

PARAMS = {"objective": "binary", "metric": "auc", "learning_rate": 0.1, "verbosity": -1, "num_threads": 1}


def data() -> tuple[lightgbm.Dataset, lightgbm.Dataset]:
    """Return what to train on, and what to validate with."""
    x, y = load_breast_cancer(return_X_y=True)
    train = lightgbm.Dataset(x[100:], y[100:])
    return train, lightgbm.Dataset(x[:100], y[:100], reference=train)


class TestLightGBM(AdapterContract):
    """What every adapter must do."""

    adapter = "lightgbm"

    def train(self, exporter: Any, epochs: int, each_epoch: Callable[[int], None]) -> Mapping[str, float]:
        """Train, and return what LightGBM itself wrote down."""
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


def value(gateway: Gateway, name: str, label: str = "") -> float:
    """Return the value of the one sample that has this label."""
    lines = [line for line in gateway.metrics().splitlines() if line.startswith(f"{name}{{") and label in line]
    [found] = [float(line.rsplit(" ", 1)[1]) for line in lines]
    return found


def test_early_stopping_is_a_good_end(gateway: Gateway) -> None:
    """The last round that was trained is shown, and not the best one."""
    train, validation = data()
    reported: dict[str, dict[str, list[float]]] = {}
    stop, write_down = lightgbm.early_stopping(2, verbose=False), lightgbm.record_evaluation(reported)
    with PrometheusExporter(gateway.address, "tumours") as exporter:
        booster = lightgbm.train(PARAMS, train, 500, valid_sets=validation, callbacks=[exporter, stop, write_down])
    rounds = len(reported["valid_0"]["auc"])
    assert booster.best_iteration + 2 == rounds == value(gateway, "gangplank_run_epoch")
    assert value(gateway, "gangplank_train_val_auc") == reported["valid_0"]["auc"][-1]
    assert value(gateway, "gangplank_run_epochs_planned") == 500
    assert value(gateway, "gangplank_run_state", 'state="finished"') == 1
    assert value(gateway, "gangplank_train_learning_rate") == 0.1


def test_a_training_that_goes_on_counts_from_the_first_round_of_all(gateway: Gateway) -> None:
    """Also without a `with`, where nothing ends a training early."""
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
    """And the first keeps the name that it has alone."""
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
    """By any of its names."""
    assert learning_rate(params) == expected
