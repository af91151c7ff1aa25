# ruff: noqa: PLC0415  only one of the frameworks is imported
"""A training, with the framework and to the gateway that are given, which waits for input when half of it is done."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import gangplank

X = np.random.default_rng(1).normal(size=(40, 4)).astype("float32")
Y = X.sum(axis=1)


def wait() -> None:
    sys.stdout.write("halfway\n")
    sys.stdout.flush()
    sys.stdin.readline()


def keras(address: str) -> None:
    import keras

    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    exporter = gangplank.TrainTestExporter(address, "keras", push_interval=0)
    waits = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: wait() if epoch == 2 else None)
    model.fit(X, Y, epochs=4, callbacks=[exporter, waits], verbose=0)


def lightning(address: str) -> None:
    import lightning.pytorch as pl

    from gangplank.lightning import TrainTestExporter
    from support.lightning_model import data, module

    class Waits(pl.Callback):  # type: ignore[misc]
        def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == 10:
                wait()

    exporter = TrainTestExporter(address, "lightning", push_interval=0)
    saves = pl.callbacks.ModelCheckpoint(tempfile.mkdtemp(), save_on_train_epoch_end=True)
    callbacks = [exporter, saves, Waits()]
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    pl.Trainer(max_epochs=4, callbacks=callbacks, accelerator="cpu", **quiet).fit(module(), data())


def transformers(address: str) -> None:
    from gangplank.transformers import TrainTestExporter
    from support.tiny_trainers import Calls, tiny_trainer

    exporter = TrainTestExporter(address, "transformers", push_interval=0)
    waits = Calls("on_step_begin", wait, step=10)
    tiny_trainer(exporter, waits, save_strategy="steps", save_steps=5, logging_steps=1).train()


def xgboost(address: str) -> None:
    import xgboost as xgb

    from gangplank.xgboost import TrainTestExporter

    class Waits(xgb.callback.TrainingCallback):  # type: ignore[misc]
        def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if epoch == 5:
                wait()
            return False

    data = xgb.DMatrix(X, Y)
    exporter = TrainTestExporter(address, "xgboost", push_interval=0)
    xgb.train({}, data, 10, evals=[(data, "train")], callbacks=[exporter, Waits()], verbose_eval=False)


def loop(address: str) -> None:
    with gangplank.run(address, "loop", push_interval=0) as run:
        run.start(steps=20)
        for step in range(20):
            if step == 10:
                wait()
            run.record({"loss": 1 / (step + 1)}, step=step + 1)
            if step == 4:
                with run.activity("checkpoint"):
                    Path(tempfile.mkdtemp(), "saved").touch()
                run.checkpoint()


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
