"""A file for node_exporter's textfile collector: `file:///var/lib/node_exporter/digits.prom`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from prometheus_client.parser import text_string_to_metric_families

from gangplank.core.errors import ConfigurationError, DeliveryError, FailureReason
from gangplank.core.files import read_file
from gangplank.core.page.page import Page
from gangplank.core.sinks.address import shown, whole
from gangplank.core.sinks.together import Together

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LIKE = "file:///absolute/path/name.prom, in the folder that node_exporter's --collector.textfile.directory names"
# Bytes in which the metrics of another program are looked for: parsing takes long.
_BEGINNING = 256 * 2**10


class Textfile:
    """A sink that replaces a file, atomically, with the newest page of every group.

    Pages of other groups that other exporters and other processes wrote to the file are kept.

    Args:
        address: `file:///absolute/path/name.prom`.

    Raises:
        ConfigurationError: the address is not valid, the folder is not writable, there is something other than a
            file, or a file that is very large or holds metrics of another program, or the system (Windows) has no file
            locks.
    """

    def __init__(self, address: str) -> None:
        if fcntl is None:
            raise ConfigurationError(
                f"{shown(address)!r}: this system cannot lock files, and processes that write to one file would lose "
                "each other's metrics: push to a gateway (host:port), or let Prometheus scrape this process "
                "(scrape://host:port)"
            )
        self._path = _path(address)
        if self._path.suffix != ".prom":
            raise ConfigurationError(
                f"{shown(address)!r}: node_exporter reads only files whose names end in .prom: use {LIKE}"
            )
        if not os.access(self._path.parent, os.R_OK | os.W_OK | os.X_OK) or self._path.is_dir():
            raise ConfigurationError(
                f"{shown(address)!r} cannot be written: {self._path.parent} must be a folder that you may write to"
            )
        try:
            is_foreign = _is_foreign(self._text())
        except OSError as error:
            raise ConfigurationError(f"{shown(address)!r} cannot be read: {error.strerror}: use another file") from None
        if is_foreign:
            raise ConfigurationError(
                f"{shown(address)!r} holds metrics of another program, which would be lost: use another file"
            )
        self._pages = Together()
        self._written: tuple[int, ...] | None = None  # the version of the file that we wrote

    def __str__(self) -> str:
        """The address."""
        return f"file://{self._path}"

    def send(self, page: Page, timeout: float) -> None:
        """Write the page in place of the earlier one of its group; see `Sink.send`."""
        try:
            with self._locked(timeout):
                if self._version() != self._written:
                    self._pages = _pages_in(self._text())
                self._pages.put(page)
                self._replace(self._pages.text())
                self._written = self._version()
        except OSError as error:
            reason: FailureReason = "timeout" if isinstance(error, TimeoutError) else "unreachable"
            raise DeliveryError(f"{self} cannot be written: {error.strerror or error}", reason) from error

    def close(self) -> None:
        """Do nothing: no file is open, and the last page stays in it."""

    @contextlib.contextmanager
    def _locked(self, timeout: float) -> Iterator[None]:
        """Lock the folder, so that no other thread or process writes a file in it."""
        end = time.monotonic() + timeout
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)  # it may be a FIFO by now
        try:
            while True:
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        raise TimeoutError(f"another process has locked the folder for {timeout:.3g} s") from None
                    time.sleep(0.002)  # flock has no timeout
            yield
        finally:
            # A child process that was forked meanwhile holds the lock, too: closing alone would not release it.
            fcntl.flock(folder, fcntl.LOCK_UN)
            os.close(folder)

    def _version(self) -> tuple[int, ...] | None:
        """Return what changes whenever the file is replaced; None if there is no file."""
        with contextlib.suppress(FileNotFoundError):
            status = self._path.stat()
            return status.st_ino, status.st_mtime_ns, status.st_size
        return None

    def _text(self) -> bytes:
        """Return what is in the file; nothing if there is no file."""
        try:
            return read_file(self._path)
        except FileNotFoundError as error:
            if self._path.is_symlink():
                raise OSError(error.errno, "it is a link to a file that does not exist") from None
            return b""

    def _replace(self, text: bytes) -> None:
        """Replace the file by a text that all users may read: node_exporter runs as another user."""
        new = self._path.with_name(f".{self._path.name}.new")
        new.unlink(missing_ok=True)  # from a process that was killed while it wrote
        try:
            with new.open("xb") as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o644)
            new.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise


def _pages_in(text: bytes) -> Together:
    """Return the pages in a text; none if gangplank has not written it."""
    with contextlib.suppress(ValueError):
        return Together(text)
    return Together()


def _is_foreign(text: bytes) -> bool:
    """Return whether a text begins with metrics of which none is gangplank's."""
    others = False
    if len(text) > _BEGINNING:
        text = text[:_BEGINNING].rpartition(b"\n")[0] + b"\n"
    with contextlib.suppress(ValueError):
        for family in text_string_to_metric_families(text.decode()):
            if family.name.startswith("gangplank_"):
                return False
            others = True
        return others
    return False


def _path(address: str) -> Path:
    """Return the path in an address.

    Raises:
        ConfigurationError: the address is not valid.
    """
    path = _path_in(whole(address))
    if path is None:
        raise ConfigurationError(f"{shown(address)!r} is not the address of a file on this machine: use {LIKE}")
    return path


def _path_in(address: str) -> Path | None:
    with contextlib.suppress(ValueError):  # unbalanced brackets
        parts = urlsplit(address)
        path = Path(unquote(parts.path))
        if parts.netloc in ("", "localhost") and not (parts.query or parts.fragment or "\0" in str(path)):
            return path
    return None
