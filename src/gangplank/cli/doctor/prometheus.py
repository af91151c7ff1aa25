"""What `gangplank doctor` checks of a Prometheus: whether it scrapes the gateway, and keeps the pushed labels."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gangplank.cli.doctor.check import Check, Report, refused
from gangplank.cli.remote.prometheus import Prometheus
from gangplank.core.errors import ConfigurationError, GangplankError
from gangplank.core.log import one_line
from gangplank.core.sinks.address import Address, parse
from gangplank.core.types import Group

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_USUAL_INTERVAL = 60.0
# Prometheus first scrapes a new target after five seconds.
_START, _LONGEST_WAIT = 6.0, 300.0
_HONOR_LABELS = "set `honor_labels: true` in its scrape config"


class Scraper(Prometheus):
    """A Prometheus that may scrape the gateway; see `Prometheus`."""

    def targets(self, gateway: Address) -> list[Mapping[str, Any]]:
        """Return the targets that are this gateway, by host and port."""
        active = self.query("targets", state="active")["activeTargets"]
        return [target for target in active if _is_same_server(target.get("scrapeUrl", ""), gateway)]

    def honor_labels(self) -> dict[str, bool]:
        """Return whether each scrape config sets `honor_labels`, by name; nothing if the config cannot be read."""
        try:
            parts = re.split(r"^- job_name: (.*)$", self.query("status/config")["yaml"], flags=re.MULTILINE)
        except (GangplankError, LookupError, TypeError):
            return {}
        names = (name.strip("'\"") for name in parts[1::2])
        return {
            name: re.search(r"^  honor_labels: true$", text, re.MULTILINE) is not None
            for name, text in zip(names, parts[2::2], strict=True)
        }


def check_prometheus(address: str, gateway: Address | None, group: Group | None, report: Report) -> None:
    """Check a Prometheus, and how it scrapes a gateway.

    Args:
        address: the address of the Prometheus; it may have credentials.
        gateway: the gateway that it should scrape, if any.
        group: a group that has just been pushed there, if any.
        report: takes each result.
    """
    try:
        prometheus = Scraper(address)
        prometheus.get("/-/ready")
        version = str.strip(prometheus.query("status/buildinfo")["version"])  # a TypeError unless it is text
        found = f"{prometheus} is Prometheus {one_line(prometheus.strike(version))}, and ready"
        report(Check("prometheus", "ok", found))
        if gateway is not None:
            _check_scraping(prometheus, gateway, group, report)
    except ConfigurationError as error:
        report(Check("prometheus", "problem", str(error)))
    except GangplankError as error:
        report(refused("prometheus", error, authenticated=parse(address).login is not None))
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError):
        found = f"the server on {prometheus} does not answer as a Prometheus does"
        report(Check("prometheus", "problem", found, "give the URL of a Prometheus"))


def _check_scraping(prometheus: Scraper, gateway: Address, group: Group | None, report: Report) -> None:
    targets = prometheus.targets(gateway)
    arrival = _await_arrival(prometheus, targets, group) if group else None
    targets = prometheus.targets(gateway)  # by now they have been scraped
    honor_labels = prometheus.honor_labels()
    for target in targets:
        for check in _target(target, honor_labels, prometheus.strike):
            report(check)
    if len(targets) > 1:
        found = f"{len(targets)} targets are this gateway, so each series is stored {len(targets)} times"
        report(Check("target", "warning", found))
    if not targets and (arrival is None or arrival.state == "problem"):
        server = _host_and_port(gateway)
        config = f"{{job_name: pushgateway, honor_labels: true, static_configs: [{{targets: ['{server}']}}]}}"
        report(Check("target", "problem", f"{server} is not a target", f"add to its scrape_configs: - {config}"))
    if arrival is not None:
        report(arrival)


def _target(
    target: Mapping[str, Any], honor_labels: Mapping[str, bool], strike: Callable[[str], str]
) -> Iterator[Check]:
    config = str(target.get("scrapePool", ""))
    name = strike(f"{target['scrapeUrl']} (scrape config {config!r}, every {target.get('scrapeInterval', '?')})")
    if error := target.get("lastError"):
        found = f"the last scrape of {name} failed: {one_line(strike(str(error)))}"
        yield Check("target", "problem", found, "fix that error")
    elif target.get("health") != "up":
        yield Check("target", "warning", f"{name} has not been scraped yet", "check again in a minute")
    else:
        yield Check("target", "ok", f"it scrapes {name}")
    if honor_labels.get(config):
        yield Check("honor_labels", "ok", "true: jobs keep their names")
    elif config in honor_labels:
        yield Check(
            "honor_labels", "problem", f'not set for {name}: every job becomes job="{strike(config)}"', _HONOR_LABELS
        )


def _await_arrival(prometheus: Scraper, targets: list[Mapping[str, Any]], group: Group) -> Check:
    """Wait for up to two scrapes; check whether the group has arrived with the labels that it was pushed with."""
    key = dict(group.labels)
    interval = max((_seconds(str(target.get("scrapeInterval", ""))) for target in targets), default=_USUAL_INTERVAL)
    timeout = min(2 * interval + _START, _LONGEST_WAIT)
    if timeout > 2 * _START:
        print(f"Waiting up to {timeout:.0f} s for Prometheus to scrape the temporary group.", file=sys.stderr)
    query = " or ".join(f'gangplank_run_info{{{label}="{key["job"]}"}}' for label in ("job", "exported_job"))
    start = time.monotonic()
    while not (samples := prometheus.query("query", query=query)["result"]):
        if time.monotonic() - start > timeout:
            found = f"no sample of the temporary group has arrived within {timeout:.0f} s"
            return Check("arrival", "problem", found, "see the lines about the target, and Prometheus' log")
        time.sleep(min(interval / 4, 1.0))
    took = time.monotonic() - start
    labels = samples[0]["metric"]
    if labels.get("exported_job") == key["job"]:
        job = prometheus.strike(repr(labels.get("job")))
        found = f"job={key['job']!r} arrived as job={job}, exported_job={key['job']!r}"
        return Check("arrival", "problem", found, _HONOR_LABELS)
    changed = {name: labels.get(name) for name, value in key.items() if labels.get(name) != value}
    if changed:
        labels = prometheus.strike(str(changed))
        found = f"the temporary group arrived with other labels than it was pushed with: {labels}"
        return Check("arrival", "problem", found, "check metric_relabel_configs in its scrape config")
    return Check("arrival", "ok", f"the temporary group arrived after {took:.1f} s, with its own job and phase")


def _is_same_server(url: str, gateway: Address) -> bool:
    """Return whether a URL leads to the gateway: to its port, and to its host by name or by IP address."""
    with contextlib.suppress(ConfigurationError):
        target = parse(url.partition("?")[0])
        return target.port == gateway.port and (
            target.host == gateway.host or bool(_ip_addresses(target.host) & _ip_addresses(gateway.host))
        )
    return False


def _ip_addresses(host: str) -> set[str]:
    with contextlib.suppress(OSError, UnicodeError):
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    return set()


def _host_and_port(address: Address) -> str:
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"


def _seconds(duration: str) -> float:
    """Return the seconds of a duration in Prometheus' notation; 1 if it is empty."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d{1,9})(ms|[smhdwy])", duration)) or 1.0
