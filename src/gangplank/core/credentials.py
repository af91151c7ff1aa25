"""Who we are to a gateway, and whom we trust; none of it is ever shown, and the environment's goes to one host only."""

from __future__ import annotations

import base64
import functools
import ipaddress
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gangplank.core.address import Address
from gangplank.core.errors import ConfigurationError, DeliveryError

#: Returns user and password for HTTP Basic authentication, or the whole `Authorization` header as text.
Credentials = Callable[[], tuple[str, str] | str]

PREFIX = "GANGPLANK_PUSHGATEWAY_"


@dataclass(frozen=True)
class Access:
    """What a request to one gateway carries.

    Attributes:
        credentials: called for each push, on the thread that sends; None for nobody.
        ca_file, cert_file, key_file: PEM files: the authority to trust instead of the system's, and our certificate.
    """

    credentials: Credentials | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = field(default=None, repr=False)

    def headers(self) -> dict[str, str]:
        """Return the `Authorization` header, where there are credentials."""
        if self.credentials is None:
            return {}
        given = self.credentials()
        if not isinstance(given, str):
            user, password = given
            try:
                both = f"{user}:{password}".encode(errors="surrogateescape")
            except UnicodeError:  # whose text is the password
                both = b""
            if not both:
                raise DeliveryError("the credentials are no Unicode", "internal")
            return {"Authorization": f"Basic {base64.b64encode(both).decode()}"}
        header = given.strip()  # a token read from a file ends with a line break
        if not header.isascii() or not header.isprintable():
            raise DeliveryError("the credentials hold what a header cannot", "internal")
        return {"Authorization": header}

    @functools.cached_property
    def tls(self) -> ssl.SSLContext:
        """How to talk TLS."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file:
            # An empty pass phrase: a key that has one is refused, rather than asked for on the terminal.
            context.load_cert_chain(self.cert_file, self.key_file, password="")
        return context


def access_to(address: Address, credentials: Credentials | None, environment: Mapping[str, str] = os.environ) -> Access:
    """Return the access to a gateway: what the script says, else what the address says, else the environment.

    The environment's `GANGPLANK_PUSHGATEWAY_USERNAME`, `_PASSWORD`, `_CA_FILE`, `_CERT_FILE` and `_KEY_FILE` are for
    the host that `GANGPLANK_PUSHGATEWAY_HOST` names (`gateway` or `gateway:9091`), and go nowhere else.

    Raises:
        ConfigurationError: the credentials are no callable, or the environment names no host or a file that is none.
    """
    if credentials is not None and not callable(credentials):
        raise ConfigurationError("credentials: give a callable that returns (user, password), or the whole header")
    found = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and value
    }
    host = found.pop("host", None)
    if found and host is None:
        raise ConfigurationError(
            f"{PREFIX}{next(iter(found)).upper()} is set, and no {PREFIX}HOST says which host it is for"
        )
    if host is None or host.lower() not in (
        address.host,
        f"{address.host}:{address.port}",
        f"[{address.host}]:{address.port}",
    ):
        found = {}
    if credentials is None and address.user is not None:
        credentials = _Password(address.user, address.password or "")
    if credentials is None and "username" in found:
        credentials = _Password(found["username"], found.get("password", ""))
    access = Access(credentials, found.get("ca_file"), found.get("cert_file"), found.get("key_file"))
    if address.scheme == "https":
        try:
            access.tls  # noqa: B018  now rather than at the first push
        except OSError as error:
            raise ConfigurationError(f"{PREFIX}CA_FILE, _CERT_FILE or _KEY_FILE cannot be used: {error}") from error
    return access


def is_exposed(address: Address) -> bool:
    """Return whether a password would cross a network in the clear."""
    if address.scheme != "http" or address.host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(address.host).is_loopback
    except ValueError:  # a name
        return True


@dataclass(frozen=True)
class _Password:
    user: str
    password: str = field(repr=False)

    def __call__(self) -> tuple[str, str]:
        return self.user, self.password
