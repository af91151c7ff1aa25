"""What `gangplank doctor` checks of the environment variables."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping

from gangplank.cli.doctor.check import Check
from gangplank.core.environment import disabled
from gangplank.core.files import read_file
from gangplank.core.plugins.loading import ALLOW, DISABLE
from gangplank.core.sinks.credentials import PREFIX

_FILES = ("CA_FILE", "CERT_FILE", "KEY_FILE")
#: Every variable that gangplank reads.
VARIABLES = (
    "GANGPLANK_DISABLED",
    DISABLE,
    ALLOW,
    *(f"{PREFIX}{name}" for name in ("HOST", "USERNAME", "PASSWORD", *_FILES)),
)


def checks() -> list[Check]:
    """Check the variables that begin with GANGPLANK_. No value is shown, since it may be a password."""
    given = {name: value for name, value in os.environ.items() if name.startswith("GANGPLANK_")}
    access = {name.removeprefix(PREFIX): value for name, value in given.items() if name.startswith(PREFIX) and value}
    names = ", ".join(sorted(given)) or "nothing"
    return [*_switches(given), *_access(access)] or [Check("environment", "ok", f"{names} set")]


def _switches(given: Mapping[str, str]) -> Iterator[Check]:
    for name in sorted(given.keys() - set(VARIABLES)):
        similar = difflib.get_close_matches(name, VARIABLES, 1)
        yield _warning(f"gangplank does not read {name}", f"write {similar[0]}" if similar else "unset it")
    if disabled():
        yield _warning("GANGPLANK_DISABLED turns every exporter off", "unset it")
    if given.get(ALLOW, "x").strip(", ") == "":
        yield _warning(f"{ALLOW} is empty, which switches every plugin off", "unset it")


def _access(given: Mapping[str, str]) -> Iterator[Check]:
    """Check the variables of the gateway, by their names without the prefix."""
    host = given.get("HOST", "")
    if given and not host:
        found = f"{PREFIX}{min(given)} is set without {PREFIX}HOST: no gateway can be used"
        yield _problem(found, f"set {PREFIX}HOST to the host that it is for")
    if "/" in host or "@" in host or host != host.strip():
        yield _problem(f"{PREFIX}HOST is not a host, so it matches no gateway", "write host or host:port")
    for name, other in (("USERNAME", "PASSWORD"), ("PASSWORD", "USERNAME"), ("KEY_FILE", "CERT_FILE")):
        if name in given and other not in given:
            yield _warning(f"{PREFIX}{name} is set, but {PREFIX}{other} is not", "set both")
    for name in sorted(given.keys() & set(_FILES)):
        try:
            read_file(given[name])
        except OSError:
            yield _problem(f"{PREFIX}{name} names a file that cannot be read", "correct it")


def _warning(found: str, fix: str) -> Check:
    return Check("environment", "warning", found, fix)


def _problem(found: str, fix: str) -> Check:
    return Check("environment", "problem", found, fix)
