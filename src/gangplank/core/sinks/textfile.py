"""A file for node_exporter's textfile collector: `file:///var/lib/node_exporter/digits.prom`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gangplank.core.address import shown
from gangplank.core.errors import ConfigurationError, DeliveryError, FailureReason
from gangplank.core.page import Page
from gangplank.core.sinks.together import Together

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LIKE = "file:///absolute/path/name.prom, in the folder that node_exporter's --collector.textfile.directory names"


class Textfile:
    """A sink that replaces a file, all at once, with the newest page of every group.

    The file is the truth: what other exporters and other processes wrote there of other groups stays.

    Args:
        address: `file:///absolute/path/name.prom`.

    Raises:
        ConfigurationError: it is no such address, the folder cannot be written, the file is somebody else's, or the
            system (Windows) cannot lock it.
    """

    def __init__(self, address: str) -> None:
        if fcntl is None:
            raise ConfigurationError(
                f"{shown(address)!r}: this system cannot lock files, and processes that write to one would lose each "
                "other's metrics: push to a gateway (host:port), or have Prometheus scrape this one (scrape://host:port)"
            )
        self._path = _path(address)
        if self._path.suffix != ".prom":
            raise ConfigurationError(
                f"{shown(address)!r}: node_exporter reads only names that end in .prom: write {LIKE}"
            )
        if not os.access(self._path.parent, os.R_OK | os.W_OK | os.X_OK) or self._path.is_dir():
            raise ConfigurationError(
                f"{shown(address)!r} cannot be written: {self._path.parent} must be a folder of yours"
            )
        try:
            families = self._families()
        except OSError as error:
            raise ConfigurationError(
                f"{shown(address)!r} cannot be read: {error.strerror}: name another file"
            ) from None
        if families and not any(family.name.startswith("gangplank_") for family in families):
            raise ConfigurationError(
                f"{shown(address)!r} has metrics of somebody else, who wants them: name another file"
            )
        self._pages = Together()
        self._written: tuple[int, ...] | None = None  # the file as we left it

    def __str__(self) -> str:
        """The address."""
        return f"file://{self._path}"

    def send(self, page: Page, timeout: float) -> None:
        """Write the page in place of its group's before; see `Sink.send`."""
        try:
            with self._alone(timeout):
                if self._version() != self._written:
                    self._pages = Together(self._families())
                self._pages.put(page)
                self._replace(generate_latest(self._pages))
                self._written = self._version()
        except OSError as error:
            reason: FailureReason = "timeout" if isinstance(error, TimeoutError) else "unreachable"
            raise DeliveryError(f"{self} cannot be written: {error.strerror or error}", reason) from error

    def close(self) -> None:
        """Nothing: no file stays open, and what it says stays true."""

    @contextlib.contextmanager
    def _alone(self, timeout: float) -> Iterator[None]:
        """Keep other threads and processes from the folder's files."""
        end = time.monotonic() + timeout
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            while True:
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        raise TimeoutError(f"another process has kept its folder locked for {timeout:.3g} s") from None
                    time.sleep(0.002)  # nobody says when a lock is free
            yield
        finally:
            # A child that was forked meanwhile has the lock as well, which closing here would leave to it.
            fcntl.flock(folder, fcntl.LOCK_UN)
            os.close(folder)

    def _version(self) -> tuple[int, ...] | None:
        """Return what changes whenever someone replaces the file."""
        with contextlib.suppress(FileNotFoundError):
            status = self._path.stat()
            return status.st_ino, status.st_mtime_ns, status.st_size
        return None

    def _families(self) -> list[Metric]:
        """Return what the file shows: nothing where there is none, or no metrics are in it."""
        try:
            # As bytes: a text file would end a line at the `\r` in a label.
            return list(text_string_to_metric_families(self._path.read_bytes().decode()))
        except (FileNotFoundError, ValueError):
            return []

    def _replace(self, text: bytes) -> None:
        """Put a text into the file's place, for all to read: node_exporter is another user."""
        new = self._path.with_name(f".{self._path.name}.new")
        new.unlink(missing_ok=True)  # of a process that was killed as it wrote
        try:
            with new.open("xb") as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o644)
            new.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise


def _path(address: str) -> Path:
    """Return the path that an address names.

    Raises:
        ConfigurationError: it names none.
    """
    with contextlib.suppress(ValueError):  # unbalanced brackets
        parts = urlsplit(address)
        path = Path(unquote(parts.path))
        if parts.netloc in ("", "localhost") and not (parts.query or parts.fragment or "\0" in str(path)):
            return path
    raise ConfigurationError(f"{shown(address)!r} is no file on this machine: write {LIKE}")
