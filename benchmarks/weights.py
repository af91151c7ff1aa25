"""Weight histograms: the time per weight, by edges, dtype and size, and the memory that counting takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.contest import OURS, Contest, MissingError, Options, Target, take_turns
from benchmarks.peers import PUBLISHED, published_worker
from benchmarks.weighing import EDGES_13, EDGES_21
from benchmarks.worker import Worker

GROUP, GROWTH = "Weight histograms, one core", "Growth"
NANOSECONDS = "ns per weight"
ALONE = "gangplank, the counts alone"
LOOP, TENSORBOARD = "`Histogram.observe` loop", "TensorBoard's histogram"
READ, NUMPY, OLD = "`w.sum()`: one read of the memory", "`np.histogram`", f"gangplank {PUBLISHED}"
ON_EDGES = (
    "One weight in a thousand lies on an edge. Our counts are checked against sorting in float64. The loops over "
    "float32 scalars compare with edges that NumPy rounds to float32, and are checked against that; `np.histogram` "
    "counts a weight on an edge above that edge."
)
# The free memory that is needed, in multiples of the size of the weights.
MARGIN = 3


def histogram(options: Options) -> Iterator[Contest]:
    """The time per weight, compared with the peers."""
    size = options.size(20_000_000, 1_000_000)
    slow = options.size(200_000, 20_000)
    with Worker(one_core=True) as worker, published_worker(one_core=True) as old:
        figures, missing = take_turns(
            {
                OURS: lambda: worker.call("weighing:ours", size=size, edges=EDGES_13),
                LOOP: lambda: worker.call("weighing:observe", size=slow),
                OLD: lambda: old("weighing:published_loop", size=slow),
                TENSORBOARD: lambda: worker.call("weighing:tensorboard", size=options.size(5_000_000, 500_000)),
                NUMPY: lambda: worker.call("weighing:numpy_histogram", size=size),
                ALONE: lambda: worker.call("weighing:counts_alone", size=size),
                READ: lambda: worker.call("weighing:read", size=size),
            },
            options.rounds,
        )
    yield Contest(
        group=GROUP,
        what="13 edges, float32, normal(0, 0.05): counts, sum and non-finite weights",
        unit=NANOSECONDS,
        rounds=figures,
        missing=missing,
        targets=(
            Target(most=2.5),
            Target(most=2.0, of=ALONE),
            Target(times=350, than=LOOP),
            Target(times=35, than=TENSORBOARD),
            Target(most=10, than=READ),
        ),
        notes=(ON_EDGES,),
    )


def kinds(options: Options) -> Iterator[Contest]:
    """Other edges, other dtypes, weights that lie close together."""
    size = options.size(10_000_000, 1_000_000)
    cases: dict[str, dict[str, object]] = {
        "13 edges, float32": {},
        "13 edges, float32, uniform(-0.05, 0.05)": {"kind": "uniform"},
        "21 edges, float32": {"edges": EDGES_21},
        "13 edges, float16": {"dtype": "float16"},
        "13 edges, bfloat16": {"dtype": "bfloat16"},
        "13 edges, float64": {"dtype": "float64"},
    }
    with Worker(one_core=True) as worker:
        call = partial(worker.call, "weighing:ours", size=size)
        figures, missing = take_turns(
            {name: partial(call, **{"edges": EDGES_13, **case}) for name, case in cases.items()}, options.rounds
        )
    yield Contest(
        group=GROUP, what="edges and dtypes", unit=NANOSECONDS, rounds=figures, missing=missing, compared=False
    )


def tiny(options: Options) -> Iterator[Contest]:
    """Many tensors with few weights each."""
    with Worker(one_core=True) as worker:
        measure = {OURS: lambda: worker.call("weighing:tiny", tensors=10_000)}
        figures, missing = take_turns(measure, options.rounds)
    yield Contest(
        group=GROUP,
        what="10,000 tensors of 100 weights, 13 edges",
        unit="s",
        rounds=figures,
        missing=missing,
        targets=(Target(most=0.2),),
    )


def memory(options: Options) -> Iterator[Contest]:
    """The peak memory that counting a large model adds."""
    megabytes = options.size(1000, 40)

    def peak(kind: str) -> float:
        _need(MARGIN * megabytes * 1_000_000)
        with Worker() as worker:
            return float(worker.call("weighing:memory", megabytes=megabytes, kind=kind))

    models = ("NumPy arrays", "torch module", "Keras model")
    figures, missing = take_turns({kind: partial(peak, kind) for kind in models}, 1)
    yield Contest(
        group=GROUP,
        what=f"extra peak memory, a model of {megabytes:,} MB",
        unit="MB",
        rounds=figures,
        missing=missing,
        targets=tuple(Target(of=kind, most=64) for kind in models),
        compared=False,
        notes=(
            "Each in its own process. Peers that copy the weights, or keep a row of buckets for each, are left out.",
        ),
    )


def growth(options: Options) -> Iterator[Contest]:
    """The time per weight, from few weights to very many."""
    most: dict[str, tuple[str, float]] = {
        OURS: ("ours", 1e9),
        NUMPY: ("numpy_histogram", 1e8),
        TENSORBOARD: ("tensorboard", 1e7),
        LOOP: ("observe", 1e6),
    }
    costs: list[float] = []
    for size in (10**power for power in range(4, options.size(10, 7))):
        with Worker(one_core=True) as worker:
            contestants: dict[str, Callable[[], float]] = {
                name: partial(_sized, worker, function, size)
                for name, (function, limit) in most.items()
                if size <= limit and not (options.quick and name == LOOP and size > 10_000)  # noqa: PLR2004
            }
            rounds = options.rounds if size < 10**8 else min(2, options.rounds)
            figures, missing = take_turns(contestants, rounds)
        contest = Contest(group=GROWTH, what=f"{size:,} weights", unit=NANOSECONDS, rounds=figures, missing=missing)
        yield contest
        if OURS in figures and size >= 10**6:
            costs.append(contest.spread(OURS).median)
    yield Contest(
        group=GROWTH,
        what="from a million weights on: the highest cost per weight over the lowest",
        unit="times",
        rounds={OURS: [max(costs) / min(costs)]},
        targets=(Target(most=1.5),),
        notes=("1 is linear. Below a million weights, the fixed cost per call is visible.",),
    )


def _sized(worker: Worker, function: str, size: int) -> float:
    _need(MARGIN * 4 * size)
    more = {"edges": EDGES_13} if function == "ours" else {}
    return float(worker.call(f"weighing:{function}", size=size, **more))


def _need(much: float) -> None:
    """Raise MissingError unless this many bytes of memory are free."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    if free < much:
        raise MissingError(f"{much / 1e9:.0f} GB of memory are needed, {free / 1e9:.0f} GB were free")
