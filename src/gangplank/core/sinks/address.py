"""Addresses: what a user wrote becomes scheme, host, port and credentials."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar
from urllib.parse import quote, unquote, urlsplit

from gangplank.core.errors import ConfigurationError, kind_of
from gangplank.core.sinks.hidden import Hidden, hide, reveal

T = TypeVar("T")

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_PORTS = {"http": 80, "https": 443}
BUILT_IN_SCHEMES = "host:port, http://, https://, file:///, scrape://"
_FIX = "write host:port, http://host:port or https://host/prefix, IPv6 as [::1]:9091"


@dataclass(frozen=True, slots=True)
class Address:
    """A gateway's address.

    Attributes:
        scheme: `http` or `https`.
        host: a name or an IP address, IPv6 without its brackets.
        port: TCP port.
        prefix: the path in front of `/metrics`, without a trailing slash.
        login: user and password for HTTP Basic authentication, or None.
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""
    login: Hidden | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """The URL, without credentials, and without the port if it is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.prefix}"


class AddressText(str):
    """An address as a user wrote it, which reads as it may be shown: see `shown`. A pickle has no credentials.

    `whole()` returns it with all its parts.
    """

    __slots__ = ("whole",)

    def __new__(cls, text: str) -> Self:  # noqa: D102
        return super().__new__(cls, shown(text))

    def __init__(self, text: str) -> None:
        self.whole: Callable[[], str] = lambda: text

    def __copy__(self) -> AddressText:
        return self

    def __deepcopy__(self, memo: object) -> AddressText:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return AddressText, (without_credentials(self.whole()),)


def conceal(address: T) -> T:
    """Return an address so that whatever prints it prints no credentials; what is not text is hidden."""
    if isinstance(address, AddressText):
        return address
    concealed: Any = AddressText(address) if isinstance(address, str) else hide(address)
    return concealed  # type: ignore[no-any-return]


def whole(address: str) -> str:
    """Return an address with its credentials."""
    return address.whole() if isinstance(address, AddressText) else address


def scheme_of(text: str) -> str:
    """Return the scheme of an address; `http` if it has none."""
    return text.partition("://")[0].lower() if _SCHEME.match(text) else "http"


def without_credentials(text: str) -> str:
    """Return an address of any scheme, malformed ones too, without the credentials in front of its `@`."""
    scheme, rest = (text[: found.end()], text[found.end() :]) if (found := _SCHEME.match(text)) else ("", text)
    authority = re.match(r"[^/?#]*", rest)
    end = authority.end() if authority else 0
    # A password may hold a slash that should have been escaped; paths of our own schemes hold no @.
    if scheme_of(text) in _PORTS or re.fullmatch(r"[^@]*:[^@]*[^@\d][^@]*", rest[:end]):
        end = len(rest)
    return scheme + rest[:end].rpartition("@")[2] + rest[end:]


def shown(text: str) -> str:
    """Return an address for a message: without credentials, and without what follows a `?`, which may be a token."""
    return without_credentials(text).partition("?")[0]


def host_and_port(text: str, example: str) -> tuple[str, int]:
    """Return the host and the port of an address that has no other parts.

    Args:
        text: `scheme://host:port`, IPv6 in brackets; port 0 is valid.
        example: of such an address, for the message.

    Raises:
        ConfigurationError: it is not such an address.
    """
    text = conceal(text)
    host, port = _host_and_port(whole(text))
    if host is None or port is None:
        raise ConfigurationError(f"{text!r} is not a valid address: write {example}")
    return host, port


def _host_and_port(text: str) -> tuple[str | None, int | None]:
    with contextlib.suppress(ValueError):
        parts = urlsplit(text)
        if not ("@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment):
            return parts.hostname, parts.port
    return None, None


def parse(text: str) -> Address:
    """Return the address that a user wrote.

    Args:
        text: `host:port`, `http://host:port`, `https://user:password@host/prefix`; IPv6 in brackets; with or without a
            trailing slash. A URL without a port has the scheme's default port.

    Raises:
        ConfigurationError: it is not a valid address; the message shows it without what is in front of an `@`.
    """
    text = conceal(text)
    if not isinstance(text, str):
        raise ConfigurationError(f"the gateway's address is {kind_of(reveal(text))}: {_FIX}")
    parsed = _parsed(whole(text))
    if isinstance(parsed, str):
        raise ConfigurationError(parsed)
    return parsed


def _parsed(text: str) -> Address | str:  # noqa: PLR0911  one for each mistake
    """Return the address, or what is wrong with it; it raises nothing, since its variables would show credentials."""
    hidden = re.sub(r"^([a-zA-Z][a-zA-Z0-9+.-]*://)?.*@", r"\1***@", text, flags=re.DOTALL).partition("?")[0]
    with_scheme = _SCHEME.match(text)
    host, parts, port = None, None, None
    # The standard library's error may quote a password: it is not shown.
    with contextlib.suppress(ValueError):
        parts = urlsplit(text if with_scheme else f"http://{text}")
        host, port = _ascii(parts.hostname or ""), parts.port
    if parts is not None and parts.scheme not in _PORTS:
        return f"{hidden!r}: the scheme {parts.scheme!r} is unknown: {_FIX}"
    if parts is None or not host or any(char.isspace() or not char.isprintable() for char in text):
        return f"{hidden!r} is not a valid address: {_FIX}"
    if "@" in parts.path:
        return f"{hidden!r}: in a user name or a password write '/' as %2F, '@' as %40: {_FIX}"
    if parts.query or parts.fragment:
        return f"{hidden!r}: an address cannot have '?' or '#': {_FIX}"
    if port is None and not with_scheme:
        return f"{hidden!r} has no port: {_FIX}; a Pushgateway usually listens on 9091"
    if port == 0:
        return f"{hidden!r}: a server cannot listen on port 0: {_FIX}"
    return Address(
        parts.scheme,
        host,
        port or _PORTS[parts.scheme],
        quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~"),
        Hidden((unquote(parts.username), unquote(parts.password or ""))) if parts.username else None,
    )


def _ascii(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode()
