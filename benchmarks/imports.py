"""The time of `import gangplank`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.contest import OURS, Contest, Options, Target, check, take_turns

NEEDED = "numpy, prometheus_client and pluggy"
STATEMENTS = {OURS: "import gangplank", NEEDED: "import numpy, prometheus_client, pluggy", "numpy": "import numpy"}
FRAMEWORKS = ("keras", "tensorflow", "torch", "jax", "lightning")


def milliseconds(statement: str) -> float:
    """Return how long a statement takes in a new interpreter."""
    program = (
        "import sys, time; start = time.perf_counter()\n"
        f"{statement}\n"
        "print(time.perf_counter() - start)\n"
        f"print(*[name for name in {FRAMEWORKS} if name in sys.modules])\n"
    )
    # With compiled modules, as an installed package has.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)  # noqa: S603  ourselves
    took, frameworks = ran.stdout.split("\n")[:2]
    check(not frameworks, f"{statement!r} imports {frameworks}")
    return 1000 * float(took)


def imports(options: Options) -> Iterator[Contest]:
    """The import, compared with that of its dependencies."""
    contestants = {name: partial(milliseconds, statement) for name, statement in STATEMENTS.items()}
    take_turns(contestants, 1)  # so that all are in the page cache
    figures, missing = take_turns(contestants, options.size(4, 1) * options.rounds)
    yield Contest(
        group="Import",
        what="`import gangplank`, a new interpreter each time",
        unit="ms",
        rounds=figures,
        missing=missing,
        targets=(Target(most=1.3, than=NEEDED),),
    )
