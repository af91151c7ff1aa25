"""What `gangplank doctor` asks a Prometheus: whether it scrapes the gateway, and keeps the labels that were pushed."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from gangplank.cli.client import GatewayClient
from gangplank.cli.findings import Check, Tell, refusal
from gangplank.core.address import Address, parse
from gangplank.core.errors import ConfigurationError, GangplankError
from gangplank.core.report import shown
from gangplank.core.snapshot import Group

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_USUAL_INTERVAL = 60.0
# Prometheus scrapes new targets after five seconds.
_START, _LONGEST_WAIT = 6.0, 300.0
_HONOUR = "set `honor_labels: true` in its scrape config"


class Prometheus:
    """The HTTP API of one Prometheus.

    Raises:
        ConfigurationError: the address cannot work.
        GangplankError: from each method: it does not answer, or is no Prometheus.
    """

    def __init__(self, address: str) -> None:
        self._client = GatewayClient(address)

    def __str__(self) -> str:
        return str(self._client)

    def read(self, path: str) -> str:
        """Return what a path answers."""
        try:
            return self._client.page(path).text
        except GangplankError as error:
            raise GangplankError(str(error).replace("no gateway answers", "no Prometheus answers", 1)) from error

    def ask(self, what: str, **query: str) -> Any:
        """Return the data that the API answers with."""
        try:
            return json.loads(self.read(f"/api/v1/{what}?{urlencode(query)}"))["data"]
        except (ValueError, LookupError, TypeError) as error:
            if isinstance(error, GangplankError):
                raise
            raise GangplankError(f"what listens on {self} is no Prometheus") from error

    def targets(self, gateway: Address) -> list[Mapping[str, Any]]:
        """Return the targets that are this gateway, by host and port."""
        every = self.ask("targets", state="active")["activeTargets"]
        return [target for target in every if _is_at(target.get("scrapeUrl", ""), gateway)]

    def honours(self) -> dict[str, bool]:
        """Return of each scrape config whether it keeps the labels of its targets; of none where it does not tell."""
        try:
            parts = re.split(r"^- job_name: (.*)$", self.ask("status/config")["yaml"], flags=re.MULTILINE)
        except (GangplankError, LookupError, TypeError):
            return {}
        names = (name.strip("'\"") for name in parts[1::2])
        return {
            name: re.search(r"^  honor_labels: true$", text, re.MULTILINE) is not None
            for name, text in zip(names, parts[2::2], strict=True)
        }


def examine(address: str, gateway: Address | None, group: Group | None, tell: Tell) -> None:
    """Check a Prometheus, and how it sees a gateway.

    Args:
        address: of the Prometheus, with its credentials.
        gateway: the one that it is to scrape, if any.
        group: a group that has just been pushed there, if any.
        tell: is told what was found, at once.
    """
    try:
        prometheus = Prometheus(address)
        try:
            prometheus.read("/-/ready")
            version = prometheus.ask("status/buildinfo")["version"]
            tell(Check("prometheus", "ok", f"{prometheus} is Prometheus {shown(version)}, and ready"))
            if gateway is not None:
                _examine_gateway(prometheus, gateway, group, tell)
        except (LookupError, TypeError, AttributeError):
            tell(Check("prometheus", "problem", f"{prometheus} answers as no Prometheus does", "give the URL of one"))
        except GangplankError as error:
            tell(refusal("prometheus", str(error), sent=parse(address).user is not None))
    except ConfigurationError as error:
        tell(Check("prometheus", "problem", str(error)))


def _examine_gateway(prometheus: Prometheus, gateway: Address, group: Group | None, tell: Tell) -> None:
    targets = prometheus.targets(gateway)
    arrival = _arrival(prometheus, targets, group) if group else None
    targets = prometheus.targets(gateway)  # by now it has scraped
    honours = prometheus.honours()
    for target in targets:
        for check in _target(target, honours):
            tell(check)
    if len(targets) > 1:
        tell(Check("target", "warning", f"{len(targets)} targets are this gateway: each series is there twice"))
    if not targets and (arrival is None or arrival.state == "problem"):
        config = f"{{job_name: pushgateway, honor_labels: true, static_configs: [{{targets: ['{_at(gateway)}']}}]}}"
        tell(Check("target", "problem", f"no target is {_at(gateway)}", f"add to its scrape_configs: - {config}"))
    if arrival is not None:
        tell(arrival)


def _target(target: Mapping[str, Any], honours: Mapping[str, bool]) -> Iterator[Check]:
    pool = str(target.get("scrapePool", ""))
    where = f"{target['scrapeUrl']} (scrape config {pool!r}, every {target.get('scrapeInterval', '?')})"
    if error := target.get("lastError"):
        yield Check("target", "problem", f"the last scrape of {where} failed: {shown(error)}", "cure what it says")
    elif target.get("health") != "up":
        yield Check("target", "warning", f"{where} has not been scraped yet", "look again in a minute")
    else:
        yield Check("target", "ok", f"it scrapes {where}")
    if honours.get(pool):
        yield Check("honor_labels", "ok", "true: jobs keep their names")
    elif pool in honours:
        yield Check("honor_labels", "problem", f'not set for {where}: every job becomes job="{pool}"', _HONOUR)


def _arrival(prometheus: Prometheus, targets: list[Mapping[str, Any]], group: Group) -> Check:
    """Wait for two scrapes; return whether the group has come with the labels that it was pushed with."""
    key = dict(group.labels)
    interval = max((_seconds(str(target.get("scrapeInterval", ""))) for target in targets), default=_USUAL_INTERVAL)
    patience = min(2 * interval + _START, _LONGEST_WAIT)
    if patience > 2 * _START:
        print(f"Waiting up to {patience:.0f} s for Prometheus to scrape the throw-away group.", file=sys.stderr)
    query = " or ".join(f'gangplank_run_info{{{label}="{key["job"]}"}}' for label in ("job", "exported_job"))
    began = time.monotonic()
    while not (samples := prometheus.ask("query", query=query)["result"]):
        if time.monotonic() - began > patience:
            found = f"no sample of the throw-away group has arrived within {patience:.0f} s"
            return Check("arrival", "problem", found, "the target's own lines say why; see Prometheus' log")
        time.sleep(min(interval / 4, 1.0))
    took = time.monotonic() - began
    labels = samples[0]["metric"]
    if labels.get("exported_job") == key["job"]:
        found = f"job={key['job']!r} arrived as job={labels.get('job')!r}, exported_job={key['job']!r}"
        return Check("arrival", "problem", found, _HONOUR)
    lost = {name: labels.get(name) for name, value in key.items() if labels.get(name) != value}
    if lost:
        found = f"the throw-away group arrived with other labels than it was pushed with: {lost}"
        return Check("arrival", "problem", found, "look at metric_relabel_configs in its scrape config")
    return Check("arrival", "ok", f"the throw-away group arrived after {took:.1f} s, under its own job and phase")


def _is_at(url: str, gateway: Address) -> bool:
    with contextlib.suppress(ConfigurationError):
        there = parse(url.partition("?")[0])
        return there.port == gateway.port and (
            there.host == gateway.host or bool(_resolved(there.host) & _resolved(gateway.host))
        )
    return False


def _resolved(host: str) -> set[str]:
    with contextlib.suppress(OSError, UnicodeError):
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    return set()


def _at(address: Address) -> str:
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"


def _seconds(duration: str) -> float:
    """Return the seconds of a duration as Prometheus writes it."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration)) or 1.0
