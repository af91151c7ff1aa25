"""The part of the contract about a process that receives the exporter."""

from __future__ import annotations

import importlib.util
import inspect
import multiprocessing
import operator
import sys
from multiprocessing.connection import Connection
from typing import Any

from gangplank.testing.announcement import fail
from gangplank.testing.gateway import Gateway
from gangplank.testing.shown import differences, metric, soon, state
from gangplank.testing.training import TrainedAdapter

# Seconds that a child process may take: it imports the framework, and trains once.
CHILD_TAKES = 240.0


class ChildProcess(TrainedAdapter):
    """An exporter that is sent to another process.

    That is started by `spawn`, not by `fork`: a fork copies the threads' locks without the threads, so that JAX warns
    and TensorFlow may wait forever; and only in a new interpreter is there nothing but what the pickle contains.
    """

    def test_a_child_process_trains_and_delivers(self, gateway: Gateway) -> None:
        """Launchers send the exporter to the processes that they start."""
        spawn = multiprocessing.get_context("spawn")
        receives, sends = spawn.Pipe(duplex=False)
        test = type(self)
        where = inspect.getfile(test), test.__module__, test.__qualname__
        child = spawn.Process(target=_train, args=(*where, self._exporter(gateway), sends))
        fix = "keep in the exporter what means the same in every process: options, and no handles, ids or registries"
        try:
            child.start()
        except Exception as error:  # noqa: BLE001  pickling runs the adapter's code
            fail(f"the exporter cannot be sent to a child process ({type(error).__name__}: {error}): {fix}")
        child.join(CHILD_TAKES)
        if child.exitcode is None:
            child.kill()
            child.join()
            fail(f"a child process that received the exporter has not trained within {CHILD_TAKES:.0f} s: {fix}")
        if child.exitcode or not receives.poll():
            fail(f"a child process that received the exporter ended with {child.exitcode}, see its stderr: {fix}")
        values = receives.recv()
        if wrong := soon(lambda: differences(lambda name: metric(gateway, name), values)):
            fail(f"of a training in a child process, {'; '.join(wrong)} on the gateway: {fix}")
        if (found := state(gateway)) != "finished":
            fail(f"a training that has ended in a child process is {found!r}: {fix}")


def _train(file: str, module: str, name: str, exporter: Any, sends: Connection) -> None:
    """Train as the test class does that has this name in this file, and send the final values."""
    spec = importlib.util.spec_from_file_location(module, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python module")
    # pytest may have found it where Python would not look.
    sys.modules[module] = loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    sends.send(operator.attrgetter(name)(loaded)()._trained(exporter))  # noqa: SLF001
