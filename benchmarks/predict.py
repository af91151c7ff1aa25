"""What instrumenting a model adds to each of its predictions."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.contest import OURS, Contest, Options, Target, take_turns
from benchmarks.peers import PUBLISHED, published_worker
from benchmarks.worker import Worker

OLD = f"gangplank {PUBLISHED}"


def predict(options: Options) -> Iterator[Contest]:
    """Measure `PrometheusModel.predict`, with and without a drift function."""
    calls = options.size(200, 50)
    bare: list[float] = []
    with Worker() as worker, published_worker() as old:

        def added(call: Callable[..., Any], *, drift: bool) -> float:
            figures = call("predicting:added", calls=calls, drift=drift)
            bare.append(figures["predict"])
            return float(figures["added"])

        figures, missing = take_turns(
            {
                OURS: partial(added, worker.call, drift=False),
                f"{OURS}, drift function": partial(added, worker.call, drift=True),
                OLD: partial(added, old, drift=False),
                f"{OLD}, drift function": partial(added, old, drift=True),
            },
            options.rounds,
        )
    yield Contest(
        group="Predictions",
        what="added to a `predict` of a small Keras model, 32 samples",
        unit="us",
        rounds=figures,
        missing=missing,
        targets=tuple(Target(most=30, of=name) for name in (OURS, f"{OURS}, drift function")),
        notes=(
            f"The model alone takes {statistics.median(bare):,.0f} us, on TensorFlow, and is subtracted.",
            f"The drift function is SciPy's chi-square test. In {OLD}, it runs inside `predict`.",
            "Ours runs later, with copies: allocating these takes most of the time.",
        ),
    )
