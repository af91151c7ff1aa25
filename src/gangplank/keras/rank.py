"""The rank of this process that only Keras' backend knows."""

from __future__ import annotations

import sys

import keras


def rank_of_process() -> int | None:
    """Return the rank that JAX gives this process, None if it knows of no others, or is not the backend.

    JAX knows it of TPUs even if nobody has set or initialised anything. Call this only when the training has begun,
    because it makes JAX initialise its devices.
    """
    if keras.config.backend() != "jax":
        return None
    jax = sys.modules["jax"]  # which the backend has imported
    return int(jax.process_index()) if jax.process_count() > 1 else None
