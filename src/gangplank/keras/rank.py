"""Which of the processes of one training this is, as Keras and its backends know it."""

from __future__ import annotations

import json
import os
import sys

import keras


def rank_of_process() -> int | None:
    """Return the rank of this process, or None where Keras knows of no other process.

    To be asked once a training is under way: JAX starts its devices to answer.
    """
    told = os.environ.get("KERAS_DISTRIBUTION_PROCESS_ID", "")
    if told.isdecimal():
        return int(told)
    if keras.config.backend() == "jax":
        jax = sys.modules["jax"]  # as the backend has imported it
        return int(jax.process_index()) if jax.process_count() > 1 else None
    return _rank_in(os.environ["TF_CONFIG"]) if os.environ.get("TF_CONFIG") else None


def _rank_in(tf_config: str) -> int:
    """Return the rank of the task that TensorFlow's variable describes: the chief has 0, then come the workers."""
    config = json.loads(tf_config)
    task = config.get("task", {})
    if task.get("type", "worker") != "worker":
        return 0 if task["type"] in ("chief", "master", "evaluator") else 1
    return int(task.get("index", 0)) + bool({"chief", "master"} & config.get("cluster", {}).keys())
