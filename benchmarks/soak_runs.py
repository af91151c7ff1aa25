"""A soak test of how people train: runs nest, overlap, fail, are forgotten, fork and die, while the gateway does, too.

There are three processes: this one asks and checks; another one trains, on several threads, with children of its own
(benchmarks/people/); a third one injects faults into the gateway, at random (benchmarks/chaos.py). This is done in
rounds. After each, the gateway is left in peace. Soon, and for some seconds more, all of this must hold:

- each group on the gateway shows the run that has said something last: its last loss, its state and its last step. If a
  child was killed, or could not deliver its last page in time, a newer run begins in its group before;
- no run that is over shows as running, and the heartbeat of the others is fresh;
- no more threads send than there are groups whose run goes on; at the end, when all runs are forgotten, none;
- all children have ended, as they should, and gangplank has logged no fault of its own;
- memory is flat from the end of the warm-up on.

Then the process ends with open runs, and the gateway must show that they have failed.

The heartbeat and the longest backoff are one second and two, instead of a minute, so that this can be checked often.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import chaos, figures
from benchmarks.people import habits, process
from benchmarks.people.children import HEARTBEAT
from benchmarks.people.words import Expected, Group
from support.servers import free_port, get

# Seconds in which people train in each round, and in which there are faults: the last of these are left as they are.
TRAIN, FAULTS = 10.0, 12.0
# Seconds within which everything has arrived that was pending, and for which it must stay.
ARRIVES, STAYS = 20.0, 3 * HEARTBEAT
# Resident memory may differ by as much between two moments of a process that leaks nothing.
MOST_GROWTH_MIB = 3.0

Everything = dict[Group, list[Expected]]


@dataclass
class Shown:
    """What the gateway shows of a group."""

    names: set[str] = field(default_factory=set)
    states: list[str] = field(default_factory=list)
    loss: float | None = None
    step: float | None = None
    heartbeat: float = 0.0


def shown(text: str) -> tuple[dict[Group, Shown], float]:
    """Return what the gateway shows of each group, and the Unix time when it was started."""
    groups: dict[Group, Shown] = defaultdict(Shown)
    started = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if "job" not in sample.labels:
                started = sample.value if sample.name == "process_start_time_seconds" else started
                continue
            phase = sample.labels.get("phase", "")
            group = groups[sample.labels["job"], phase]
            if "run" in sample.labels:
                group.names.add(sample.labels["run"])
            if sample.name == f"gangplank_{phase}_loss":
                group.loss = sample.value
            elif sample.name == "gangplank_run_step":
                group.step = sample.value
            elif sample.name == "gangplank_run_heartbeat_timestamp_seconds":
                group.heartbeat = sample.value
            elif sample.name == "gangplank_run_state" and sample.value == 1:
                group.states.append(sample.labels["state"])
    return groups, started


def wrong(text: str, everything: Everything) -> list[str]:
    """Return what the gateway shows that is wrong."""
    groups, started = shown(text)
    faults = [f"{group} is shown, and nobody has trained" for group in groups.keys() - everything.keys()]
    for group, expected in everything.items():
        seen = groups.get(group)
        if not any(_is_absent_rightly(one, started) if seen is None else _is(seen, one) for one in expected):
            faults.append(f"{group} is {seen}, instead of {' or '.join(map(str, expected))}")
        elif seen is not None and seen.states == ["running"] and time.time() - seen.heartbeat > 5 * HEARTBEAT:
            faults.append(f"{group} has had no heartbeat for {time.time() - seen.heartbeat:.1f} s")
    return faults


def _is(seen: Shown, expected: Expected) -> bool:
    return (seen.names, seen.states, seen.loss) == ({expected.name}, [expected.state], expected.loss) and (
        expected.step in (None, seen.step)
    )


def _is_absent_rightly(expected: Expected, started: float) -> bool:
    # The second is for the time between the arrival and the note of it.
    return expected.arrived is not None and expected.arrived < started + 1.0


class Check:
    """Checks the gateway at this port, and counts what it has checked."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"
        self.groups = 0
        self.slowest = 0.0
        self.faults: list[str] = []

    def __call__(self, when: str, everything: Everything) -> None:
        """Wait until the gateway shows what it should, and then some seconds more; note what is wrong."""
        began = time.monotonic()
        while (faults := wrong(get(self._url), everything)) and time.monotonic() < began + ARRIVES:
            time.sleep(0.1)
        self.slowest = max(self.slowest, time.monotonic() - began)
        end = time.monotonic() + STAYS
        while not faults and time.monotonic() < end:
            time.sleep(0.1)
            faults = [f"{fault} (after it was right)" for fault in wrong(get(self._url), everything)]
        self.groups += len(everything)
        self.faults += [f"{when}: {fault}" for fault in faults]


@contextlib.contextmanager
def started(target: Any, *arguments: object) -> Iterator[tuple[Connection, Any]]:
    """Start a process that gets one end of a pipe and the arguments; enters with the other end, and the process."""
    spawn = multiprocessing.get_context("spawn")  # a fork would share the memory, which is measured
    ours, its = spawn.Pipe()
    child = spawn.Process(target=target, args=(its, *arguments))
    child.start()
    its.close()
    with ours:
        yield ours, child
    child.join(20)
    if child.exitcode is None:
        child.kill()


