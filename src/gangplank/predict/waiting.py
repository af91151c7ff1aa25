"""Outputs that are still being computed when a call returns: a thread waits for them, never the caller."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from gangplank.predict.background import Background
from gangplank.predict.counting import leaves

# Outputs in the queue, which keeps those of JAX in memory.
_QUEUE_SIZE = 256

# CU_STREAM_CAPTURE_MODE_RELAXED: without it, a thread that waits would break what another one records.
_RELAXED = 2

queue = Background("gangplank-outputs", _QUEUE_SIZE)


class NotComputed(Exception):  # noqa: N818  it is no error
    """The call computes nothing: CUDA records it, to be repeated later."""


def still_computing(output: Any) -> Callable[[], None] | None:
    """Return a function that waits until an output is computed; None if it is.

    Raises:
        NotComputed: CUDA is recording a graph.
    """
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is None and jax is None:
        return None
    if torch is not None and _is_captured(torch):
        raise NotComputed
    waits: list[Callable[[], object]] = []
    devices = set()
    for leaf in leaves(output):
        if getattr(leaf, "is_cuda", False):
            devices.add(leaf.device)
        elif hasattr(leaf, "is_ready") and hasattr(leaf, "block_until_ready") and not leaf.is_ready():
            waits.append(partial(_wait_for, leaf))
    waits += [_end_of_work(torch, device) for device in devices]
    return (lambda: _each(waits)) if waits else None


def _each(waits: list[Callable[[], object]]) -> None:
    for wait in waits:
        wait()


def _wait_for(array: Any) -> None:
    """Wait until an array of JAX is computed, or has been given to another computation."""
    try:
        array.block_until_ready()
    except RuntimeError:
        if not array.is_deleted():
            raise


def _is_captured(torch: Any) -> bool:
    """Return whether CUDA records what this thread launches; then neither events nor anything else may be touched."""
    cuda = getattr(torch, "cuda", None)  # none while torch is being imported
    return cuda is not None and cuda.is_initialized() and cuda.is_current_stream_capturing()


def _end_of_work(torch: Any, device: Any) -> Callable[[], object]:
    """Return a function that waits for the work that this thread's stream of a CUDA device has now."""
    event = torch.cuda.Event(blocking=True)  # waiting takes no processor
    event.record(torch.cuda.current_stream(device))
    return partial(_synchronize, event)


def _synchronize(event: Any) -> None:
    """Wait for an event of CUDA, on a thread that may do so while another one records a graph."""
    with contextlib.suppress(OSError, AttributeError):  # the driver of another system
        mode = ctypes.c_int(_RELAXED)
        ctypes.CDLL("libcuda.so.1").cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))
    event.synchronize()
