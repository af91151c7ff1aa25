"""Requests to one server, with the credentials that its address or the environment gives."""

from __future__ import annotations

import functools
import http.client
import time
from dataclasses import dataclass, field
from http import HTTPStatus

from gangplank.core.errors import GangplankError
from gangplank.core.log import one_line
from gangplank.core.sinks.address import parse
from gangplank.core.sinks.credentials import PREFIX, access_to
from gangplank.core.sinks.hidden import Authorization
from gangplank.core.sinks.http import BEGINNING, LONGEST_MESSAGE, request, unix_time
from gangplank.core.sinks.http import Response as Answer

#: The fix for a request that needs authentication.
CREDENTIALS = f"give {PREFIX}HOST, _USERNAME and _PASSWORD in the environment, or write http://user:password@host:port"
# Seconds for a whole page, and its largest size: that of a gateway with many runs is some 70 MB.
PAGE_TIMEOUT, LARGEST_PAGE = 30.0, 256 * 2**20
_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Response:
    """The body of a response, and its date.

    Attributes:
        text: the body.
        server_time: Unix time in seconds by the server's clock, or None if the response has no Date header.
    """

    text: str = field(repr=False)
    server_time: float | None

    @property
    def now(self) -> float:
        """The time by the server's clock, or by ours if the response has no Date header."""
        return time.time() if self.server_time is None else self.server_time


class Client:
    """Sends requests to one server. It follows no redirect and uses no proxy.

    Args:
        address: `host:port` or a URL.

    Raises:
        ConfigurationError: the address, or what the environment gives for it, is not valid.
    """

    def __init__(self, address: str) -> None:
        self._address = parse(address)
        self._access = access_to(self._address, None)

    @functools.cached_property
    def _authorization(self) -> Authorization:
        return self._access.authorization()

    def __str__(self) -> str:
        """The address, without credentials."""
        return str(self._address).removeprefix("http://")

    def get(self, path: str) -> Response:
        """Return the response to a GET request.

        Raises:
            GangplankError: the server cannot be reached, refuses, or answers with more than `LARGEST_PAGE` bytes; the
                message contains no credentials.
        """
        response = self._request("GET", path, PAGE_TIMEOUT, LARGEST_PAGE)
        if response.status != HTTPStatus.OK:
            raise self._refusal(response)
        if not response.complete:
            raise GangplankError(f"{self} answers with more than {LARGEST_PAGE / 2**20:.0f} MiB")
        return Response(response.body.decode(errors="replace"), unix_time(response.headers.get("Date", "")))

    def delete(self, path: str) -> None:
        """Send a DELETE request; raises as `get` does."""
        response = self._request("DELETE", path, _TIMEOUT, BEGINNING)
        if not response.accepted:
            raise self._refusal(response)

    def strike(self, value: str) -> str:
        """Return a value from a response's body, without our own credentials."""
        return self._authorization.strike_value(value)

    def _request(self, method: str, path: str, timeout: float, limit: int) -> Answer:
        try:
            return request(method, self._address, path, access=self._access, timeout=timeout, limit=limit)
        except TimeoutError as error:
            raise GangplankError(f"{self} did not answer within {timeout:.3g} s") from error
        except (OSError, http.client.HTTPException) as error:
            why = one_line(error, LONGEST_MESSAGE) or type(error).__name__
            raise GangplankError(f"cannot reach {self}: {why}") from error

    def _refusal(self, response: Answer) -> GangplankError:
        denied = response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        return GangplankError(f"{self} {response.describe()}{f'; {CREDENTIALS}' if denied else ''}")
