"""The time of callbacks on the training thread: at the end of an epoch, and in each step."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.contest import OURS, Contest, Options, Target, take_turns
from benchmarks.fitting import EMPTY
from benchmarks.peers import PUBLISHED, published_worker
from benchmarks.worker import Worker
from support.servers import Server, pushgateway

GROUP = "Hooks, on the training thread"
HUNG = f"{OURS}, hung gateway"
OLD, OLD_HUNG = f"gangplank {PUBLISHED}", f"gangplank {PUBLISHED}, hung gateway"
TENSORBOARD = "Keras' TensorBoard"
ON_JAX, ON_TORCH = f"{OURS}, Keras on JAX", f"{OURS}, Keras on torch"


@contextlib.contextmanager
def gateway(*options: str, frozen: bool = False) -> Iterator[Server]:
    """Yield a real Pushgateway."""
    with tempfile.TemporaryDirectory() as folder, pushgateway(Path(folder), *options) as server:
        if frozen:
            server.freeze()
        yield server


@contextlib.contextmanager
def _keras() -> Iterator[tuple[Worker, Worker, Worker]]:
    """Yield a worker for each backend of Keras: TensorFlow, JAX, torch."""
    with Worker() as tensorflow, Worker(KERAS_BACKEND="jax") as jax, Worker(KERAS_BACKEND="torch") as torch:
        yield tensorflow, jax, torch


@contextlib.contextmanager
def gateways() -> Iterator[tuple[str, str]]:
    """Yield the addresses of a healthy Pushgateway and of a hung one."""
    with gateway() as healthy, gateway(frozen=True) as hung:
        yield healthy.address, hung.address


def epoch_end(options: Options) -> Iterator[Contest]:
    """Measure the end of an epoch: 20 metrics, no histogram."""
    epochs = options.size(60, 10)
    with gateways() as (healthy, hung), _keras() as (worker, jax, torch), published_worker() as old:

        def fit(call: Callable[..., dict[str, float]], name: str, address: str, epochs: int = epochs) -> float:
            result = call(
                "fitting:keras_fit", name=name, address=address, epochs=epochs, batches=5, healthy=address == healthy
            )
            return result["epoch"]

        figures, missing = take_turns(
            {
                OURS: partial(fit, worker.call, "gangplank", healthy),
                HUNG: partial(fit, worker.call, "gangplank", hung),
                ON_JAX: partial(fit, jax.call, "gangplank", healthy),
                ON_TORCH: partial(fit, torch.call, "gangplank", healthy),
                OLD: partial(fit, old, "published", healthy),
                TENSORBOARD: partial(fit, worker.call, "tensorboard", healthy),
            },
            options.rounds,
        )
        if not options.quick and OLD in figures:  # 30 s each time
            figures[OLD_HUNG] = [fit(old, "published", hung, 1)]
    yield Contest(
        group=GROUP,
        what="end of an epoch, 20 metrics, no histogram",
        unit="us",
        rounds=figures,
        missing=missing,
        targets=tuple(Target(most=150, of=name) for name in (OURS, HUNG, ON_JAX, ON_TORCH)),
        notes=(
            "Each figure is the median of a real `fit`, on TensorFlow unless another backend is named.",
            "A hung gateway accepts the connection and never answers.",
            "On TensorFlow, half of it is reading four variables of Keras: steps, samples, loss, learning rate.",
        ),
    )


def step(options: Options) -> Iterator[Contest]:
    """Measure each step, with step-level export on."""
    batches = options.size(500, 100)
    with gateway() as healthy, _keras() as (worker, jax, torch), Worker() as lightning:

        def fit(in_worker: Worker, name: str) -> float:
            how = {"address": healthy.address, "epochs": 2, "batches": batches, "steps": True}
            taken, nothing = (in_worker.call("fitting:keras_fit", name=which, **how)["step"] for which in (name, EMPTY))
            return float(taken - nothing)

        def train(name: str) -> float:
            how = {"address": healthy.address, "steps": 2 * batches}
            taken = float(lightning.call("lightning_fit:fit", name=name, **how))
            return taken - float(lightning.call("lightning_fit:fit", name=EMPTY, **how)) if name == OURS else taken

        in_keras, missing = take_turns(
            {
                OURS: partial(fit, worker, "gangplank"),
                ON_JAX: partial(fit, jax, "gangplank"),
                ON_TORCH: partial(fit, torch, "gangplank"),
                f"{TENSORBOARD}, `update_freq=1`": partial(fit, worker, "tensorboard"),
            },
            options.rounds,
        )
        in_lightning, missing_there = take_turns(
            {
                OURS: partial(train, "gangplank"),
                "Lightning's `TensorBoardLogger`": partial(train, "tensorboard"),
                "Lightning's `CSVLogger`": partial(train, "csv"),
            },
            options.rounds,
        )
        reads = [worker.call("fitting:reads_per_step", steps=1000)]
    yield Contest(
        group=GROUP,
        what="each step in Keras, with step-level export",
        unit="us",
        rounds=in_keras,
        missing=missing,
        targets=tuple(Target(most=5, of=name) for name in (OURS, ON_JAX, ON_TORCH)),
        notes=("The time of the hooks, minus that of the hooks of a callback that does nothing.",),
    )
    yield Contest(
        group=GROUP,
        what="each step in Lightning, with step-level export",
        unit="us",
        rounds=in_lightning,
        missing=missing_there,
        targets=(Target(most=5),),
        notes=("The sum over all hooks of a step; Lightning's loggers have `log_every_n_steps=1`.",),
    )
    yield Contest(
        group=GROUP,
        what="values read from a device, per step",
        unit="reads",
        rounds={OURS: reads},
        targets=(Target(most=0),),
        notes=("Each read would wait for the device. Values are read when they are pushed, on the training thread.",),
    )


def transformers_step(options: Options) -> Iterator[Contest]:
    """Measure each step and each log of Transformers' Trainer."""
    steps = options.size(1000, 200)
    with gateway() as healthy, Worker() as worker:

        def fit(name: str, hook: str) -> float:
            return float(
                worker.call("transformers_fit:fit", name=name, address=healthy.address, steps=steps, hook=hook)
            )

        of_step, missing = take_turns({OURS: lambda: fit("gangplank", "step") - fit(EMPTY, "step")}, options.rounds)
        of_log, missing_there = take_turns(
            {
                OURS: partial(fit, "gangplank", "log"),
                "Transformers' `TensorBoardCallback`": partial(fit, "tensorboard", "log"),
            },
            options.rounds,
        )
    yield Contest(
        group=GROUP,
        what="each step in Transformers",
        unit="us",
        rounds=of_step,
        missing=missing,
        targets=(Target(most=10),),
        notes=("The time of the hooks, minus that of the hooks of a callback that does nothing.",),
    )
    yield Contest(
        group=GROUP,
        what="each log of a step in Transformers",
        unit="us",
        rounds=of_log,
        missing=missing_there,
        notes=("With `logging_steps=1`; by default, every 500th step is logged.",),
    )


