"""Each batch that a fit trains on has one duration, whatever ends an epoch and however many batches run at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

import gangplank
from gangplank.testing import MemorySink
from with_keras.version import VERSION

BACKEND = keras.config.backend()
# What Keras says of data that ends before the epoch does.
pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")


class TrainedOn(keras.metrics.Metric):  # type: ignore[misc]  # Keras has no types
    """Counts the batches of all epochs."""

    def __init__(self) -> None:
        super().__init__(name="trained_on")
        self.batches = self.add_weight(shape=(), initializer="zeros", name="batches")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        # It depends on what is in the batch: TensorFlow would also count one that does not exist.
        one = keras.ops.minimum(keras.ops.abs(keras.ops.sum(y_pred)) + 1.0, 1.0)
        self.batches.assign(self.batches + one)

    def result(self) -> Any:
        return self.batches + 0

    def reset_state(self) -> None:
        """Keep on counting."""


def batches(number: int) -> Iterator[Any]:
    for place in range(number):
        yield np.full((4, 3), place / 10, "float32"), np.ones(4, "float32")


class Sized(keras.utils.PyDataset):  # type: ignore[misc]
    """Data of known length."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, place: int) -> Any:
        return np.full((4, 3), place / 10, "float32"), np.ones(4, "float32")


def dataset(number: int) -> Any:
    import tensorflow as tf  # noqa: PLC0415  the other backends do without it

    kinds = tf.TensorSpec((4, 3)), tf.TensorSpec((4,))
    return tf.data.Dataset.from_generator(lambda: batches(number), output_signature=kinds)


def loader(number: int) -> Any:
    import torch  # noqa: PLC0415  the other backends do without it

    class Samples(torch.utils.data.IterableDataset):  # type: ignore[misc, unused-ignore]
        def __iter__(self) -> Iterator[Any]:
            return iter([(torch.full((3,), 0.5), torch.tensor(1.0))] * 4 * number)

    return torch.utils.data.DataLoader(Samples(), batch_size=4)


DATA: dict[str, Callable[[int], Any]] = {
    "generator": batches,
    "sized": Sized,
    **({"tf.data": dataset} if BACKEND == "tensorflow" else {"loader": loader} if BACKEND == "torch" else {}),
}


@pytest.mark.skipif(VERSION < (3, 7), reason="older versions of Keras look at batches that they do not train on")
@pytest.mark.parametrize("at_once", [1] if BACKEND == "torch" else [1, 4])
@pytest.mark.parametrize("number", [1, 8, 10])
@pytest.mark.parametrize("steps", [None, -1, 3])
@pytest.mark.parametrize("kind", DATA)
def test_as_many_durations_as_batches(kind: str, steps: int | None, number: int, at_once: int) -> None:
    memory, counter = MemorySink(), TrainedOn()
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.001), "mse", metrics=[counter], steps_per_execution=at_once)
    callback = gangplank.TrainTestExporter("memory", "a", sink=memory, update_freq="batch", push_interval=0)
    # As many steps as the data has batches, or fewer, or more.
    planned = None if steps is None else max(1, number + steps)
    # After an epoch without data, a validation raises on JAX.
    validated = kind != "generator" and number == 10
    options: Any = {"validation_data": Sized(2)} if validated else {}
    options |= {"epochs": 2, "steps_per_epoch": planned, "shuffle": False}
    model.fit(DATA[kind](number), verbose=0, callbacks=[callback], **options)
    trained_on = iterations = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    if BACKEND == "tensorflow":  # where the optimizer also counts a batch that does not exist
        trained_on = int(keras.ops.convert_to_numpy(counter.batches)) - 2 * 2 * validated
    assert memory.value("gangplank_run_step_duration_seconds_count") == trained_on > 0
    assert memory.value("gangplank_run_step") == iterations
