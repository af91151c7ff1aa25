"""Measures callbacks, in a worker: a small model is trained, and the hooks of the callback are timed."""

from __future__ import annotations

import functools
import importlib
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.contest import MissingError, check
from support.servers import get

METRICS = {f"metric_{place}": place / 7 for place in range(20)}
EPOCH_HOOKS, STEP_HOOKS = ("on_epoch_end",), ("on_train_batch_begin", "on_train_batch_end")
BATCH = 32
EMPTY = "empty"  # a contestant that does nothing, for the cost of the measuring itself


def timed(watched: Any, *hooks: str) -> dict[str, list[float]]:
    """Time each call of an object's hooks; return the seconds by hook."""
    taken: dict[str, list[float]] = {}
    for name in hooks:
        if hasattr(watched, name):
            setattr(watched, name, _timed(getattr(watched, name), taken.setdefault(name, [])))
    return taken


def _timed(hook: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    @functools.wraps(hook)
    def noted(*args: object, **kwargs: object) -> Any:
        start = time.perf_counter()
        try:
            return hook(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - start)

    return noted


def microseconds(taken: dict[str, list[float]]) -> float:
    """Return the median of the sum over the hooks, without the first tenth of the calls."""
    together = [sum(each) for each in zip(*taken.values(), strict=False)]
    median: float = statistics.median(together[len(together) // 10 :])
    return 1e6 * median


@functools.lru_cache(maxsize=1)
def keras_model(units: int) -> Any:
    """Return a compiled classifier, the same at each call, so that it is compiled once."""
    keras = importlib.import_module("keras")
    # Not `set_random_seed`: it imports TensorFlow, if it is installed, with every backend, even with torch.
    start = [keras.initializers.GlorotUniform(seed=seed) for seed in range(3)]
    layers = [keras.layers.Dense(units, activation="relu", kernel_initializer=start[place]) for place in (0, 1)]
    model = keras.Sequential([keras.layers.Input((64,)), *layers, keras.layers.Dense(10, kernel_initializer=start[2])])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


@functools.lru_cache(maxsize=1)
def samples(count: int) -> tuple[Any, Any]:
    """Return the training data, the same for every contestant."""
    random = np.random.default_rng(1)
    return random.normal(size=(count, 64)).astype(np.float32), random.integers(0, 10, count)


def keras_callback(name: str, address: str, folder: str, *, steps: bool) -> Any:
    """Return a contestant's callback, None if it has none."""
    if name == "nothing":
        return None
    keras = importlib.import_module("keras")
    if name == EMPTY:
        return _empty(keras)
    if name == "tensorboard":
        try:
            importlib.import_module("tensorboard")
        except ImportError:
            raise MissingError("tensorboard is not installed") from None
        how: dict[str, Any] = {"update_freq": 1, "histogram_freq": 1} if steps else {"update_freq": "epoch"}
        return keras.callbacks.TensorBoard(folder, write_graph=False, **how)
    gangplank = importlib.import_module("gangplank")
    check(hasattr(gangplank, "Run") == (name != "published"), "the wrong version of gangplank is imported")
    if name == "published":
        return gangplank.TrainTestExporter(address, f"bench-{name}")
    buckets = gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3 if steps else None
    return gangplank.TrainTestExporter(
        address, f"bench-{name}", histogram_buckets=buckets, update_freq="batch" if steps else "epoch"
    )


def keras_fit(
    name: str, address: str, *, epochs: int, batches: int, steps: bool = False, units: int = 16, healthy: bool = True
) -> dict[str, float]:
    """Train with a contestant's callback.

    Returns:
        microseconds per call of its hooks at the end of an epoch (`epoch`) and of a step (`step`), the seconds that all
        its hooks took (`hooks`), and those that the fit took (`fit`).
    """
    keras = importlib.import_module("keras")
    model, (x, y) = keras_model(units), samples(batches * BATCH)
    with tempfile.TemporaryDirectory() as folder:
        callback = keras_callback(name, address, folder, steps=steps)
        more = [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(METRICS))]  # noqa: ARG005
        epoch_taken = timed(callback, *EPOCH_HOOKS)
        step_taken = timed(callback, *STEP_HOOKS) if callback is not None and _overrides(callback) else {}
        others = timed(callback, "on_train_begin", "on_epoch_begin", "on_train_end")
        start = time.perf_counter()
        history = model.fit(
            x,
            y,
            batch_size=BATCH,
            epochs=epochs,
            verbose=0,
            shuffle=False,
            callbacks=[*more, *filter(None, [callback])],
        ).history
        fit = time.perf_counter() - start
    if healthy and name in ("gangplank", "published"):
        right = {"loss": history["loss"][-1], **METRICS}
        right |= {"model_weights_count": float(model.count_params())} if steps else {}
        _check_page(get(f"http://{address}/metrics"), f"bench-{name}", right)
    all_hooks = [*epoch_taken.values(), *step_taken.values(), *others.values()]
    return {
        "epoch": microseconds(epoch_taken) if epoch_taken else 0.0,
        "step": microseconds(step_taken) if step_taken else 0.0,
        "hooks": sum(map(sum, all_hooks)),
        "fit": fit,
    }


def _empty(keras: Any) -> Any:
    """Return a callback whose hooks do nothing."""
    callback = keras.callbacks.Callback()
    callback.async_safe = True
    for hook in (*EPOCH_HOOKS, *STEP_HOOKS):
        setattr(callback, hook, lambda index, logs=None: None)  # noqa: ARG005
    return callback


def _overrides(callback: Any) -> bool:
    return any(not getattr(getattr(callback, hook), "_is_default", False) for hook in STEP_HOOKS)


def _check_page(page: str, job: str, expected: dict[str, float]) -> None:
    """Raise WrongAnswerError unless the gateway has these metrics of a training run."""
    of_job = [line for line in page.splitlines() if f'job="{job}"' in line]
    for name, value in expected.items():
        lines = [line for line in of_job if line.startswith(f"gangplank_train_{name}{{")]
        held = [float(line.rpartition(" ")[2]) for line in lines]
        check(len(held) == 1 and math.isclose(held[0], value, rel_tol=1e-6), f"{name}: {held}, right is {value}")


class Unread:
    """Stands for a scalar on a device; counts how often it is read."""

    reads = 0

    def __float__(self) -> float:
        Unread.reads += 1
        return 0.5


def reads_per_step(steps: int) -> float:
    """Return how many metrics are read per step while no push is due, which has to be none."""
    run = importlib.import_module("gangplank").run("127.0.0.1:9", "bench", update_freq="batch", push_interval=3600.0)
    run.start()
    run.step({"loss": Unread()})  # the first one is due at once
    Unread.reads = 0
    for _ in range(steps):
        run.step({"loss": Unread()}, duration=0.001)
    reads = Unread.reads
    run.finish()
    check(reads == 0, f"{reads} metrics were read in {steps} steps")
    return reads / steps