def soak(seconds: float, seed: int) -> dict[str, Any]:
    """Let people train while the chaos rages; return what was done and measured, and the violations as `faults`."""
    port, began = free_port(), time.monotonic()
    check = Check(port)
    rounds: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        started(chaos.torment, folder, port, seed) as (tormentor, _),
        started(process.live, f"127.0.0.1:{port}", folder, seed) as (owner, trainer),
    ):
        tormentor.recv()  # the gateway is ready

        def ask(*request: object) -> Any:
            owner.send(request)
            return owner.recv()

        while time.monotonic() < began + seconds:
            tormentor.send(FAULTS)
            ask("train", TRAIN)
            done = tormentor.recv()
            everything = ask("settle")
            check(f"round {len(rounds) + 1}", everything)
            rounds.append(ask("figures") | {"running": _running(everything)})
        check("all forgotten", ask("forget_all"))
        rounds.append(ask("figures") | {"running": 0})
        everything = ask("leave")
        owner.send(None)
        trainer.join(20)
        check("after the end", everything)
    last = rounds[-1]
    result = {
        "machine": figures.machine(),
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
        "rounds": len(rounds) - 1,
        "chaos": done,
        "checked_groups": check.groups,
        "slowest_check": check.slowest,
        "exit_code": trainer.exitcode,
        "memory_mib": [rounds[len(rounds) // 5]["memory_mib"], last["memory_mib"]],
        "threads": [len(one["threads"]) for one in rounds],
        "running": [one["running"] for one in rounds],
        "threads_at_the_end": last["threads"],
        **{name: last[name] for name in ("done", "attempts", "sent")},
    }
    result["faults"] = [*check.faults, *last["faults"], *not_flat(result), *idle(result)]
    return result


def _running(everything: Everything) -> int:
    return sum(any(one.state == "running" for one in expected) for expected in everything.values())


def not_flat(result: dict[str, Any]) -> list[str]:
    """Return the growth of memory and threads that is too large."""
    before, after = result["memory_mib"]
    faults = [] if after - before <= MOST_GROWTH_MIB else [f"memory grew from {before:.1f} to {after:.1f} MiB"]
    for place, (threads, running) in enumerate(zip(result["threads"], result["running"], strict=True), 1):
        if threads > running:
            faults.append(f"after round {place}, {threads} threads send {running} running runs")
    return faults


def idle(result: dict[str, Any]) -> list[str]:
    """Return why the soak test proves nothing, if something was never done."""
    missing = [what for what in habits.WEIGHTS if not result["done"].get(what.replace("_", " "))]
    faults = [f"nobody {what.replace('_', ' ')}" for what in missing]
    if not result["chaos"] or result["attempts"]["begun"] == result["attempts"]["arrived"]:
        faults.append("the gateway was never out of reach")
    if result["exit_code"] != 0:
        faults.append(f"the exit code of the process that trains is {result['exit_code']}")
    return faults


def summary(result: dict[str, Any]) -> str:
    """Return a summary of the result, as Markdown."""
    counts = {what: f"{count:,}" for what, count in sorted(result["done"].items())}
    children = [f"{what} {count}" for what, count in counts.items() if ": " in what]
    newer = counts.pop("newer run after a child", "0")
    attempts = result["attempts"]
    failed = ", ".join(f"{reason} {count}" for reason, count in sorted(attempts.items()) if reason not in _NOT_FAILED)
    chaos_done = ", ".join(f"{action} {count}" for action, count in sorted(result["chaos"].items()))
    lines = [
        f"{result['rounds']} rounds in {result['seconds']:.0f} s, seed {result['seed']}; {result['machine']}.",
        "",
        "| what somebody does | times |",
        "|---|--:|",
        *(f"| {what} | {count} |" for what, count in counts.items() if ": " not in what),
        "",
        f"- Children, and how they end: {', '.join(children)}.",
        f"- Faults of the gateway: {chaos_done}. Of {attempts['begun']:,} pushes failed: {failed}.",
        f"- Checked: {result['checked_groups']} times a group, {newer} of them after a newer run.",
        f"- The slowest check took {result['slowest_check']:.1f} s.",
        f"- Memory: {result['memory_mib'][0]:.1f} MiB after the warm-up, {result['memory_mib'][1]:.1f} MiB at the end.",
        f"- Threads that send: {max(result['threads'])} at most, for {max(result['running'])} runs that go on.",
    ]
    verdict = [f"- **Wrong**: {fault}." for fault in result["faults"]] or ["- All of this held."]
    return "\n".join([*lines, *verdict])


_NOT_FAILED = ("begun", "arrived")


def main() -> int:
    """Run the soak test, and print its result."""
    parser = argparse.ArgumentParser(
        description="Train as people do while the gateway is killed and stopped at random."
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="duration (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument("--write", action="store_true", help="write the summary into docs/never-hurt.md")
    options = parser.parse_args()
    result = soak(options.seconds, options.seed)
    print(summary(result))
    figures.write_json(options.json, result)
    if options.write:
        figures.write_page("soak-runs", summary(result))
    return 1 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
