"""What `gangplank doctor` finds on a gateway's page: its size, its clock, and what breaks or confuses others."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator

from gangplank.cli import probe
from gangplank.cli.client import GatewayClient
from gangplank.cli.findings import Check, Tell, listed, refusal
from gangplank.cli.groups import Held, read, words
from gangplank.core.errors import GangplankError
from gangplank.core.naming import PHASES
from gangplank.core.page import RUNNING
from gangplank.core.report import shown
from gangplank.core.sinks.pushgateway import PANICS, Pushgateway
from gangplank.core.snapshot import Group

MOST_SERIES, MOST_BYTES = 100_000, 50_000_000
MOST_SKEW = 30.0
_VERSION = re.compile(r'^pushgateway_build_info\{(?:.*,)?version="([^"]*)"', re.MULTILINE)
_ABOUT = re.compile(r"# (TYPE|HELP) (gangplank_[a-zA-Z0-9_:]+) ?(.*)")
_READ = re.compile(r"(?:# (?:TYPE|HELP) )?(?:gangplank_|push_time_seconds|push_failure_time_seconds)")
_TWICE = re.compile(r'[{,](le|quantile)="(?:[^"\\]|\\.)*",(?:.*,)?\1="')


def is_gateway(sink: Pushgateway, client: GatewayClient, tell: Tell) -> bool:
    """Tell what a gateway's page says; return whether it is a Pushgateway that answers."""
    asked = time.time()
    try:
        page = client.page()
    except GangplankError as error:
        tell(refusal("gateway", str(error), sent=sink.authenticates))
        return False
    answered = time.time()
    if not (version := _VERSION.search(page.text)):
        cure = "give the address of the gateway, which listens on 9091 as a rule"
        tell(Check("gateway", "problem", f"what listens on {client} is no Pushgateway", cure))
        return False
    took = 1000 * (answered - asked)
    found = f"{client} is Pushgateway {shown(version[1])}; its page took {took:.0f} ms"
    if version[1] == PANICS:
        found = f"{found}. Where it refuses a page, this version panics and hangs up: nobody is told why"
        tell(Check("gateway", "warning", found, "install a newer version"))
    else:
        tell(Check("gateway", "ok", found))
    tell(_clock(page.clock, (asked + answered) / 2))
    for check in _page(page.text, page.now):
        tell(check)
    return True


def _clock(there: float | None, here: float) -> Check:
    if there is None:
        found = "the gateway's answer has no Date: `gangplank prune` cannot tell how old a group is"
        return Check("clock", "warning", found, "have the proxy before it leave that header")
    if abs(there - here) <= MOST_SKEW:
        return Check("clock", "ok", "the gateway's clock agrees with this machine's")
    ahead = "ahead of" if there > here else "behind"
    found = f"the gateway's clock is {words(there - here)} {ahead} this machine's: heartbeats look too old, or too new"
    return Check("clock", "warning", found, "have NTP set both")


def _page(text: str, now: float) -> Iterator[Check]:
    lines = text.splitlines()
    series, size = sum(bool(line) and not line.startswith("#") for line in lines), len(text.encode())
    found = f"{series:,} series, {size:,} bytes"
    if series > MOST_SERIES or size > MOST_BYTES:
        cure = "export less of each run (`metrics=`, fewer buckets), `gangplank prune`, or use a second gateway"
        yield Check("size", "warning", f"{found}, all of which each scrape reads", cure)
    else:
        yield Check("size", "ok", found)
    broken = [line for line in lines if _TWICE.search(line)]
    sound = (line for line in lines if _READ.match(line) and not _TWICE.search(line))
    try:
        held = read("\n".join((*sound, "")))
    except GangplankError as error:
        yield Check("groups", "problem", str(error), "delete the group that pushed it")
        return
    yield _labels(held, broken)
    yield from _names(lines, held)
    yield _runs(held, now)


def _labels(held: Iterable[Held], broken: list[str]) -> Check:
    culprits = listed(group for group in held if {"le", "quantile"} & group.key.keys())
    if broken:
        found = f"a label twice, for which Prometheus refuses the whole page: {shown(broken[0], 150)}"
        cure = f"delete the group ({culprits}), and push without `le` or `quantile` in its key"
        return Check("labels", "problem", found, cure)
    if culprits:
        found = f"`le` or `quantile` in a grouping key breaks the page with the first histogram or summary: {culprits}"
        return Check("labels", "warning", found, "rename that label")
    return Check("labels", "ok", "no grouping key has a label that breaks the page")


def _names(lines: Iterable[str], held: Iterable[Held]) -> Iterator[Check]:
    """Yield which families of our names are not as ours: a name has one type, and one help text, for all."""
    ours = _our_families()
    others: dict[str, list[str]] = {"TYPE": [], "HELP": []}
    for about in filter(None, map(_ABOUT.fullmatch, lines)):
        what, name, is_so = about.groups()
        metric_of = (f"gangplank_{phase}_{probe.METRIC}" for phase in PHASES if name.startswith(f"gangplank_{phase}_"))
        wanted = ours.get(name) or ours.get(next(metric_of, ""))
        if wanted and wanted[what] != is_so:
            others[what].append(name)
    for what, names in others.items():
        pushers = listed(group for group in held if any(one.name.startswith(tuple(names)) for one in group.series))
        found = f"the {what} is not ours of {listed(names)}, in the group {pushers}"
        if names and what == "TYPE":
            cure = "delete that group, and rename what is pushed there"
            yield Check("names", "problem", f"{found}: the gateway refuses our runs", cure)
        elif names:
            yield Check("names", "warning", found, "use one version of gangplank everywhere, or delete that group")
    if not any(others.values()):
        yield Check("names", "ok", "what is called gangplank_* has our types and help texts")


def _our_families() -> dict[str, dict[str, str]]:
    """Return TYPE and HELP of each family of ours."""
    families: dict[str, dict[str, str]] = defaultdict(dict)
    for phase in PHASES:
        for line in probe.page(Group(()), phase).text().decode().splitlines():
            if about := _ABOUT.fullmatch(line):
                families[about[2]][about[1]] = about[3]
    return families


def _runs(held: Iterable[Held], now: float) -> Check:
    running = [group for group in held if RUNNING in group.state]
    silent = [group for group in running if not group.is_alive(now)]
    if not silent:
        heard = ", and heard of within the last minutes" if running else ""
        return Check("runs", "ok", f"{len(running) or 'none'} running{heard}")
    found = listed(f"{group} ({words(group.silence(now))})" for group in silent)
    cure = "see whether these processes live, and if not: gangplank delete"
    return Check("runs", "warning", f"{len(silent)} of {len(running)} running, and not heard of: {found}", cure)
