"""The past of a fleet, as if Prometheus had scraped it: blocks made by `promtool` of samples in OpenMetrics.

Of the last hours there is everything, and of the last day what the alerts compare with, each two minutes; of the last
week what the rules of trainings read, each five minutes. Values grow evenly from the beginning of a run to its end.
"""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.fleet_runs import DAY, LASTS, Job
from gangplank import Page
from support.grafana import RANGE
from support.servers import find

BLOCK = 7200  # seconds, of Prometheus
# What is read of how many seconds before now, and how far its samples are apart.
_READ = (
    (re.compile(""), RANGE, 120),
    (
        re.compile("gangplank_run_samples_per_second|gangplank_train_(val_)?loss|gangplank:run_steps_per_second"),
        DAY,
        120,
    ),
    (re.compile("gangplank:seen_"), 7 * DAY, 300),
)
# What is recorded of a training every few minutes.
_SEEN = re.compile(
    "(gangplank_run_)(start_timestamp|step{|resumed_from_step|last_success"
    '|state{.*state="finished"|activity_seconds_total{.*activity="train")'
)
Series = tuple[str, float, float]  # its name with labels, its value at the beginning, and what is added in a second


def write_history(jobs: Sequence[Job], days: int, folder: Path) -> int:
    """Write the blocks of the days before now into a folder; return the number of samples."""
    promtool, now, count = find("promtool"), jobs[0].now, 0
    text = folder.parent / "history.txt"
    begin = math.floor((now - max(RANGE, days * DAY)) / BLOCK) * BLOCK
    for start in range(begin, math.floor(now), BLOCK):
        end = min(start + BLOCK, math.floor(now))
        with text.open("w") as file:
            for job in jobs:
                for line in _lines(job, start, end, days):
                    file.write(line)
                    count += line.count("\n")
            file.write("# EOF\n")
        command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(text), str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  a server's own tool
    text.unlink()
    return count


def _lines(job: Job, start: int, end: int, days: int) -> Iterator[str]:
    """Yield the samples of a job in a block, those of a series in one text."""
    for ago in range(days + 1):
        began = job.began(ago)
        done = began + LASTS if ago else job.now
        until = job.began(ago - 1) if ago else job.now  # the next run replaces it on the gateway
        for first, last in ((began, done), (done, until)):
            if max(start, first) < min(end, last):
                yield from _part(job, (first, last), (start, end), ago)


def _part(job: Job, life: tuple[float, float], block: tuple[int, int], ago: int) -> Iterator[str]:
    """Yield the samples of a part of the life of a run, as far as they are in a block."""
    first, last = life
    begin, end = max(block[0], first), min(block[1], last)
    for name, value, slope in _series(job, first, last, ago):
        read = (every for pattern, back, every in _READ if pattern.match(name) and block[0] > job.now - back)
        if every := next(read, 0):
            times = range(math.ceil(begin / every) * every, math.floor(end), every)
            yield "".join(f"{name} {value + slope * (when - first):.6f} {when}\n" for when in times)


def _series(job: Job, first: float, last: float, ago: int) -> Iterator[Series]:
    """Yield what a run shows in a part of its life, of some minutes at least."""
    begin, end = first + 60, last - 1  # at the very beginning, some samples are missing
    low, high = _samples(job.page_at(begin, ago)), _samples(job.page_at(end, ago))
    for name, value in high.items():
        slope = (value - low.get(name, value)) / (end - begin)
        yield name, value - slope * (end - first), slope


def _samples(page: Page) -> dict[str, float]:
    """Return the samples of a page, and what the rules would have recorded of it."""
    held = {
        f"{sample.name}{_labels(sample.labels)}": float(sample.value)
        for family in page.identified().collect()
        for sample in family.samples
    }
    for name, value in list(held.items()):
        if seen := _SEEN.match(name):
            held[f"gangplank:seen_{name[seen.end(1) :]}"] = value
    newest, same = page.newest, _labels({**dict(page.group.labels), **page.labels})
    if newest.step and newest.steps_planned:
        held[f"gangplank:run_progress_ratio{same}"] = newest.step / newest.steps_planned
        held[f"gangplank:run_remaining_seconds{same}"] = LASTS * (1 - newest.step / newest.steps_planned)
        held[f"gangplank:run_steps_per_second{same}"] = newest.steps_planned / LASTS
    return held


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
