"""`gangplank demo`: train and evaluate on real data, and show what arrived on the gateway."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import gangplank
from gangplank.cli.exit_codes import DONE, FAILED, epilog
from gangplank.cli.remote.gateway import GatewayClient
from gangplank.core.sinks import address as addresses

if TYPE_CHECKING:
    from gangplank.cli.remote.tables import JobMetrics

ADDRESS, JOB = "127.0.0.1:9091", "digits"
BACKENDS = ("tensorflow", "jax", "torch")


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "demo",
        help="train on real digits, and show what arrives on a gateway",
        description="Train a small Keras model on handwritten digits, and show what arrives on a gateway.",
        epilog=epilog(
            done="the numbers on the gateway equal those that Keras returned",
            failed="they differ, or something that the demo needs is missing",
        ),
    )
    parser.add_argument(
        "--address",
        default=ADDRESS,
        type=addresses.conceal,
        help="a gateway; started if none listens there (%(default)s)",
    )
    parser.add_argument("--epochs", type=int, default=8, help="epochs to train (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="do not stop the gateway that the demo started")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; return 0 if the numbers in the gateway equal those that Keras returned."""
    choose_backend()
    with gateway(arguments.address, keep=arguments.keep) as hint:
        returned = train_and_evaluate(arguments.address, arguments.epochs)
        return show(arguments.address, returned, hint)


def choose_backend() -> None:
    """Make Keras use a backend that is installed.

    Raises:
        MissingExtraError: something that the demo needs is not installed.
    """
    wanted = os.environ.get("KERAS_BACKEND")
    installed = [name for name in BACKENDS if wanted in (None, name) and importlib.util.find_spec(name)]
    missing = [name for name in ("keras", "rich", "sklearn") if not importlib.util.find_spec(name)]
    if missing or not installed:
        what = ", ".join(missing) or f"the backend {wanted}"
        extra = wanted if wanted in BACKENDS else (installed or BACKENDS)[0]
        raise gangplank.MissingExtraError(f"the demo needs {what}", extra, "demo")
    os.environ["KERAS_BACKEND"] = installed[0]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow logs every device that it does not find


@contextlib.contextmanager
def gateway(address: str, *, keep: bool) -> Iterator[str]:
    """Use the gateway that listens on the address, or start the embedded one; yields how to read it afterwards.

    Raises:
        GangplankError: another program listens there, or the gateway does not start.
    """
    command = f"curl http://{address}/metrics"
    if _listens(address):
        GatewayClient(address).groups()  # raises unless it is a Pushgateway
        print(f"Pushing to the gateway that listens on {address}.")
        yield command
        return
    process = _start(address)
    print(f"No gateway listens on {address}: the demo has started one in memory.")
    try:
        yield (
            f"{command}\nThe gateway keeps running; to stop it: kill {process.pid}"
            if keep
            else f"{command}\nThis gateway stops with the demo; to keep it running: --keep (make demo KEEP=1)."
        )
    finally:
        if not keep:
            process.terminate()
            process.wait()


def _start(address: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gangplank", "gateway", "--listen", address]
    # With --keep, it outlives the demo: Ctrl-C here must not reach it, and it must not keep our pipes open.
    null = subprocess.DEVNULL
    process = subprocess.Popen(  # noqa: S603  this Python
        command, stdin=null, stdout=null, stderr=null, start_new_session=True
    )
    deadline = time.monotonic() + 30
    while not _listens(address):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise gangplank.GangplankError(f"the embedded gateway did not start on {address}")
        time.sleep(0.05)
    return process


def _listens(address: str) -> bool:
    parsed = addresses.parse(address)
    with contextlib.suppress(OSError), socket.create_connection((parsed.host, parsed.port), timeout=2):
        return True
    return False


def train_and_evaluate(address: str, epochs: int) -> dict[str, dict[str, float]]:
    """Train a small convnet on scikit-learn's handwritten digits; return what Keras returned, by phase."""
    import keras  # noqa: PLC0415  slow, and not needed by other verbs
    from sklearn.datasets import load_digits  # noqa: PLC0415

    random.seed(7)  # for Keras' initial weights; its own `set_random_seed` imports TensorFlow with every backend
    digits = load_digits()
    order = np.random.default_rng(7).permutation(len(digits.target))
    images, labels = digits.images[order][..., None] / 16.0, digits.target[order]
    train, validate, test = slice(0, 1200), slice(1200, 1500), slice(1500, None)
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    print(f"Training on {len(labels[train])} handwritten digits with Keras on {keras.config.backend()}.\n", flush=True)
    progress: Any = {"verbose": 1 if sys.stdout.isatty() else 2}
    history = model.fit(
        images[train],
        labels[train],
        epochs=epochs,
        validation_data=(images[validate], labels[validate]),
        callbacks=[_exporter(address)],
        **progress,
    )
    evaluated = model.evaluate(images[test], labels[test], callbacks=[_exporter(address)], return_dict=True, **progress)
    return {"train": {name: values[-1] for name, values in history.history.items()}, "test": evaluated}


def _exporter(address: str) -> gangplank.TrainTestExporter:
    return gangplank.TrainTestExporter(address, JOB, histogram_buckets=gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3)


def show(address: str, returned: dict[str, dict[str, float]], hint: str) -> int:
    """Print what is on the gateway; return 0 if that is what Keras returned.

    Args:
        address: the gateway.
        returned: what Keras returned, by phase and metric.
        hint: how to read the gateway afterwards.
    """
    from rich.console import Console  # noqa: PLC0415  comes with Keras

    from gangplank.cli.remote.tables import fetch_job  # noqa: PLC0415  it needs rich

    metrics = fetch_job(address, JOB)
    console = Console()
    console.print(f"\nJob {JOB!r} on the gateway at {address}:", highlight=False)
    console.print(metrics.table())
    console.print("The weights of the trained model, gangplank_train_model_weights:\n", highlight=False)
    console.print(metrics.histogram("train"))
    print(f"\nTo read the gateway: {hint}\n")
    return _compare(metrics, returned)


def _compare(metrics: JobMetrics, returned: dict[str, dict[str, float]]) -> int:
    different = [
        f"gangplank_{phase}_{name} is {exported}, Keras returned {value}"
        for phase, values in returned.items()
        for name, value in values.items()
        if (exported := metrics.value(phase, name)) != float(value)
    ]
    for line in different:
        print(f"DIFFERENT: {line}", file=sys.stderr)
    if not different:
        print(f"All {sum(map(len, returned.values()))} numbers in the gateway equal those that Keras returned.")
    return FAILED if different else DONE
