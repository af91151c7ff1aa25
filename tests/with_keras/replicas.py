"""A fit on two replicas, two logical CPUs, as a program: it prints what Keras says of it, and what is exported."""

from __future__ import annotations

import json
import sys

import keras
import numpy as np
import tensorflow as tf

import gangplank
from gangplank.testing import MemorySink

STRATEGIES = {
    "mirrored": lambda: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    "central": lambda: tf.distribute.experimental.CentralStorageStrategy(["CPU:0", "CPU:1"]),
}

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = STRATEGIES[sys.argv[1]]()
keras.utils.set_random_seed(7)
x = np.random.default_rng(7).normal(size=(42, 3)).astype("float32")
with strategy.scope():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    model.compile(keras.optimizers.SGD(schedule), "mse", metrics=["mae"])
samples: list[float | None] = []
record = gangplank.Run.record


def recording(run: gangplank.Run, *metrics: object, **what: object) -> None:
    if "samples" in what:
        samples.append(what["samples"])  # type: ignore[arg-type]
    record(run, *metrics, **what)  # type: ignore[arg-type]


gangplank.Run.record = recording  # type: ignore[method-assign, assignment]
memory = MemorySink()
options = {"histogram_buckets": [0.0], "update_freq": "batch", "push_interval": 0, "ignore_exceptions": False}
exporter = gangplank.TrainTestExporter("memory", "a", sink=memory, **options)  # type: ignore[arg-type]
validation = {"validation_data": (x[:10], x[:10].sum(axis=1))}
history = model.fit(x, x.sum(axis=1), batch_size=8, epochs=2, verbose=0, callbacks=[exporter], **validation).history
weights = np.concatenate([np.ravel(one) for one in model.get_weights()])
counted = (memory.pages[-1].newest.weights or {})[""]
sys.stdout.write(
    json.dumps(
        {
            "replicas": strategy.num_replicas_in_sync,
            "samples": samples,
            "history": {name: numbers[-1] for name, numbers in history.items()},
            "metrics": {name: metric.value for name, metric in memory.pages[-1].metrics.items()},
            "iterations": int(keras.ops.convert_to_numpy(model.optimizer.iterations)),
            "step": memory.value("gangplank_run_step"),
            "durations": memory.value("gangplank_run_step_duration_seconds_count"),
            "rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
            "exported rate": memory.value("gangplank_train_learning_rate"),
            "weights": [weights.size, int((weights <= 0).sum()), float(weights.astype("float64").sum())],
            "counted": [counted.total, counted.counts[0], counted.sum],
            "parameters": memory.pages[-1].newest.parameters,
        }
    )
)
