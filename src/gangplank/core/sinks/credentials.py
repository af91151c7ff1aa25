"""Credentials and certificates for a gateway: never shown; those in the environment only go to the host named there."""

from __future__ import annotations

import base64
import functools
import ipaddress
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gangplank.core.errors import ConfigurationError, DeliveryError
from gangplank.core.files import read_file
from gangplank.core.sinks.address import Address
from gangplank.core.sinks.hidden import Authorization, Hidden, hide, reveal, secrets_of

#: Returns user and password for HTTP Basic authentication, or the whole `Authorization` header as text.
Credentials = Callable[[], tuple[str, str] | str]

PREFIX = "GANGPLANK_PUSHGATEWAY_"


@dataclass(frozen=True)
class Access:
    """What a request to one gateway carries.

    Attributes:
        credentials: called for each request, on the thread that sends; None for no credentials.
        ca_file, cert_file, key_file: PEM files: the authority to trust instead of the system's, and the client
            certificate with its key.
    """

    credentials: Credentials | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = field(default=None, repr=False)

    def authorization(self) -> Authorization:
        """Return the `Authorization` header, which may be none.

        Raises:
            DeliveryError: the credentials cannot be used; the message contains nothing of them.
        """
        if self.credentials is None:
            return Authorization(None)
        header = _authorization(self.credentials)
        if isinstance(header, str):
            raise DeliveryError(header, "internal")
        return header

    @functools.cached_property
    def tls(self) -> ssl.SSLContext:
        """The TLS context."""
        for path in filter(None, (self.ca_file, self.cert_file, self.cert_file and self.key_file)):
            read_file(path)  # OpenSSL would wait for a FIFO, and has no limit
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file:
            # An empty pass phrase: a key that needs one is refused, instead of a prompt on the terminal.
            context.load_cert_chain(self.cert_file, self.key_file, password="")
        return context


def access_to(address: Address, credentials: Credentials | None) -> Access:
    """Return the access to a gateway: from the script, else from the address, else from the environment.

    The environment's `GANGPLANK_PUSHGATEWAY_USERNAME`, `_PASSWORD`, `_CA_FILE`, `_CERT_FILE` and `_KEY_FILE` are for
    the host that `GANGPLANK_PUSHGATEWAY_HOST` names (`gateway` or `gateway:9091`), and are sent to no other.

    Raises:
        ConfigurationError: the environment names no host, or a file that cannot be used.
    """
    found: dict[str, Any] = {
        name.removeprefix(PREFIX).lower(): Hidden(value)
        for name, value in os.environ.items()
        if name.startswith(PREFIX) and value
    }
    host = reveal(found.pop("host", None))
    if found and host is None:
        raise ConfigurationError(
            f"{PREFIX}{next(iter(found)).upper()} is set without {PREFIX}HOST: set it to the host that this is for"
        )
    if host is None or host.lower() not in (
        address.host,
        f"{address.host}:{address.port}",
        f"[{address.host}]:{address.port}",
    ):
        found = {}
    if credentials is None and address.login is not None:
        credentials = address.login.reveal
    if credentials is None and "username" in found:
        login = Hidden((reveal(found["username"]), reveal(found.get("password", ""))))
        credentials = login.reveal
    access = Access(hide(credentials), *(reveal(found.get(name)) for name in ("ca_file", "cert_file", "key_file")))
    if address.scheme == "https":
        try:
            access.tls  # noqa: B018  now rather than at the first push
        except OSError as error:
            raise ConfigurationError(f"{PREFIX}CA_FILE, _CERT_FILE or _KEY_FILE cannot be used: {error}") from error
    return access


def is_exposed(address: Address) -> bool:
    """Return whether a password would cross a network unencrypted."""
    if address.scheme != "http" or address.host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(address.host).is_loopback
    except ValueError:  # a name
        return True


def _authorization(credentials: Credentials) -> Authorization | str:
    """Return the header, or why there is none; it raises nothing, since its variables would show the credentials."""
    try:
        given: object = credentials()
    except BaseException as error:  # noqa: BLE001  strangers raise anything, and its text may show the credentials
        return f"credentials= raised {type(error).__name__}"
    match given:
        case str():
            header = given.strip()  # a token read from a file ends with a line break
            if not header.isascii() or not header.isprintable():
                return "the credentials contain characters that a header cannot"
            return Authorization(header)
        case [str() as user, str() as password]:
            try:
                both = f"{user}:{password}".encode(errors="surrogateescape")
            except UnicodeError:
                return "the credentials cannot be encoded in UTF-8"
            return Authorization(f"Basic {base64.b64encode(both).decode()}", secrets_of(user, password))
        case [*some]:
            what = f"({', '.join(type(one).__name__ for one in some)})"
        case _:
            what = type(given).__name__
    return f"credentials= returned {what}: return (user, password), or the whole header, as text"
