"""Reading what instrumented models show, and a model without a framework."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry

Array = npt.NDArray[np.float64]


def shown(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """Return the value of a sample, by its name without `gangplank_predict_`; None where there is none."""
    return registry.get_sample_value(f"gangplank_predict_{name}", labels)


def all_shown(registry: CollectorRegistry) -> dict[str, float]:
    """Return the counts of everything but times, without `gangplank_predict_`: what one call has changed."""
    return {
        f"{sample.name.removeprefix('gangplank_predict_')}{dict(sorted(sample.labels.items())) or ''}": sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created", "_seconds_sum", "seconds_total", "timestamp_seconds"))
    }


class Model:
    """Returns a row of zeros for each row of `x`; raises what it is given instead."""

    def __init__(self) -> None:
        self.trainable = True
        self.given: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def predict(self, x: Any, batch_size: int | None = None, verbose: str | int = "auto", **more: Any) -> Array:
        """Predict the rows of x."""
        self.given.append(((x,), {"batch_size": batch_size, "verbose": verbose, **more}))
        return self(x)

    def predict_on_batch(self, x: Any) -> Array:
        return self(x)

    def __call__(self, x: Any) -> Array:
        if isinstance(x, BaseException):
            raise x
        return np.zeros((len(x), 3))

    def eval(self) -> Model:
        """Return this."""
        self.trainable = False
        return self

    def summary(self) -> str:
        return "a model"


@contextmanager
def held_up() -> Iterator[tuple[Callable[..., Any], threading.Event, threading.Event]]:
    """Give a function that sets the first event and waits for the second one."""
    entered, released = threading.Event(), threading.Event()

    def wait(*_: Any, **__: Any) -> None:
        entered.set()
        assert released.wait(20)

    try:
        yield wait, entered, released
    finally:
        released.set()
