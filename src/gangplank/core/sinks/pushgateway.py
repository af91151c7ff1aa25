"""A Pushgateway: PUT replaces the group of a run with its newest page."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import time
import urllib.error
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from gangplank.core.errors import ConfigurationError, DeliveryError
from gangplank.core.log import describe, one_line
from gangplank.core.page.page import Page
from gangplank.core.page.text import CONTENT_TYPE
from gangplank.core.sinks.address import parse
from gangplank.core.sinks.base import Handler
from gangplank.core.sinks.credentials import Access, Credentials, access_to, is_exposed
from gangplank.core.sinks.hidden import Authorization, hide
from gangplank.core.sinks.http import BEGINNING, LONGEST_MESSAGE, Response, request, unix_time
from gangplank.core.sinks.twin import advice
from gangplank.core.types import Group

# If it refuses a page as inconsistent, this version (Debian 13's) panics: it closes the connection without a response.
PANICS = "1.11.0"
# These statuses are about the page: only a changed page can be accepted. Any other problem may be gone at the next try.
_ABOUT_THE_PAGE = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
)


class Pushgateway:
    """A sink that pushes to a Pushgateway.

    Args:
        address: of the gateway.
        handler: sends instead of this class. It receives the timeout, but need not keep to it.
        credentials: called for each push; by default those in the address are used, or those in the environment.

    Raises:
        ConfigurationError: the address or the credentials cannot work; the message suggests a fix.
    """

    def __init__(self, address: str, *, handler: Handler | None = None, credentials: Credentials | None = None) -> None:
        self._address = parse(address)
        self._handler = hide(handler)
        if handler is None:
            self._access = access_to(self._address, credentials)
        elif self._address.login is not None:
            raise ConfigurationError(
                "there are credentials in the address and a handler: the handler sends, so give them to the handler"
            )
        else:
            self._access = Access()

    def __str__(self) -> str:
        """The address, without credentials."""
        return str(self._address)

    @property
    def authenticates(self) -> bool:
        """Whether requests carry credentials; a handler may have its own."""
        return self._handler is not None or self._access.credentials is not None

    @property
    def exposed(self) -> bool:
        """Whether credentials cross a network unencrypted."""
        return self._access.credentials is not None and is_exposed(self._address)

    def close(self) -> None:
        """Do nothing: each push has a connection of its own."""

    def send(self, page: Page, timeout: float) -> None:
        """Replace the page's group; see `Sink.send`."""
        path, body = path_of(page.group), page.text()
        if self._handler is not None:
            if error := self._hand_over(self._handler, page, path, body, timeout):
                raise error
            return
        try:
            self._put(page, path, body, timeout)
        except (OSError, http.client.HTTPException) as failure:
            raise self._failure(failure, timeout, Authorization(None)) from failure

    def _hand_over(self, handler: Handler, page: Page, path: str, body: bytes, timeout: float) -> DeliveryError | None:
        """Let the handler send; return what went wrong, since the handler's variables would show its credentials."""
        headers: list[tuple[str, str]] = [("Content-Type", CONTENT_TYPE)]
        url = f"{self._address}{path}"
        try:
            try:
                handler(url=url, method="PUT", timeout=timeout, headers=headers, data=body)()
            except urllib.error.HTTPError as error:  # its text alone lacks the gateway's reason
                with error:
                    start = error.read(BEGINNING + 1)
                complete = len(start) <= BEGINNING
                authorization = _authorization_in(headers)
                return self._refusal(page, Response(error.code, error.headers or {}, start, complete, authorization))
        except DeliveryError as error:
            text = _authorization_in(headers).strike(str(error))
            return DeliveryError(text, error.reason, retry=error.retry, retry_after=error.retry_after)
        except (OSError, http.client.HTTPException) as error:
            return self._failure(error, timeout, _authorization_in(headers))
        except BaseException as error:  # noqa: BLE001  strangers raise anything
            return DeliveryError(f"pushing failed: {_authorization_in(headers).strike(describe(error))}", "internal")
        return None

    def _put(self, page: Page, path: str, body: bytes, timeout: float) -> None:
        end = time.monotonic() + timeout
        try:
            response = self._request("PUT", path, body, {"Content-Type": CONTENT_TYPE}, timeout)
        except http.client.RemoteDisconnected as error:
            # A gateway that has just been killed does not answer this.
            if self._version(end - time.monotonic()) != PANICS:
                raise
            raise DeliveryError(
                f"{self._address} closed the connection: it is a Pushgateway {PANICS}, which panics if it refuses a "
                "page; install a newer version to see the reason",
                "rejected",  # probably: so it is sent again
            ) from error
        if not response.accepted:
            raise self._refusal(page, response)

    def _request(self, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Response:
        return request(method, self._address, path, access=self._access, timeout=timeout, body=body, headers=headers)

    def _version(self, timeout: float) -> str | None:
        """Return the version of the gateway, None if it does not say."""
        with contextlib.suppress(Exception):
            response = self._request("GET", "/api/v1/status", b"", {}, timeout)
            return str(json.loads(response.body)["data"]["build_information"]["version"])
        return None

    def _refusal(self, page: Page, response: Response) -> DeliveryError:
        why = advice(page, self._address, response.body.decode(errors="replace"))
        return DeliveryError(
            f"{self._address} {response.describe(why)}",
            "server_error" if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "rejected",
            retry=response.status not in _ABOUT_THE_PAGE,
            retry_after=_seconds_in(response.headers.get("Retry-After", "")),
        )

    def _failure(
        self,
        error: OSError | http.client.HTTPException,
        timeout: float,
        authorization: Authorization,
    ) -> DeliveryError:
        cause = getattr(error, "reason", None)  # the cause inside urllib's URLError
        if isinstance(error, TimeoutError) or isinstance(cause, TimeoutError):
            return DeliveryError(f"{self._address} did not answer within {timeout:.3g} s", "timeout")
        why = one_line(authorization.strike(str(error)), LONGEST_MESSAGE) or type(error).__name__
        return DeliveryError(f"{self._address} is unreachable: {why}", "unreachable")


def _authorization_in(headers: list[tuple[str, str]]) -> Authorization:
    """Return what a handler may have sent: one of prometheus_client's adds it to the headers that it is given."""
    given: list[tuple[str, Any]] = [*headers]
    values = (value for name, value in given if name.lower() == "authorization")
    return Authorization(
        " ".join(value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in values)
    )


def _seconds_in(retry_after: str) -> float | None:
    """Return the seconds in a `Retry-After` header, which has a number or a date; None if it has neither."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    date = unix_time(retry_after)
    return None if date is None else max(0.0, date - time.time())


def path_of(group: Group) -> str:
    """Return the path of a group's URL on a Pushgateway, its labels in the group's order.

    A value that a path cannot hold as it is (a slash; `.` and `..`, which are steps; white space, which proxies trim)
    is written in URL-safe Base64, as the Pushgateway's API allows.
    """
    parts = ["/metrics"]
    for name, value in group.labels:
        if value in (".", "..") or any(char in "/ " or not char.isprintable() for char in value):
            parts.append(f"{name}@base64/{base64.urlsafe_b64encode(value.encode()).decode()}")
        else:
            parts.append(f"{name}/{quote(value, safe='')}")
    return "/".join(parts)
