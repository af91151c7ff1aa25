"""`gangplank doctor`: is everything as it must be, from this machine to Prometheus, and what is the cure."""

from __future__ import annotations

import argparse
import difflib
import importlib.metadata
import json
import os
import platform
import re
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from gangplank.cli import adapters, checks, probe, prometheus
from gangplank.cli.client import EXIT_CODES, GatewayClient
from gangplank.cli.delete import refused
from gangplank.cli.findings import Check, Tell
from gangplank.cli.plugins import beside, fault, listening, standing
from gangplank.core import plugins
from gangplank.core.address import anonymous, host_and_port, parse, scheme_of
from gangplank.core.credentials import PREFIX
from gangplank.core.errors import ConfigurationError, GangplankError
from gangplank.core.report import shown
from gangplank.core.settings import disabled
from gangplank.core.sinks.pushgateway import Pushgateway
from gangplank.core.snapshot import Group

FILES = ("CA_FILE", "CERT_FILE", "KEY_FILE")
VARIABLES = (
    "GANGPLANK_DISABLED",
    plugins.DISABLE,
    plugins.ALLOW,
    *(f"{PREFIX}{name}" for name in ("HOST", "USERNAME", "PASSWORD", *FILES)),
)
_NEEDED = ("gangplank", "numpy", "prometheus-client", "pluggy")
_FRAMEWORKS = ("keras", "tensorflow", "jax", "torch", "lightning", "pytorch_lightning")
_COLOURS = {"ok": "\x1b[32m", "warning": "\x1b[33m", "problem": "\x1b[31m"}


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "doctor",
        help="look for what is wrong, and say the cure",
        description="Check this installation, a destination, and the Prometheus behind it. On a Pushgateway, a small "
        "group is pushed for it, and deleted again.",
        epilog=EXIT_CODES.format(done="all is well, or there are warnings only", failed="there is a problem"),
    )
    parser.add_argument("address", metavar="ADDRESS", nargs="?", help="where runs push, as in a script")
    parser.add_argument("--prometheus", metavar="URL", help="the Prometheus that scrapes the gateway")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check everything; return 1 where there is a problem."""
    address, behind = arguments.address, arguments.prometheus
    try:
        gateway = parse(address) if address is not None and scheme_of(address) in ("http", "https") else None
        if behind is not None:
            parse(behind)
    except ConfigurationError as error:
        return refused("doctor", str(error))
    found: list[Check] = []

    def tell(check: Check) -> None:
        found.append(check)
        if not arguments.json:
            print(_line(check), flush=True)

    def meanwhile(group: Group | None) -> None:
        if behind is not None:
            prometheus.examine(behind, gateway, group, tell)

    for check in (*_versions(), *_plugins_and_adapters(), *_environment()):
        tell(check)
    _destination(address, tell, meanwhile)
    if arguments.json:
        print(json.dumps([asdict(check) for check in found], indent=2))
    else:
        print(_summary(found))
    return int(any(check.state == "problem" for check in found))


def _line(check: Check) -> str:
    text = f"{shown(check.found, 1_000)}{' -> ' if check.cure else ''}{shown(check.cure, 1_000)}"
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    state = f"{_COLOURS[check.state]}{check.state:7}\x1b[0m" if colour else f"{check.state:7}"
    return f"{state}  {check.check:12}  {text}"


def _summary(found: list[Check]) -> str:
    counts = {state: sum(check.state == state for check in found) for state in ("problem", "warning")}
    said = [f"{count} {state}{'s' if count > 1 else ''}" for state, count in counts.items() if count]
    return f"{', '.join(said)}." if said else "All is well."


def _versions() -> Iterator[Check]:
    ours = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _NEEDED)
    yield Check("versions", "ok", f"Python {platform.python_version()}, {ours}")
    found = [f"{name} {adapters.version_of(name)}".rstrip() for name in _FRAMEWORKS if adapters.is_installed(name)]
    yield Check("frameworks", "ok", ", ".join(found) or "none: a plain loop with gangplank.Run works without")


def _plugins_and_adapters() -> Iterator[Check]:
    with listening() as said:
        try:
            loaded, found = plugins.load(), adapters.look()
        except ConfigurationError as error:
            yield Check("plugins", "problem", str(error))
            return
    for plugin in loaded:
        broken, wrong = plugin.state == "broken", fault(plugin)
        cure = f"mend it, or set {plugins.DISABLE}={plugin.name}" if wrong else ""
        state = f"{plugin.name} ({plugin.source}) is {standing(plugin)}"
        yield Check("plugins", "problem" if broken else "warning" if wrong else "ok", state, cure)
    named = set(re.split(r"[,\s]+", os.environ.get(plugins.DISABLE, ""))) - {"", "all", "1", "true"}
    for name in sorted(named - {plugin.name for plugin in loaded}):
        yield Check("plugins", "warning", f"{plugins.DISABLE} names {name}, and no such plugin is installed")
    for line in beside(said, loaded):
        yield Check("plugins", "warning", line)
    if not loaded:
        yield Check("plugins", "ok", "none are installed")
    for one in found:
        broken = one.installed and not one.available
        state = f"{one.name}: {one.problem or f'{one.exporter} can be imported'}"
        yield Check("adapter", "warning" if broken else "ok", state)


def _environment() -> Iterator[Check]:
    """Yield what is wrong with the variables that begin with GANGPLANK_; a value may be a password."""
    given = {name: value for name, value in os.environ.items() if name.startswith("GANGPLANK_")}
    wrong = []
    for name in sorted(given.keys() - set(VARIABLES)):
        near = difflib.get_close_matches(name, VARIABLES, 1)
        wrong.append(
            Check("environment", "warning", f"{name} means nothing", f"write {near[0]}" if near else "unset it")
        )
    if disabled():
        wrong.append(Check("environment", "warning", "GANGPLANK_DISABLED turns every exporter off", "unset it"))
    if given.get(plugins.ALLOW, "x").strip(", ") == "":
        wrong.append(Check("environment", "warning", f"{plugins.ALLOW} is empty, which lets no plugin in", "unset it"))
    theirs = {name.removeprefix(PREFIX): value for name, value in given.items() if name.startswith(PREFIX) and value}
    host = theirs.get("HOST", "")
    if theirs and not host:
        found = f"{PREFIX}{min(theirs)} is set without {PREFIX}HOST, and no gateway can be used"
        wrong.append(Check("environment", "problem", found, f"set {PREFIX}HOST to the host it is for"))
    if "/" in host or "@" in host or host != host.strip():
        wrong.append(
            Check("environment", "problem", f"{PREFIX}HOST is no host, and fits no gateway", "write host or host:port")
        )
    if ("USERNAME" in theirs) != ("PASSWORD" in theirs):
        there, lacking = ("USERNAME", "PASSWORD") if "USERNAME" in theirs else ("PASSWORD", "USERNAME")
        wrong.append(
            Check("environment", "warning", f"{PREFIX}{there} is set, and {PREFIX}{lacking} is not", "set both")
        )
    if "KEY_FILE" in theirs and "CERT_FILE" not in theirs:
        wrong.append(
            Check("environment", "warning", f"{PREFIX}KEY_FILE is set, and {PREFIX}CERT_FILE is not", "set both")
        )
    wrong += [
        Check("environment", "problem", f"{PREFIX}{name} names a file that cannot be read", "correct it")
        for name in FILES
        if name in theirs and not (Path(theirs[name]).is_file() and os.access(theirs[name], os.R_OK))
    ]
    names = ", ".join(sorted(given)) or "nothing"
    yield from wrong or [Check("environment", "ok", f"{names} set")]


def _destination(address: str | None, tell: Tell, meanwhile: Callable[[Group | None], None]) -> None:
    """Check a destination; `meanwhile` is called once, with the throw-away group where there is one."""
    if address is None or scheme_of(address) not in ("http", "https"):
        if address is not None:
            tell(_other(address))
        meanwhile(None)
        return
    try:
        sink, client = Pushgateway(address), GatewayClient(address)
    except ConfigurationError as error:
        tell(Check("gateway", "problem", str(error)))
        meanwhile(None)
        return
    if sink.exposed:
        tell(Check("gateway", "warning", f"credentials go to {sink} in the clear", "use https"))
    host = os.environ.get(f"{PREFIX}HOST")
    if host and os.environ.get(f"{PREFIX}USERNAME") and not sink.authenticates:
        found = f"the user in the environment is for {host}, and does not go to {sink}"
        tell(Check("gateway", "warning", found, f"if it should, set {PREFIX}HOST"))
    if checks.is_gateway(sink, client, tell):
        probe.try_out(sink, client, tell, meanwhile)
    else:
        meanwhile(None)


def _other(address: str) -> Check:
    """Return whether a destination that is no gateway can be used."""
    shown_as = anonymous(address)
    try:
        sink = plugins.open_sink(address)
    except GangplankError as error:
        return Check("destination", "problem", str(error))
    if scheme_of(address) == "file":
        folder = Path(str(sink).removeprefix("file://")).parent
        cure = f"node_exporter must run with --collector.textfile.directory={folder}"
        return Check("destination", "ok", f"{shown_as} can be written", cure)
    if scheme_of(address) == "scrape":
        return _port(address)
    return Check("destination", "ok", f"{shown_as} is opened by a plugin, as a {type(sink).__name__}")


def _port(address: str) -> Check:
    host, port = host_and_port(address, "")
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        cure = "choose another port of this machine, or end what listens there"
        return Check("destination", "problem", f"{address} cannot be listened on: {error.strerror}", cure)
    return Check("destination", "ok", f"{address} is free to listen on")
