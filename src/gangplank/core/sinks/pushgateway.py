"""The Pushgateway: PUT replaces the group of a run with its newest page."""

from __future__ import annotations

import base64
import http.client
import urllib.error
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from gangplank.core.address import Address
from gangplank.core.errors import DeliveryError, FailureReason
from gangplank.core.page import Page
from gangplank.core.sinks import transport
from gangplank.core.snapshot import Group

_LONGEST_REASON = 200


class Handler(Protocol):
    """prometheus_client's contract: called with these keywords, it returns a callable that sends."""

    def __call__(
        self, url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
    ) -> Callable[[], None]:
        """Return what sends the data."""


class Pushgateway:
    """A sink that pushes to a Pushgateway.

    Args:
        address: of the gateway.
        handler: sends in our stead; its deadline is its own affair.
        timeout: seconds that a push may take in all; a handler is told them.
    """

    def __init__(self, address: Address, *, handler: Handler | None, timeout: float) -> None:
        self._address = address
        self._handler = handler
        self._timeout = timeout

    def __str__(self) -> str:
        """The address, without credentials."""
        return str(self._address)

    def send(self, page: Page) -> None:
        """Replace the page's group; see `Sink.send`."""
        path, body = path_of(page.group), page.text()
        try:
            if self._handler is not None:
                self._send_by_handler(self._handler, path, body)
            else:
                self._put(path, body)
        except urllib.error.HTTPError as error:  # from a handler: its text alone lacks the gateway's reason
            with error:
                raise self._refusal(error.code, error.read(_LONGEST_REASON * 4).decode(errors="replace")) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(error) from error

    def _put(self, path: str, body: bytes) -> None:
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        if self._address.user is not None:
            credentials = f"{self._address.user}:{self._address.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
        status, answer = transport.request(
            "PUT", self._address, path, body=body, headers=headers, timeout=self._timeout
        )
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise self._refusal(status, answer)

    def _send_by_handler(self, handler: Handler, path: str, body: bytes) -> None:
        send = handler(
            url=f"{self._address}{path}",
            method="PUT",
            timeout=self._timeout,
            headers=[("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)],
            data=body,
        )
        send()

    def _refusal(self, status: int, answer: str) -> DeliveryError:
        said = f": {_shown(answer)}" if answer.strip() else ""
        reason: FailureReason = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "rejected"
        return DeliveryError(f"{self._address} answered {status}{said}", reason)

    def _failure(self, error: OSError | http.client.HTTPException) -> DeliveryError:
        cause = getattr(error, "reason", None)  # urllib's URLError wraps the one that tells
        if isinstance(error, TimeoutError) or isinstance(cause, TimeoutError):
            return DeliveryError(f"{self._address} did not answer within {self._timeout:g} s", "timeout")
        why = _shown(str(error)) or type(error).__name__
        return DeliveryError(f"{self._address} is out of reach: {why}", "unreachable")


def _shown(text: str) -> str:
    """Return the beginning of a stranger's text as one harmless line."""
    line = " ".join(text.split())[:_LONGEST_REASON]
    return "".join(character if character.isprintable() else "?" for character in line)


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
