"""What is exported of a training: the evaluations, the position, the learning rate, and where the time goes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
import sklearn.base
import xgboost
from xgboost.callback import EarlyStopping, LearningRateScheduler

from gangplank import ConfigurationError
from gangplank.testing import MemorySink
from gangplank.xgboost import TrainTestExporter
from support.boosting import PARAMS, Calls, exporter, matrix, table, train
from support.ended import Shown, runs
from support.reading import value
from support.servers import Server
from support.shown import assert_shows_no_password, each_mistake


def seen(memory: MemorySink, metric: str) -> list[tuple[int | None, float]]:
    """Return the values of a metric and the epochs that they are from, each once, in their order."""
    held = [page.metrics[metric] for page in memory.pages if metric in page.metrics]
    return list(dict.fromkeys((one.epoch, one.value) for one in held))


def rates(memory: MemorySink) -> list[float]:
    """Return the learning rate that each round was recorded with."""
    by_epoch = {page.newest.epoch: page.newest.learning_rates for page in memory.pages if page.newest.learning_rates}
    return [rate for found in by_epoch.values() for rate in found.values()]


def numbered(values: list[float], first: int = 1) -> list[tuple[int, float]]:
    return list(enumerate(values, first))


def test_every_evaluation_of_every_round_is_exported_exactly(memory: MemorySink) -> None:
    results: dict[str, Any] = {}
    train(4, exporter(memory), results=results)
    assert seen(memory, "logloss") == numbered(results["train"]["logloss"])
    assert seen(memory, "auc") == numbered(results["train"]["auc"])
    assert seen(memory, "eval_logloss") == numbered(results["eval"]["logloss"])
    assert memory.value("gangplank_train_eval_auc") == results["eval"]["auc"][-1]
    assert memory.pages[-1].metrics.keys() == {"logloss", "auc", "eval_logloss", "eval_auc"}


def test_a_cross_validation_exports_means_and_deviations(memory: MemorySink) -> None:
    found = xgboost.cv(PARAMS, matrix(), 4, nfold=3, as_pandas=False, callbacks=[exporter(memory)])
    for name in ("mean", "std"):
        assert seen(memory, f"logloss_{name}") == numbered(found[f"train-logloss-{name}"])
        assert seen(memory, f"test_auc_{name}") == numbered(found[f"test-auc-{name}"])
    assert runs(memory) == [Shown("finished", 4, 4)]
    assert rates(memory) == [pytest.approx(0.3)] * 4


def test_an_estimator_exports_its_rounds_under_its_names(memory: MemorySink) -> None:
    features, labels = table()
    estimator = xgboost.XGBClassifier(n_estimators=5, eval_metric="logloss", n_jobs=1, callbacks=[exporter(memory)])
    estimator.fit(features, labels, eval_set=[(features, labels)], verbose=False)
    assert seen(memory, "validation_0_logloss") == numbered(estimator.evals_result()["validation_0"]["logloss"])
    assert runs(memory) == [Shown("finished", 5, 5)]


def test_a_clone_of_an_estimator_exports_too(gateway: Server) -> None:
    original = TrainTestExporter(gateway.address, "churn")
    estimator = sklearn.base.clone(xgboost.XGBClassifier(n_estimators=2, n_jobs=1, callbacks=[original]))
    assert estimator.callbacks[0] is not original
    estimator.fit(*table())
    assert value(gateway, "gangplank_run_epoch") == 2


def test_without_evaluations_the_rounds_are_counted(memory: MemorySink) -> None:
    train(3, exporter(memory), evals=[])
    assert runs(memory) == [Shown("finished", 3, 3)]
    assert memory.pages[-1].metrics == {}


@pytest.mark.parametrize("where", ["before", "behind"])
@pytest.mark.parametrize("save_best", [False, True])
def test_the_round_that_early_stopping_ends_is_exported(memory: MemorySink, where: str, save_best: bool) -> None:
    results: dict[str, Any] = {}
    stopping = EarlyStopping(rounds=2, metric_name="logloss", data_name="eval", save_best=save_best)
    callbacks = [exporter(memory), stopping] if where == "before" else [stopping, exporter(memory)]
    train(200, *callbacks, results=results, params={"learning_rate": 2.0})
    losses = results["eval"]["logloss"]
    assert 2 < len(losses) < 200
    assert seen(memory, "eval_logloss") == numbered(losses)
    assert runs(memory) == [Shown("finished", len(losses), 200)]


def test_the_round_that_early_stopping_ends_in_a_cross_validation_is_exported(memory: MemorySink) -> None:
    stopping = EarlyStopping(rounds=2, metric_name="logloss", data_name="test")
    callbacks = [stopping, exporter(memory)]
    found = xgboost.cv({**PARAMS, "eta": 2.0}, matrix(), 200, nfold=3, as_pandas=False, callbacks=callbacks)
    best = len(found["test-logloss-mean"])
    assert runs(memory) == [Shown("finished", best + 2, 200)]
    assert seen(memory, "test_logloss_mean")[:best] == numbered(found["test-logloss-mean"])


@pytest.mark.parametrize("evaluated", [True, False])
def test_a_round_that_another_callback_prevents_is_not_exported(memory: MemorySink, evaluated: bool) -> None:
    options: dict[str, Any] = {} if evaluated else {"evals": []}
    booster = train(9, exporter(memory), Calls(lambda: True, epoch=4, before=True), **options)
    assert booster.num_boosted_rounds() == 4
    assert runs(memory) == [Shown("finished", 4, 9)]


def test_a_hidden_last_round_without_evaluations_is_exported(memory: MemorySink) -> None:
    booster = train(9, Calls(lambda: True, epoch=4), exporter(memory), evals=[])
    assert booster.num_boosted_rounds() == 5
    assert runs(memory) == [Shown("finished", 5, 9)]


def test_a_training_that_continues_a_model_goes_on_where_it_was(memory: MemorySink) -> None:
    results: dict[str, Any] = {}
    train(3, exporter(memory), xgb_model=train(5), results=results)
    assert memory.pages[0].newest.epoch == 5
    assert seen(memory, "logloss") == numbered(results["train"]["logloss"], first=6)
    assert runs(memory) == [Shown("finished", 8, 8)]


def test_a_hidden_last_round_of_a_continued_training_is_exported(memory: MemorySink) -> None:
    train(9, Calls(lambda: True, epoch=2), exporter(memory), xgb_model=train(5))
    assert runs(memory) == [Shown("finished", 8, 14)]


def test_a_training_with_nothing_left_to_do_is_not_exported(memory: MemorySink) -> None:
    train(0, exporter(memory), xgb_model=train(5))
    assert memory.pages == []


def test_the_planned_rounds_may_be_given(memory: MemorySink) -> None:
    train(3, exporter(memory, rounds=10), xgb_model=train(5))
    assert runs(memory) == [Shown("finished", 8, 15)]


def test_a_loop_of_ones_own_plans_what_is_given(memory: MemorySink) -> None:
    for rounds, planned in ((None, None), (7, 7)):
        data, booster = matrix(), None
        callbacks = xgboost.callback.CallbackContainer([exporter(memory, rounds=rounds)])
        booster = callbacks.before_training(xgboost.Booster(dict(PARAMS), [data]))
        for epoch in range(3):
            callbacks.before_iteration(booster, epoch, data, [(data, "train")])
            booster.update(data, epoch)
            callbacks.after_iteration(booster, epoch, data, [(data, "train")])
        callbacks.after_training(booster)
        assert runs(memory)[-1] == Shown("finished", 3, planned)


def test_hooks_that_are_called_without_a_container_export(memory: MemorySink) -> None:
    data, callback = matrix(), exporter(memory, rounds=3)
    booster = xgboost.Booster(dict(PARAMS), [data])
    for epoch in range(3):
        callback.before_iteration(booster, epoch, {})
        booster.update(data, epoch)
        callback.after_iteration(booster, epoch, {"train": {"logloss": [0.5]}})
    assert callback.after_training(booster) is booster
    assert runs(memory) == [Shown("finished", 3, 3)]


def test_the_learning_rate_is_exported(memory: MemorySink) -> None:
    train(3, exporter(memory), params={"eta": 0.125})
    assert rates(memory) == [0.125] * 3


@pytest.mark.parametrize("booster", ["gblinear", "dart"])
def test_the_learning_rate_of_other_boosters_is_exported(memory: MemorySink, booster: str) -> None:
    train(2, exporter(memory), params={"booster": booster, "eta": 0.125, "max_depth": None, "subsample": None})
    assert rates(memory) == [0.125] * 2


@pytest.mark.parametrize("scheduler", ["before", "behind"])
def test_a_scheduled_learning_rate_is_that_of_the_round(memory: MemorySink, scheduler: str) -> None:
    schedule = LearningRateScheduler([0.5, 0.25, 0.125, 0.0625])
    callbacks = [schedule, exporter(memory)] if scheduler == "before" else [exporter(memory), schedule]
    train(4, *callbacks, params={"eta": 1.0})
    assert rates(memory) == [1.0, 0.5, 0.25, 0.125], "what the scheduler sets after a round is for the next one"


@pytest.mark.parametrize(("others", "times"), [([], 1), ([LearningRateScheduler([0.5] * 4)], 4)])
def test_the_learning_rate_is_read_once_if_no_callback_can_change_it(
    memory: MemorySink, monkeypatch: pytest.MonkeyPatch, others: list[Any], times: int
) -> None:
    read: list[Any] = []
    save_config = xgboost.Booster.save_config

    def noted(model: Any) -> Any:
        read.append(model)
        return save_config(model)

    monkeypatch.setattr(xgboost.Booster, "save_config", noted)
    train(4, exporter(memory), EarlyStopping(rounds=9), *others)
    assert len(read) == times


def test_the_model_is_the_same_with_and_without_an_exporter(memory: MemorySink) -> None:
    def model(*callbacks: Any) -> list[str]:
        schedule = LearningRateScheduler([0.5, 0.25, 0.125, 0.0625])
        found: list[str] = train(4, schedule, *callbacks).get_dump(dump_format="json")
        return found

    assert model(exporter(memory)) == model()


def test_the_time_of_rounds_is_training_and_that_of_other_callbacks_is_not(memory: MemorySink) -> None:
    wanted: list[str | None] = []
    callback = exporter(memory)

    def current() -> None:
        wanted.append(callback.each_call()[0][1].run.activities.current)

    train(3, callback, Calls(current, before=True), Calls(current))
    assert wanted == ["train", "other"]
    spent = {
        activity: memory.value("gangplank_run_activity_seconds_total", activity=activity)
        for activity in ("startup", "train", "other", "validate", "checkpoint")
    }
    assert (spent["validate"], spent["checkpoint"]) == (0, 0)
    assert all(spent[activity] for activity in ("startup", "train", "other"))


@pytest.mark.parametrize("rounds", [0, -1, 2.5, "many"])
def test_rounds_that_cannot_be_are_refused(rounds: Any) -> None:
    with pytest.raises(ConfigurationError, match="rounds="):
        TrainTestExporter("127.0.0.1:1", "churn", rounds=rounds)


@each_mistake()
def test_a_constructor_that_refuses_shows_no_password(mistake: Mapping[str, Any]) -> None:
    assert_shows_no_password(TrainTestExporter, mistake)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_exports_as_the_original_does(gateway: Server, copied: Any) -> None:
    original = TrainTestExporter(gateway.address, "churn", rounds=10, metrics=["eval-auc"])
    train(2, copied(original))
    assert value(gateway, "gangplank_run_epochs_planned") == 10
    assert value(gateway, "gangplank_train_eval_auc")
    assert value(gateway, "gangplank_train_logloss") is None


def test_the_framework_is_named(memory: MemorySink) -> None:
    train(1, exporter(memory))
    assert memory.value("gangplank_run_info", framework="xgboost", framework_version=xgboost.__version__) == 1
