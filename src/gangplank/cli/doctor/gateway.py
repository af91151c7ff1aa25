"""What `gangplank doctor` checks on a gateway's page: size, clock, labels, families, runs."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from gangplank.cli.doctor import probe
from gangplank.cli.doctor.check import Check, Report, first_few, refused
from gangplank.cli.remote.gateway import GatewayClient
from gangplank.cli.remote.groups import GatewayGroup, format_duration
from gangplank.cli.remote.reader import GroupsReader
from gangplank.core.errors import GangplankError
from gangplank.core.labels import PHASES
from gangplank.core.log import one_line
from gangplank.core.page.page import RUNNING
from gangplank.core.sinks.pushgateway import PANICS, Pushgateway
from gangplank.core.types import Group

MOST_SERIES, MOST_BYTES = 100_000, 50_000_000
_MAX_SKEW = 30.0  # seconds
_VERSION = re.compile(r'^pushgateway_build_info\{(?:.*,)?version="([^"]*)"', re.MULTILINE)
_TYPE_OR_HELP = re.compile(r"# (TYPE|HELP) (gangplank_[a-zA-Z0-9_:]+) ?(.*)")
_NEEDED_LINE = re.compile(r"(?:# (?:TYPE|HELP) )?(?:gangplank_|push_time_seconds|push_failure_time_seconds)")
_DUPLICATE_LABEL = re.compile(r'[{,](le|quantile)="(?:[^"\\]|\\.)*",(?:.*,)?\1="')


def check_gateway(sink: Pushgateway, client: GatewayClient, report: Report) -> bool:
    """Check what a gateway's page shows; return whether the server is a Pushgateway."""
    before = time.time()
    try:
        page = client.page()
    except GangplankError as error:
        report(refused("gateway", error, authenticated=sink.authenticates))
        return False
    after = time.time()
    if not (version := _VERSION.search(page.text)):
        fix = "give the address of the gateway: its default port is 9091"
        report(Check("gateway", "problem", client.describe_other(page), fix))
        return False
    name = f"Pushgateway {one_line(client.strike(version[1]))}"
    found = f"{client} is {name}; its page took {1000 * (after - before):.0f} ms"
    if version[1] == PANICS:
        found = f"{found}. When it refuses a page, this version panics and hangs up without giving the reason"
        report(Check("gateway", "warning", found, "install a newer version"))
    else:
        report(Check("gateway", "ok", found))
    report(_clock(page.server_time, (before + after) / 2))
    for check in _page(page.text, page.now, client.strike):
        report(check)
    return True


def _clock(server_time: float | None, local_time: float) -> Check:
    if server_time is None:
        found = "the gateway's response has no Date header, so `gangplank prune` cannot tell the age of a group"
        return Check("clock", "warning", found, "configure the proxy in front of it to keep that header")
    if abs(server_time - local_time) <= _MAX_SKEW:
        return Check("clock", "ok", "the gateway's clock agrees with this machine's")
    skew = f"{format_duration(server_time - local_time)} {'ahead of' if server_time > local_time else 'behind'}"
    found = f"the gateway's clock is {skew} this machine's, so the age of heartbeats is wrong"
    return Check("clock", "warning", found, "synchronise both with NTP")


def _page(text: str, now: float, strike: Callable[[str], str]) -> Iterator[Check]:
    lines = text.split("\n")  # a label may contain other line breaks
    series, size = sum(bool(line) and not line.startswith("#") for line in lines), len(text.encode())
    found = f"{series:,} series, {size:,} bytes"
    if series > MOST_SERIES or size > MOST_BYTES:
        fix = "export less of each run (`metrics=`, fewer buckets), run `gangplank prune`, or use a second gateway"
        yield Check("size", "warning", f"{found}, and every scrape reads all of it", fix)
    else:
        yield Check("size", "ok", found)
    broken = [strike(line) for line in lines if _DUPLICATE_LABEL.search(line)]
    readable = (line for line in lines if _NEEDED_LINE.match(line) and not _DUPLICATE_LABEL.search(line))
    try:
        groups = GroupsReader(strike).read("\n".join((*readable, "")))
    except GangplankError as error:
        yield Check("groups", "problem", str(error), "delete the group that it is from")
        return
    yield _labels(groups, broken)
    yield from _names(lines, groups)
    yield _runs(groups, now)


def _labels(groups: Iterable[GatewayGroup], broken: list[str]) -> Check:
    culprits = first_few(group for group in groups if {"le", "quantile"} & group.labels.keys())
    if broken:
        found = f"a sample has a label twice, so Prometheus refuses the whole page: {one_line(broken[0], 150)}"
        fix = f"delete the group ({culprits}), and push without `le` or `quantile` in its grouping key"
        return Check("labels", "problem", found, fix)
    if culprits:
        found = f"with `le` or `quantile` in a grouping key, a histogram or summary breaks the page: {culprits}"
        return Check("labels", "warning", found, "rename that label")
    return Check("labels", "ok", "no grouping key has a label that breaks the page")


def _names(lines: Iterable[str], groups: Iterable[GatewayGroup]) -> Iterator[Check]:
    """Yield which of gangplank's families differ on the gateway: a name has one type and one help text for all jobs."""
    ours = _our_families()
    different: dict[str, list[str]] = {"TYPE": [], "HELP": []}
    for line in filter(None, map(_TYPE_OR_HELP.fullmatch, lines)):
        what, name, text = line.groups()
        metric = (f"gangplank_{phase}_{probe.METRIC}" for phase in PHASES if name.startswith(f"gangplank_{phase}_"))
        expected = ours.get(name) or ours.get(next(metric, ""))
        if expected and expected[what] != text:
            different[what].append(name)
    for what, names in different.items():
        pushers = first_few(group for group in groups if any(one.name.startswith(tuple(names)) for one in group.series))
        found = f"{first_few(names)}: the {what} differs from gangplank's, in the group {pushers}"
        if names and what == "TYPE":
            fix = "delete that group, and rename the metrics that are pushed there"
            yield Check("names", "problem", f"{found}: the gateway refuses gangplank's pages", fix)
        elif names:
            yield Check("names", "warning", found, "use the same version of gangplank everywhere, or delete that group")
    if not any(different.values()):
        yield Check("names", "ok", "gangplank's families have the expected types and help texts")


def _our_families() -> dict[str, dict[str, str]]:
    """Return TYPE and HELP of each of gangplank's families."""
    families: dict[str, dict[str, str]] = defaultdict(dict)
    for phase in PHASES:
        for line in probe.full_page(Group(()), phase, "").text().decode().splitlines():
            if match := _TYPE_OR_HELP.fullmatch(line):
                families[match[2]][match[1]] = match[3]
    return families


def _runs(groups: Iterable[GatewayGroup], now: float) -> Check:
    running = [group for group in groups if RUNNING in group.state]
    silent = [group for group in running if not group.is_alive(now)]
    if not silent:
        recent = ", with recent heartbeats" if running else ""
        return Check("runs", "ok", f"{len(running) or 'none'} running{recent}")
    found = first_few(f"{group} ({format_duration(group.heartbeat_age(now))})" for group in silent)
    fix = "check whether these processes are alive; if not, gangplank delete"
    return Check("runs", "warning", f"{len(silent)} of {len(running)} running, no recent heartbeat: {found}", fix)
