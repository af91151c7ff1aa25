"""`gangplank demo`: the main job on real data: train, evaluate, and read what arrived in the gateway."""

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
from gangplank.core import address as addresses

if TYPE_CHECKING:
    from gangplank.cli.holdings import Holdings

ADDRESS, JOB = "127.0.0.1:9091", "digits"
BACKENDS = ("tensorflow", "jax", "torch")


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("demo", help="train on real digits, and show what arrives in a gateway")
    parser.add_argument("--address", default=ADDRESS, help="a gateway; one is started where none listens (%(default)s)")
    parser.add_argument("--epochs", type=int, default=8, help="epochs to train (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the gateway up that the demo started")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 where the gateway holds the very numbers that Keras returned."""
    choose_backend()
    with gateway(arguments.address, keep=arguments.keep) as look_again:
        returned = train_and_evaluate(arguments.address, arguments.epochs)
        return show(arguments.address, returned, look_again)


def choose_backend() -> None:
    """Have Keras use a backend that is installed.

    Raises:
        MissingExtraError: something that the demo needs is not installed.
    """
    chosen = os.environ.get("KERAS_BACKEND")
    found = [name for name in BACKENDS if chosen in (None, name) and importlib.util.find_spec(name)]
    missing = [name for name in ("keras", "rich", "sklearn") if not importlib.util.find_spec(name)]
    if missing or not found:
        what = ", ".join(missing) or f"the backend {chosen}"
        extra = chosen if chosen in BACKENDS else (found or BACKENDS)[0]
        raise gangplank.MissingExtraError(f"the demo lacks {what}", extra, "demo")
    os.environ["KERAS_BACKEND"] = found[0]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow tells of every device it does not find


@contextlib.contextmanager
def gateway(address: str, *, keep: bool) -> Iterator[str]:
    """Use the gateway that listens on the address, or start the embedded one; yields how to look at it again."""
    look = f"curl http://{address}/metrics"
    if _listens(address):
        from gangplank.cli.holdings import fetch  # noqa: PLC0415  rich, which it draws with, is checked for by now

        if "pushgateway_build_info" not in fetch(address, "/metrics"):
            raise gangplank.GangplankError(f"what listens on {address} is no Pushgateway: choose another --address")
        print(f"Pushing to the gateway that listens on {address}.")
        yield look
        return
    process = _start(address)
    print(f"No gateway listens on {address}: gangplank's own, in memory, does for the demo.")
    try:
        yield (
            f"{look}\nThe gateway stays up; to stop it: kill {process.pid}"
            if keep
            else f"{look}\nwhile a gateway is up: this one ends with the demo; keep it with --keep (make demo KEEP=1)."
        )
    finally:
        if not keep:
            process.terminate()
            process.wait()


def _start(address: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gangplank", "gateway", "--listen", address]
    # One that is to stay has a session of its own, which Ctrl-C here does not reach, and holds no pipe of ours open.
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(  # noqa: S603  ourselves
        command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
    )
    end = time.monotonic() + 30
    while not _listens(address):
        if process.poll() is not None or time.monotonic() > end:
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
    """Train a small convnet on scikit-learn's handwritten digits; returns what Keras reported, by phase."""
    import keras  # noqa: PLC0415  slow, and not needed by other verbs
    from sklearn.datasets import load_digits  # noqa: PLC0415

    random.seed(7)  # of Keras' initial weights; its own `set_random_seed` imports TensorFlow on every backend
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


def show(address: str, returned: dict[str, dict[str, float]], look_again: str) -> int:
    """Print what the gateway holds; returns 0 where that is what Keras returned."""
    from rich.console import Console  # noqa: PLC0415  comes with Keras

    from gangplank.cli.holdings import Holdings, fetch  # noqa: PLC0415

    holdings = Holdings(fetch(address, "/metrics"), JOB)
    console = Console()
    console.print(f"\nWhat the gateway on {address} holds of job {JOB!r}:", highlight=False)
    console.print(holdings.table())
    console.print("The weights of the trained model, gangplank_train_model_weights:\n", highlight=False)
    console.print(holdings.histogram("train"))
    print(f"\nTo look again: {look_again}\n")
    return _verdict(holdings, returned)


def _verdict(holdings: Holdings, returned: dict[str, dict[str, float]]) -> int:
    different = [
        f"gangplank_{phase}_{name} is {held}, Keras returned {value}"
        for phase, metrics in returned.items()
        for name, value in metrics.items()
        if (held := holdings.value(phase, name)) != float(value)
    ]
    for line in different:
        print(f"DIFFERENT: {line}", file=sys.stderr)
    if not different:
        print(f"All {sum(map(len, returned.values()))} numbers in the gateway equal those that Keras returned.")
    return 1 if different else 0
