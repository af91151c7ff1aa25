"""What the user wrote -> where to send it."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from gangplank.core.errors import ConfigurationError

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_PORTS = {"http": 80, "https": 443}
SCHEMES_OF_OURS = "gangplank's own (host:port, http://, https://, file:///, scrape://)"
_CURE = "write host:port, http://host:port or https://host/prefix, IPv6 as [::1]:9091"


@dataclass(frozen=True, slots=True)
class Address:
    """A gateway's address.

    Attributes:
        scheme: `http` or `https`.
        host: a name or an IP address, IPv6 without its brackets.
        port: TCP port.
        prefix: the path in front of `/metrics`, without a trailing slash.
        user, password: credentials for HTTP Basic authentication, or None; they are in no repr.
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """The URL, without credentials, and without the port where it is the scheme's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.prefix}"


@dataclass(frozen=True, slots=True)
class Written:
    """An address of any scheme as the user wrote it; only `text` has the credentials in it."""

    text: str = field(repr=False)

    def __str__(self) -> str:
        return anonymous(self.text)


def scheme_of(text: str) -> str:
    """Return the scheme of an address; `http` where it has none."""
    return text.partition("://")[0].lower() if _SCHEME.match(text) else "http"


def anonymous(text: str) -> str:
    """Return an address of any scheme without credentials, which stand in front of an `@`; a malformed one likewise."""
    scheme, rest = (text[: found.end()], text[found.end() :]) if (found := _SCHEME.match(text)) else ("", text)
    authority = re.match(r"[^/?#]*", rest)
    end = authority.end() if authority else 0
    # A password may hold a slash that was to be escaped; the paths of ours hold no @.
    if scheme_of(text) in _PORTS or re.fullmatch(r"[^@]*:[^@]*[^@\d][^@]*", rest[:end]):
        end = len(rest)
    return scheme + rest[:end].rpartition("@")[2] + rest[end:]


def shown(text: str) -> str:
    """Return an address as it may stand in a message: also without what follows a `?`, which may be a token."""
    return anonymous(text).partition("?")[0]


def host_and_port(text: str, like: str) -> tuple[str, int]:
    """Return the host and the port of an address that has nothing else.

    Args:
        text: `scheme://host:port`, IPv6 in brackets; port 0 is one.
        like: what such an address looks like, for the message.

    Raises:
        ConfigurationError: it is no such address.
    """
    host, port = None, None
    with contextlib.suppress(ValueError):
        parts = urlsplit(text)
        if not ("@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment):
            host, port = parts.hostname, parts.port
    if host is None or port is None:
        raise ConfigurationError(f"{shown(text)!r} is no address of this kind: write {like}")
    return host, port


def parse(text: str) -> Address:
    """Return the address that a user wrote.

    Args:
        text: `host:port`, `http://host:port`, `https://user:password@host/prefix`; IPv6 in brackets; with or without a
            trailing slash. The port, where a URL leaves it out, is the scheme's.

    Raises:
        ConfigurationError: it is no such address; the message shows it without what stands before an `@`.
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"the gateway's address is a {type(text).__name__}: {_CURE}")
    hidden = re.sub(r"^([a-zA-Z][a-zA-Z0-9+.-]*://)?.*@", r"\1***@", text, flags=re.DOTALL).partition("?")[0]
    with_scheme = _SCHEME.match(text)
    host, parts, port = None, None, None
    # What the standard library says of a part it cannot read may hold a password: its error goes no further.
    with contextlib.suppress(ValueError):
        parts = urlsplit(text if with_scheme else f"http://{text}")
        host, port = _ascii(parts.hostname or ""), parts.port
    if parts is not None and parts.scheme not in _PORTS:
        raise ConfigurationError(f"{hidden!r}: the scheme {parts.scheme!r} is not known: {_CURE}")
    if parts is None or not host or any(char.isspace() or not char.isprintable() for char in text):
        raise ConfigurationError(f"{hidden!r} is no address: {_CURE}")
    if "@" in parts.path:
        raise ConfigurationError(f"{hidden!r}: in a user or a password write '/' as %2F, '@' as %40: {_CURE}")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{hidden!r}: an address has no '?' and no '#': {_CURE}")
    if port is None and not with_scheme:
        raise ConfigurationError(f"{hidden!r} lacks the port: {_CURE}; a Pushgateway listens on 9091")
    if port == 0:
        raise ConfigurationError(f"{hidden!r}: nobody listens on port 0: {_CURE}")
    return Address(
        parts.scheme,
        host,
        port or _PORTS[parts.scheme],
        quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~"),
        unquote(parts.username) if parts.username else None,
        unquote(parts.password or "") if parts.username else None,
    )


def _ascii(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode()
