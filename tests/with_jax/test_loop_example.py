from __future__ import annotations

from support.loop_example import LoopExample


class TestJAXLoop(LoopExample):
    folder = "jax_loop"
    heading = "A JAX loop"
    weights = 64 * 128 + 128 + 128 * 10 + 10
