"""The Pushgateway: PUT replaces the group of a run with its newest page."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import time
import urllib.error
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

from gangplank.core.address import parse
from gangplank.core.credentials import Access, Credentials, access_to, is_exposed
from gangplank.core.errors import ConfigurationError, DeliveryError, FailureReason
from gangplank.core.exposition import CONTENT_TYPE
from gangplank.core.page import Page
from gangplank.core.report import shown
from gangplank.core.settings import Handler
from gangplank.core.sinks import transport
from gangplank.core.snapshot import Group

_LONGEST_REASON = 200
# Where it refuses a page as inconsistent, this version (Debian 13's) panics: it hangs up without an answer.
PANICS = "1.11.0"


class Pushgateway:
    """A sink that pushes to a Pushgateway.

    Args:
        address: of the gateway.
        handler: sends in our stead; it is told the timeout, but its deadline is its own affair.
        credentials: asked for each push; else the address' own are used, or those of the environment.

    Raises:
        ConfigurationError: the address, or who we are to it, cannot work, with the cure.
    """

    def __init__(self, address: str, *, handler: Handler | None = None, credentials: Credentials | None = None) -> None:
        self._address = parse(address)
        self._handler = handler
        if handler is None:
            self._access = access_to(self._address, credentials)
        elif self._address.user is not None:
            raise ConfigurationError(
                "credentials in the address and a handler: the handler is who sends, so give them to it"
            )
        else:
            self._access = Access()

    def __str__(self) -> str:
        """The address, without credentials."""
        return str(self._address)

    @property
    def authenticates(self) -> bool:
        """Whether requests carry credentials; a handler's are its own."""
        return self._handler is not None or self._access.credentials is not None

    @property
    def exposed(self) -> bool:
        """Whether credentials cross a network in the clear."""
        return self._access.credentials is not None and is_exposed(self._address)

    def close(self) -> None:
        """Nothing: each push has a connection of its own."""

    def send(self, page: Page, timeout: float) -> None:
        """Replace the page's group; see `Sink.send`."""
        path, body = path_of(page.group), page.text()
        try:
            if self._handler is not None:
                self._handler(
                    url=f"{self._address}{path}",
                    method="PUT",
                    timeout=timeout,
                    headers=[("Content-Type", CONTENT_TYPE)],
                    data=body,
                )()
            else:
                self._put(path, body, timeout)
        except urllib.error.HTTPError as error:  # from a handler: its text alone lacks the gateway's reason
            with error:
                raise self._refusal(error.code, error.read(_LONGEST_REASON * 4).decode(errors="replace")) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(error, timeout) from error

    def _put(self, path: str, body: bytes, timeout: float) -> None:
        end = time.monotonic() + timeout
        try:
            status, answer = self._request("PUT", path, body, {"Content-Type": CONTENT_TYPE}, timeout)
        except http.client.RemoteDisconnected as error:
            # A gateway that has just died answers nothing now.
            if self._version(end - time.monotonic()) != PANICS:
                raise
            why = f"{self._address} hung up: it is a Pushgateway {PANICS}, which panics where it refuses a page"
            raise DeliveryError(f"{why}; install a newer version to see the reason", "rejected") from error
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise self._refusal(status, answer)

    def _request(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> tuple[int, str]:
        return transport.request(
            method,
            self._address,
            path,
            body=body,
            headers={**headers, **self._access.headers()},
            timeout=timeout,
            tls=self._access.tls if self._address.scheme == "https" else None,
        )

    def _version(self, timeout: float) -> str | None:
        """Return the version of the gateway, or None where it does not say."""
        with contextlib.suppress(Exception):
            _, answer = self._request("GET", "/api/v1/status", b"", {}, timeout)
            return str(json.loads(answer)["data"]["build_information"]["version"])
        return None

    def _refusal(self, status: int, answer: str) -> DeliveryError:
        said = f": {shown(answer, _LONGEST_REASON)}" if answer.strip() else ""
        reason: FailureReason = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "rejected"
        return DeliveryError(f"{self._address} answered {status}{said}", reason)

    def _failure(self, error: OSError | http.client.HTTPException, timeout: float) -> DeliveryError:
        cause = getattr(error, "reason", None)  # urllib's URLError wraps the one that tells
        if isinstance(error, TimeoutError) or isinstance(cause, TimeoutError):
            return DeliveryError(f"{self._address} did not answer within {timeout:.3g} s", "timeout")
        why = shown(error, _LONGEST_REASON) or type(error).__name__
        return DeliveryError(f"{self._address} is out of reach: {why}", "unreachable")


def path_of(group: Group) -> str:
    """Return the path of a group's URL on a Pushgateway, its labels in the group's order.

    A value that a path cannot hold as it is (a slash; `.` and `..`, which are steps; white space, which proxies trim)
    goes as URL-safe Base64, as the Pushgateway's API has it.
    """
    parts = ["/metrics"]
    for name, value in group.labels:
        if value in (".", "..") or any(char in "/ " or not char.isprintable() for char in value):
            parts.append(f"{name}@base64/{base64.urlsafe_b64encode(value.encode()).decode()}")
        else:
            parts.append(f"{name}/{quote(value, safe='')}")
    return "/".join(parts)
