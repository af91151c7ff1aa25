"""Step-level export: what each batch logs and takes, in order or not, and never mixed with the epoch's."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any, cast

import keras
import numpy as np
import pytest

import gangplank
from gangplank.keras.batches import Batches
from gangplank.testing import MemorySink
from gangplank.testing.gateway import Gateway
from support.reading import value as value_on
from support.seeding import seed
from support.servers import Server
from with_keras.version import VERSION

SAMPLES = 40


def value(gateway: Gateway, name: str, **labels: str) -> float | None:
    return value_on(cast("Server", gateway), name, **labels)


def exporter(address: str, **options: Any) -> gangplank.TrainTestExporter:
    return gangplank.TrainTestExporter(address, "digits", **{"update_freq": "batch", "push_interval": 0, **options})


def fit(*callbacks: Any, epochs: int = 2, at_once: int = 1, data: Any = None, **options: Any) -> keras.Model:
    seed(7)
    x = np.random.default_rng(7).normal(size=(SAMPLES, 3)).astype("float32")
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse", steps_per_execution=at_once)
    if data is None:
        options = {"batch_size": 4, "y": x.sum(axis=1), **options}
    model.fit(x if data is None else data, epochs=epochs, verbose=0, callbacks=list(callbacks), **options)
    return model


def made_by(optimizer: Any, accumulated: int = 1) -> int:
    """Return the steps that an optimizer has made."""
    count = int(keras.ops.convert_to_numpy(optimizer.iterations))
    # A variable counts the batches; newer versions of Keras compute the steps from it.
    return count // accumulated if hasattr(optimizer.iterations, "assign") else count


class Last(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Remembers what Keras logged of the last batch of all."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[str, Any] = {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.logs = dict(logs)


@pytest.fixture
def gateway() -> Any:
    with Gateway() as gateway:
        yield gateway


def test_the_last_batch_is_what_keras_logged(gateway: Gateway) -> None:
    last = Last()
    model = fit(exporter(gateway.address), last)
    assert value(gateway, "gangplank_train_batch_loss") == last.logs["loss"]
    assert value(gateway, "gangplank_train_loss") is not None
    assert value(gateway, "gangplank_run_metric_epoch", metric="batch_loss") is None
    assert value(gateway, "gangplank_run_step") == 20 == made_by(model.optimizer)
    assert value(gateway, "gangplank_run_step_duration_seconds_count") == 20


@pytest.mark.skipif(keras.config.backend() == "torch", reason="Keras on torch has one step per execution")
@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")  # older versions of Keras, on TensorFlow
@pytest.mark.xfail(
    VERSION < (3, 5) and keras.config.backend() == "tensorflow",
    reason="Keras before 3.5 itself fails on TensorFlow where an epoch ends within an execution",
    raises=(AttributeError, TypeError),
    strict=True,
)
@pytest.mark.parametrize("at_once", [3, 4, 10, 16])
def test_steps_of_one_execution_are_counted_each(gateway: Gateway, at_once: int) -> None:
    model = fit(exporter(gateway.address, update_freq=3), at_once=at_once, validation_split=0.1)
    batches = 9  # of the nine tenths
    assert value(gateway, "gangplank_run_step_duration_seconds_count") == 2 * batches
    made = made_by(model.optimizer)
    assert value(gateway, "gangplank_run_step") == made
    # Keras 3.5 and 3.6 on TensorFlow count an execution that an epoch ends within as one step more, and do not end it.
    if VERSION >= (3, 7) or keras.config.backend() != "tensorflow":
        assert made == 2 * batches
        assert value(gateway, "gangplank_train_batch_loss") is not None


def test_data_of_unknown_length_is_counted(gateway: Gateway) -> None:
    def batches() -> Any:
        for number in range(7):
            x = np.random.default_rng(number).normal(size=(4, 3)).astype("float32")
            yield x, x.sum(axis=1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras says that the generator is at its end
        model = fit(exporter(gateway.address), epochs=1, data=batches(), shuffle=False)
    # Keras before 3.7 looks at some batches, and does not train on them.
    trained_on = 7 - ({"jax": 2, "torch": 1}.get(keras.config.backend(), 0) if VERSION < (3, 7) else 0)
    made = made_by(model.optimizer)
    assert value(gateway, "gangplank_run_step") == made
    assert value(gateway, "gangplank_run_step_duration_seconds_count") == trained_on


def test_a_resumed_fit_counts_on(gateway: Gateway) -> None:
    model = fit(exporter(gateway.address), epochs=1)
    x = np.ones((8, 3), "float32")
    model.fit(
        x, x[:, 0], batch_size=4, initial_epoch=1, epochs=2, verbose=0, callbacks=[exporter(gateway.address, run="two")]
    )
    assert value(gateway, "gangplank_run_step", run="two") == 12
    assert value(gateway, "gangplank_run_step_duration_seconds_count", run="two") == 2


def test_by_epoch_no_batch_hook_is_there() -> None:
    by_epoch, by_batch = exporter("127.0.0.1:1", update_freq="epoch"), exporter("127.0.0.1:1")
    for hook in ("on_train_batch_begin", "on_train_batch_end", "on_batch_end"):
        assert hook not in vars(by_epoch)
    assert "on_train_batch_end" in vars(by_batch)
    assert by_batch.async_safe
    assert not hasattr(by_epoch, "async_safe")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_notes_its_own_batches(gateway: Gateway, copied: Any) -> None:
    original = exporter(gateway.address, run="one")
    other = copied(original)
    assert other.on_train_batch_end != original.on_train_batch_end
    fit(other)
    assert value(gateway, "gangplank_run_step_duration_seconds_count") == 20


def test_late_batches_change_nothing() -> None:
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory, update_freq="batch", push_interval=0) as run:
        run.start()
        batches = Batches(run, position=(100, 1), at_once=1, planned=4)
        for batch in (0, 1, 2, 3):
            batches.begin(batch)
        for batch in (0, 3, 1, 2):  # as JAX' pool of threads may have it
            batches.end(batch, {"loss": float(batch)})
        batches.end_epoch(104)
    assert memory.value("gangplank_train_batch_loss") == 3
    assert memory.value("gangplank_run_step") == 104
    assert memory.value("gangplank_run_step_duration_seconds_count") == 4


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("accumulated", [2, 4])
def test_batches_that_are_accumulated_are_one_step(accumulated: int, scaled: bool) -> None:
    seed(7)
    x = np.ones((SAMPLES, 3), "float32")
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    optimizer: Any = keras.optimizers.SGD(0.125, gradient_accumulation_steps=accumulated)
    model.compile(keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer, "mse")
    memory = MemorySink()
    callback = gangplank.TrainTestExporter(
        "memory", "digits", sink=memory, update_freq="batch", push_interval=0, ignore_exceptions=False
    )
    for fits in (1, 2):
        history = model.fit(x, x[:, 0], batch_size=5, epochs=3, verbose=0, callbacks=[callback]).history
        steps = [page.newest.step for page in memory.pages if page.newest.step is not None]
        assert steps[-1] == max(steps) == fits * 24 // accumulated == made_by(optimizer, accumulated)
        assert memory.value("gangplank_run_step_duration_seconds_count") == 24
        assert memory.value("gangplank_train_learning_rate") == 0.125
        assert memory.value("gangplank_train_batch_loss") == pytest.approx(history["loss"][-1])


# One process of several


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("RANK", "1"),
        ("KERAS_DISTRIBUTION_PROCESS_ID", "1"),
        ("SLURM_PROCID", "1"),
        ("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'),
    ],
)
def test_ranks_above_0_are_silent_unless_asked(
    gateway: Gateway, variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    fit(exporter(gateway.address, histogram_buckets=[0.0], run="silent"))
    assert 'run="silent"' not in gateway.metrics()
    fit(exporter(gateway.address, per_rank=True))
    assert value(gateway, "gangplank_run_state", state="finished", rank="1") == 1


def test_a_rank_that_cannot_be_read_costs_nothing(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{no JSON")
    fit(exporter(gateway.address))
    assert value(gateway, "gangplank_run_state", state="finished") == 1
