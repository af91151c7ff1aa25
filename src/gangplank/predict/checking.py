"""The checks for drift: the user's function runs on a thread of its own, after the prediction."""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gangplank.core.log import Log, describe
from gangplank.predict import waiting
from gangplank.predict.background import Background
from gangplank.predict.drift import Drift, checked
from gangplank.predict.families import CHECKED, DROPPED, FAILED, Families

# Checks in the queue; when it is full, new ones are dropped.
_QUEUE_SIZE = 16
_BEHIND = f"the function is slower than the predictions, and {_QUEUE_SIZE} checks wait"

# A list may have very many of these.
_CONSTANTS = {str, int, float, bool}

DriftFunction = Callable[[Any, Any], Drift]


class _Here(threading.local):
    """Whether this thread runs functions for drift."""

    checking = False


_here = _Here()


class Checks:
    """Runs a function for drift on the inputs and outputs of predictions.

    A check that raises, hangs, or returns something else costs no prediction anything. Arrays are copied, since the
    caller may change them meanwhile.

    Args:
        function: gets inputs and outputs, and returns a Drift.
        families: what the function finds is shown in these.
        log: reports what goes wrong, once.
    """

    def __init__(self, function: DriftFunction, families: Families, log: Log) -> None:
        self._function = function
        self._families = families
        self._log = log
        self._detected = families.metric("drift_detected_total")
        self._results = {
            result: families.metric("drift_checks_total", result=result) for result in (CHECKED, FAILED, DROPPED)
        }
        self._queue = Background("gangplank-drift", _QUEUE_SIZE)
        # A service may make a model for each request: the threads of those that are gone must not wait for more.
        weakref.finalize(self, self._queue.end).atexit = False

    def put(self, inputs: Any, outputs: Any) -> None:
        """Have inputs and outputs checked; returns at once."""
        if _here.checking:  # the function for drift predicts: that might never end
            return
        if hasattr(inputs, "__next__"):
            self.drop("the inputs are an iterator, which cannot be read again: give a list or an array")
            return
        if self._queue.full:
            self.drop(_BEHIND)
            return
        try:
            inputs, outputs = _copy(inputs), _copy(outputs)
            # The thread has another stream of CUDA than the caller may have, which is still making the copies.
            check = partial(self._check, inputs, outputs, waiting.still_computing((inputs, outputs)))
        except Exception as error:  # noqa: BLE001  there may be no memory for it
            self._fail(error)
            return
        if not self._queue.put(check):
            self.drop(_BEHIND)

    def drop(self, why: str) -> None:
        """Count a check that cannot be made; the first one is reported."""
        self._results[DROPPED].inc()
        self._log.warn_once(f"dropped: {why}", "Not checked for drift: %s", why)

    def flush(self, end: float) -> None:
        """Wait for the checks in the queue, at most until `end` (of the monotonic clock)."""
        self._queue.flush(end)

    def _check(self, inputs: Any, outputs: Any, wait: Callable[[], None] | None) -> None:
        _here.checking = True
        try:
            if wait is not None:
                wait()
            drift = checked(self._function(inputs, outputs))
            if drift.drift_detected is not None:
                self._detected.inc(drift.drift_detected)
            if drift.p_value is not None:
                self._families.metric("drift_p_value").set(drift.p_value)
            if drift.test_statistic is not None:
                self._families.metric("drift_test_statistic").set(drift.test_statistic)
        except BaseException as error:  # noqa: BLE001  the user's function may raise anything
            self._fail(error)
        else:
            self._results[CHECKED].inc()

    def _fail(self, error: BaseException) -> None:
        self._results[FAILED].inc()
        self._log.warn_once("drift", "A check for drift failed: %s", describe(error))


def _copy(data: Any) -> Any:
    """Return data whose arrays nobody else can change."""
    if type(data) is np.ndarray:  # the most common case
        return data.copy()
    if hasattr(data, "detach") and hasattr(data, "clone"):  # of torch
        return data.detach().clone()
    if hasattr(data, "shape"):
        return data.copy() if hasattr(data, "copy") else data  # those of TensorFlow do not change
    if isinstance(data, dict):
        copied = copy.copy(data)
        for key, one in data.items():  # not `update`, which the outputs of Transformers refuse
            copied[key] = _copy(one)
        return copied
    if isinstance(data, list | tuple):
        copies = [one if type(one) in _CONSTANTS else _copy(one) for one in data]
        return data._make(copies) if hasattr(data, "_make") else tuple(copies) if isinstance(data, tuple) else copies
    return data
