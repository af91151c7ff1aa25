"""Anything at all: the embedded gateway and a real one do the same."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gangplank.testing.gateway import Gateway
from support.gateway_client import JOB, Client, connected, of_known_version

NAMES = ["m", "m_sum", "m_count", "m_bucket", "m_sum_sum", "n", "go_goroutines", "push_time_seconds"]
KINDS = ["counter", "gauge", "summary", "histogram", "untyped", "GAUGE", "foo"]
LABELS = ["", "{}", '{x="1"}', '{x="2"}', '{le="1"}', '{le="+Inf"}', '{quantile="0.5"}', '{x="1",le="1"}', '{job="b"}']
LABELS += ['{instance="i"}', '{x="1",}', '{ y = "\\n" , x="1" }', '{x="1",x="2"}', '{le="a"}', '{__x="1"}', '{x=""}']
VALUES = ["1", "2", "0", "1", "2.5", "-1", "NaN", "+Inf", "1e6", "x", "1 5", "1e400", "0x1p1", " 1"]
NOISE = [
    " ",
    "\t",
    "\n",
    "\r",
    '"',
    "\\",
    "{",
    "}",
    ",",
    "=",
    "#",
    "_",
    "-",
    "+",
    ".",
    "1",
    "a",
    "e",
    "\x00",
    "é",
    "m 1\n",
]

SAMPLES = st.builds("{}{} {}\n".format, *map(st.sampled_from, (NAMES, LABELS, VALUES)))
TYPES = st.builds("# TYPE {} {}\n".format, *map(st.sampled_from, (NAMES, KINDS)))
HELPS = st.builds("# HELP {} {}\n".format, st.sampled_from(NAMES), st.sampled_from(["", "a", r"a\n", r"\x", " a "]))
LINES = st.one_of(SAMPLES, SAMPLES, TYPES, HELPS, st.sampled_from(["\n", "# x\n", " "]))
CUTS = st.tuples(st.integers(0, 200), st.integers(0, 3), st.sampled_from(["", *NOISE]))
PATHS = [JOB, JOB + "/x/1", JOB + "/y@base64/Mg", "/metrics/job/b", JOB + "/le/1", JOB + "/quantile/1", JOB + "/x"]


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw a body: lines that make some sense, at times with a few characters replaced."""
    body = "".join(draw(st.lists(LINES, max_size=6)))
    for start, length, new in draw(st.one_of(st.just([]), st.lists(CUTS, max_size=2))):
        at = start % (len(body) + 1)
        body = body[:at] + new + body[at + length :]
    # The newer one takes a line without a name for another sample of the line before it.
    return re.sub(r"^([ \t]*){", r"\1m{", body, flags=re.MULTILINE).encode()


REQUESTS = st.tuples(st.sampled_from(["PUT", "POST", "POST", "PUT", "DELETE"]), st.sampled_from(PATHS), bodies())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client]]:
    """A client of the embedded gateway, and one of the real one that it follows."""
    with (
        Gateway() as gateway,
        of_known_version(tmp_path_factory.mktemp("pair"), "new") as real,
        connected(gateway.address) as one,
        connected(real.address) as other,
    ):
        yield one, other


# The same 400 examples each time; `GATEWAY_EXAMPLES=20000` looks for new ones.
@settings(
    max_examples=int(os.environ.get("GATEWAY_EXAMPLES", "400")),
    derandomize="GATEWAY_EXAMPLES" not in os.environ,
    deadline=None,
)
@given(requests=st.lists(REQUESTS, min_size=1, max_size=4))
def test_both_do_the_same(pair: tuple[Client, Client], requests: list[tuple[str, str, bytes]]) -> None:
    outcomes = []
    for client in pair:
        for path in PATHS:
            client.send("DELETE", path)
        statuses = [client.send(*request)[0] for request in requests]
        client.put("/metrics/job/last")  # so that the real one is done with what it was told
        times = {labels: (pushed > 0, failed > 0) for labels, (pushed, failed) in client.times().items()}
        outcomes.append((statuses, [line for line in client.page() if not line.startswith("# HELP")], times))
    assert outcomes[0] == outcomes[1]
