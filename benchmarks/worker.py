"""A separate process that calls functions of the benchmarks on request.

It measures whatever needs a separate environment, separate memory or a single core.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.contest import MissingError, WrongAnswerError

_ERRORS = {error.__name__: error for error in (MissingError, WrongAnswerError)}


class Worker:
    """A process that starts with the first call, and ends with the `with` block.

    Args:
        path: a folder that comes first on the import path.
        one_core: whether it is bound to a single core.
        environment: additional environment variables.
    """

    def __init__(self, *, path: Path | None = None, one_core: bool = False, **environment: str) -> None:
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "PYTHONWARNINGS": "ignore"}
        self._environment = {**os.environ, **quiet, **environment}
        if path is not None:
            self._environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path), os.environ.get("PYTHONPATH")]))
        self._core = ["--one-core"] if one_core else []
        self._process: subprocess.Popen[str] | None = None

    def call(self, function: str, **arguments: object) -> Any:
        """Call a function (`module:name`) there, and return its result, which travels as JSON.

        Raises:
            MissingError, WrongAnswerError: the function raised it.
            RuntimeError: the function raised something else; the message is the traceback.
        """
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603  ourselves
                [sys.executable, __file__, *self._core],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=self._environment,
            )
        assert self._process.stdin is not None  # noqa: S101  for mypy
        assert self._process.stdout is not None  # noqa: S101
        print(json.dumps([function, arguments]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process of {function} ended with {self._process.wait()}")
        result, error, message = json.loads(answer)
        if error:
            raise _ERRORS.get(error, RuntimeError)(message)
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            with self._process, contextlib.suppress(BrokenPipeError):
                assert self._process.stdin is not None  # noqa: S101
                self._process.stdin.close()


def serve() -> None:
    """Answer calls until standard input is closed."""
    if "--one-core" in sys.argv:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what frameworks print must not mix with the answers
    for line in sys.stdin:
        function, arguments = json.loads(line)
        module, _, name = function.partition(":")
        answer: list[object]
        try:
            answer = [getattr(importlib.import_module(f"benchmarks.{module}"), name)(**arguments), None, None]
        except (MissingError, WrongAnswerError) as error:
            answer = [None, type(error).__name__, str(error)]
        except Exception:  # noqa: BLE001  the caller raises it
            answer = [None, "RuntimeError", traceback.format_exc()]
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve()
