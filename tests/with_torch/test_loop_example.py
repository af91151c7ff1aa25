from __future__ import annotations

from support.loop_example import LoopExample


class TestPyTorchLoop(LoopExample):
    folder = "pytorch_loop"
    heading = "A PyTorch loop"
    weights = 16 * 9 + 16 + 32 * 16 * 9 + 32 + 10 * (2 * 2 * 32) + 10
