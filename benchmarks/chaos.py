"""A gateway that is killed, frozen, thawed, restarted and slowed at random, in a process of its own."""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.servers import Server, pushgateway


def torment(owner: Connection, folder: str, port: int, seed: int) -> None:
    """Run a gateway on this port, and inject faults for each number of seconds that the owner sends.

    Sends a message when the gateway is ready, and after each of these times how often each fault was injected so far.
    In between, there are none. Ends if the owner closes the connection or exits; the gateway is always stopped.
    """
    chaos = _Chaos(owner, Path(folder), port, seed)
    with chaos.gateways, contextlib.suppress(EOFError, OSError):
        chaos.start_gateway()
        owner.send("ready")
        while True:
            seconds = owner.recv()
            chaos.go_on(until=time.monotonic() + seconds)
            owner.send(dict(chaos.done))


class _Chaos:
    def __init__(self, owner: Connection, folder: Path, port: int, seed: int) -> None:
        self._owner = owner
        self._folder = folder
        self._port = port
        self._random = random.Random(seed)  # noqa: S311  not a secret
        self.gateways = contextlib.ExitStack()
        self._gateway: Server
        self.done: Counter[str] = Counter()

    def start_gateway(self) -> None:
        self._gateway = self.gateways.enter_context(pushgateway(self._folder, port=self._port))

    def go_on(self, until: float) -> None:
        actions: list[Callable[[float], None]] = []
        while time.monotonic() < until and not self._owner.poll(self._seconds(0.2, 3.0, until)):
            if not actions:  # each once, then each once again in another order
                actions = [self._kill, self._restart, self._freeze, self._slow]
                self._random.shuffle(actions)
            action = actions.pop()
            action(until)
            self.done[action.__name__.strip("_")] += 1

    def _kill(self, until: float) -> None:
        """Kill it with SIGKILL, in the middle of its connections; a new one starts later."""
        self._gateway.process.kill()
        self._gateway.process.wait()
        self._sleep(0.1, 5.0, until)
        self._replace_gateway()

    def _restart(self, until: float) -> None:  # noqa: ARG002  the signature of all actions
        self._replace_gateway()

    def _freeze(self, until: float) -> None:
        """Stop it: the kernel accepts connections, without an answer, sometimes for longer than a push may take."""
        self._gateway.freeze()
        self._sleep(0.1, 9.0, until)
        self._gateway.thaw()

    def _slow(self, until: float) -> None:
        """Let it run for a few milliseconds at a time, so that each push takes long."""
        end = min(until, time.monotonic() + self._random.uniform(1.0, 6.0))
        while time.monotonic() < end:
            self._gateway.freeze()
            self._sleep(0.1, 1.5, until)
            self._gateway.thaw()
            self._sleep(0.002, 0.02, until)

    def _replace_gateway(self) -> None:
        self.gateways.close()
        self.start_gateway()

    def _sleep(self, low: float, high: float, until: float) -> None:
        self._owner.poll(self._seconds(low, high, until))

    def _seconds(self, low: float, high: float, until: float) -> float:
        return max(0.0, min(self._random.uniform(low, high), until - time.monotonic()))
