"""What is printed where it is not wanted, or cannot be written: ASCII, a full device, a pipe that is closed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gangplank.testing.gateway import Gateway
from support.verbs import keys, put, run_page

FULL = Path("/dev/full")
VERBS = {
    "show": ["show", "{}"],
    "show --json": ["show", "{}", "--json"],
    "delete": ["delete", "{}", "--job", "*", "--yes"],
    "prune": ["prune", "{}", "--older-than", "1w", "--dry-run"],
    "watch": ["watch", "{}", "--once"],
    "doctor": ["doctor", "{}"],
    "plugins": ["plugins"],
    "adapters --json": ["adapters", "--json"],
    "help": ["--help"],
    "help of a verb": ["show", "--help"],
    "version": ["--version"],
}


@pytest.fixture
def address() -> Iterator[str]:
    """A gateway with a run whose job, state and labels ASCII does not have."""
    with Gateway() as gateway:
        page = run_page(train_loss=0.5).replace("} ", ',layer="数"} ')
        put(gateway.address, page.replace('"running"', '"läuft"'), job="数字\u2028", phase="train", team="é😀")
        yield gateway.address


# As `python -m gangplank`; frameworks, which take seconds to import, are taken to work.
PROGRAM = """
import sys
from gangplank.cli import main
from gangplank.cli.installed import adapters
adapters._problem = lambda adapter: ""
sys.exit(main())
"""


def command(verb: str, address: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *(argument.format(address) for argument in VERBS[verb])]


def environment(**variables: str) -> dict[str, str]:
    """Return an environment that says nothing of encodings but what is given."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONIOENCODING", "PYTHONUTF8")}
    return {**kept, **variables}


# argparse itself ignores that it cannot print.
UNBUFFERED = [("show", "1"), ("delete", "1"), ("doctor", "1"), *((verb, "") for verb in VERBS)]


@pytest.mark.parametrize(
    ("verb", "variables"),
    [
        *((verb, {"PYTHONIOENCODING": "ascii"}) for verb in VERBS),
        ("show", {"PYTHONIOENCODING": "ascii:strict"}),
        ("show", {"PYTHONIOENCODING": "cp1252"}),
        ("show", {"LC_ALL": "POSIX"}),
        ("show", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
        ("doctor", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    ],
)
def test_what_an_encoding_lacks_is_replaced(verb: str, variables: dict[str, str], address: str) -> None:
    done = subprocess.run(command(verb, address), env=environment(**variables), capture_output=True, check=False)
    assert (done.returncode, b"Traceback" in done.stderr, b"Error" in done.stderr) == (0, False, False)
    assert done.stdout


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(("verb", "unbuffered"), UNBUFFERED)
def test_a_full_device_is_one_line_and_a_failure(verb: str, unbuffered: str, address: str) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            command(verb, address),
            env=environment(PYTHONUNBUFFERED=unbuffered),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "gangplank: [Errno 28] No space left on device\n")
    assert bool(keys(address)) == (verb != "delete" or unbuffered == "1")


@pytest.mark.parametrize(("verb", "unbuffered"), UNBUFFERED)
def test_a_closed_pipe_is_a_failure_without_a_word(verb: str, unbuffered: str, address: str) -> None:
    """`| head` has seen enough."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command(verb, address),
            env=environment(PYTHONUNBUFFERED=unbuffered),
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if "help" not in verb and verb != "version"])
def test_no_stdout_at_all_is_no_traceback(verb: str, address: str) -> None:
    closed = ["/bin/sh", "-c", '"$@" >&-', "sh", *command(verb, address)]
    done = subprocess.run(closed, env=environment(), stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_a_gateway_that_cannot_say_where_it_listens_does_not_blame_the_address() -> None:
    command = [sys.executable, "-m", "gangplank", "gateway", "--listen", "127.0.0.1:0"]
    with FULL.open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "gangplank: [Errno 28] No space left on device\n")