def slowdown(options: Options) -> Iterator[Contest]:
    """How much longer a training run takes, with each step exported and the weights counted at each epoch."""
    seconds = options.size(120, 10)
    rounds = max(2, options.rounds) * (1 if options.quick else 2)
    how = {"batches": 250, "steps": True, "units": 512}
    with gateway() as healthy, Worker() as worker:
        call = partial(worker.call, "fitting:keras_fit", address=healthy.address, **how)
        call(name="nothing", epochs=1)
        epoch = call(name="nothing", epochs=2)["fit"] / 2
        epochs = max(1, round(seconds / rounds / epoch))
        shares: list[float] = []

        def fit(name: str) -> float:
            result = call(name=name, epochs=epochs)
            if name == "gangplank":
                shares.append(100 * result["hooks"] / result["fit"])
            return float(result["fit"])

        named = {"no callback": "nothing", OURS: "gangplank", f"{TENSORBOARD}, all on": "tensorboard"}
        figures, missing = take_turns({name: partial(fit, which) for name, which in named.items()}, rounds)
    yield Contest(
        group="Training",
        what=f"{epochs} epochs of 250 steps, {rounds} times; each step and, each epoch, 300,000 weights exported",
        unit="s",
        rounds=figures,
        missing=missing,
        targets=(Target(most=1.01, than="no callback"),),
        notes=(
            f"Each contestant trains for {statistics.mean(figures['no callback']) * rounds:.0f} s in all, in turns.",
        ),
    )
    yield Contest(
        group="Training",
        what="inside our hooks, of that; start and end of the run included",
        unit="%",
        rounds={OURS: shares},
        targets=(Target(most=1.0),),
    )
