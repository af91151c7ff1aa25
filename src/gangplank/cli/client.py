"""One gateway: reading its page and deleting its groups, with the access that the environment gives."""

from __future__ import annotations

import argparse
import email.utils
import http.client
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from gangplank.cli.groups import Held, read
from gangplank.core.address import parse
from gangplank.core.credentials import PREFIX, access_to
from gangplank.core.errors import ConfigurationError, GangplankError
from gangplank.core.report import shown
from gangplank.core.sinks import transport
from gangplank.core.sinks.pushgateway import path_of
from gangplank.core.snapshot import Group

EXIT_CODES = "Exit codes: 0: {done}; 1: {failed}; 2: a command line that makes no sense."
CREDENTIALS = f"give {PREFIX}HOST, _USERNAME and _PASSWORD in the environment, or write http://user:password@host:port"
_TIMEOUT = 10.0
_LONGEST_REASON = 200
# The gateway deletes behind its answer.
_PATIENCE = 2.0
# An empty value in a path. A key that has an empty `instance` looks on the page like one that has none.
_EMPTY = "@base64/="
_ENDINGS = ("", f"/instance{_EMPTY}")


@dataclass(frozen=True, slots=True)
class Page:
    """What a gateway shows: its text, and its clock, or None where it does not say."""

    text: str
    clock: float | None

    @property
    def now(self) -> float:
        """The time by the gateway's clock, or else by ours."""
        return time.time() if self.clock is None else self.clock


class GatewayClient:
    """Reads a gateway and deletes its groups; no redirect is followed and no proxy used.

    Raises:
        GangplankError: from each method: no gateway answers, or it refuses; the message holds no credential.
    """

    def __init__(self, address: str) -> None:
        self._address = parse(address)
        self._access = access_to(self._address, None)
        self._tls = self._access.tls if self._address.scheme == "https" else None

    def __str__(self) -> str:
        return str(self._address).removeprefix("http://")

    def page(self, path: str = "/metrics") -> Page:
        """Return what it shows."""
        where, timeout = (self._address.host, self._address.port), _TIMEOUT
        connection = (
            http.client.HTTPSConnection(*where, timeout=timeout, context=self._tls)
            if self._tls
            else http.client.HTTPConnection(*where, timeout=timeout)
        )
        try:
            connection.request("GET", self._address.prefix + path, headers=self._access.headers())
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")  # a HELP text may be anything
        except (OSError, http.client.HTTPException) as error:
            raise self._silent(error) from error
        finally:
            connection.close()
        if answer.status != HTTPStatus.OK:
            raise GangplankError(f"no gateway answers on {self}: {_refusal(answer.status, text)}")
        date = email.utils.parsedate_tz(answer.getheader("Date", ""))
        return Page(text, None if date is None else float(email.utils.mktime_tz(date)))

    def look(self) -> tuple[list[Held], Page]:
        """Return the groups that it holds, by job and phase, and the page that shows them."""
        page = self.page()
        if "pushgateway_build_info" not in page.text:
            raise GangplankError(f"what listens on {self} is no Pushgateway")
        return read(page.text), page

    def delete(self, groups: Sequence[Held]) -> dict[Group, str]:
        """Delete these very groups, one by one; return of each that was not deleted why."""
        failed: dict[Group, str] = {}
        left = list(groups)
        for ending in _ENDINGS:
            for held in left:
                if ending and "instance" in held.key:
                    continue
                try:
                    self._delete(_path(held.group) + ending)
                except GangplankError as error:
                    failed[held.group] = str(error)
            left = self._left([held for held in left if held.group not in failed])
        return failed | {held.group: "the gateway holds it still" for held in left}

    def _delete(self, path: str) -> None:
        try:
            status, answer = transport.request(
                "DELETE",
                self._address,
                path,
                body=b"",
                headers=self._access.headers(),
                timeout=_TIMEOUT,
                tls=self._tls,
            )
        except (OSError, http.client.HTTPException) as error:
            raise self._silent(error) from error
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise GangplankError(_refusal(status, answer))

    def _left(self, groups: list[Held]) -> list[Held]:
        """Return those that are still there, untouched; one pushed to meanwhile is another."""
        end = time.monotonic() + _PATIENCE
        while groups:
            there = {held.group: (held.pushed, held.failed) for held in self.look()[0]}
            groups = [held for held in groups if there.get(held.group) == (held.pushed, held.failed)]
            if time.monotonic() > end:
                break
            time.sleep(0.05 if groups else 0)
        return groups

    def _silent(self, error: Exception) -> GangplankError:
        return GangplankError(f"no gateway answers on {self}: {shown(error, _LONGEST_REASON) or type(error).__name__}")


def gateway(address: str) -> GatewayClient:
    """Return the gateway that a command line names.

    Raises:
        argparse.ArgumentTypeError: that is no address, or the environment says nonsense about it.
    """
    try:
        return GatewayClient(address)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _path(group: Group) -> str:
    full = Group(tuple(label for label in group.labels if label[1]))
    return path_of(full) + "".join(f"/{name}{_EMPTY}" for name, value in group.labels if not value)


def _refusal(status: int, answer: str) -> str:
    said = f"HTTP Error {status}: {shown(answer, _LONGEST_REASON)}"
    return f"{said}; {CREDENTIALS}" if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) else said
