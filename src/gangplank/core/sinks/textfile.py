"""A file for node_exporter's textfile collector: `file:///var/lib/node_exporter/digits.prom`."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from prometheus_client import Metric, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from gangplank.core.errors import ConfigurationError, DeliveryError
from gangplank.core.page import Page
from gangplank.core.sinks.together import Together

LIKE = "file:///absolute/path/name.prom, in the folder that node_exporter's --collector.textfile.directory names"

# In this process: what each file shows.
_files: dict[Path, _File] = {}


class Textfile:
    """A sink that replaces a file, all at once, with the newest page of every group.

    What other processes wrote there of other groups stays: an evaluation in a process of its own erases no training.

    Args:
        address: `file:///absolute/path/name.prom`.

    Raises:
        ConfigurationError: it is no such address, or the folder cannot be written.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._path = Path(unquote(parts.path))
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not self._path.is_absolute():
            raise ConfigurationError(f"{address!r} is no file on this machine: write {LIKE}")
        if self._path.suffix != ".prom":
            raise ConfigurationError(f"{address!r}: node_exporter reads only names that end in .prom: write {LIKE}")
        if not os.access(self._path.parent, os.W_OK | os.X_OK) or self._path.is_dir():
            raise ConfigurationError(f"{address!r} cannot be written: {self._path.parent} must be a folder of yours")

    def __str__(self) -> str:
        """The address."""
        return f"file://{self._path}"

    def send(self, page: Page, timeout: float) -> None:  # noqa: ARG002  a disk takes the time it takes
        """Write the page in place of its group's before; see `Sink.send`."""
        try:
            _files.setdefault(self._path, _File(self._path)).write(page)
        except OSError as error:
            raise DeliveryError(f"{self} cannot be written: {error.strerror}", "unreachable") from error

    def close(self) -> None:
        """Nothing: no file stays open, and what it says stays true."""


class _File:
    """A file that several exporters of this process write, and other processes as well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pages = Together()
        self._written: tuple[int, int] | None = None  # the file as we left it

    def write(self, page: Page) -> None:
        with self._alone():
            self._pages.put(page)
            if self._version() != self._written:
                self._pages.keep(self._families())
            write_to_textfile(str(self._path), self._pages, escaping="underscores")
            self._written = self._version()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads and processes from the folder's files."""
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _version(self) -> tuple[int, int] | None:
        """Return what changes whenever someone replaces the file."""
        with contextlib.suppress(FileNotFoundError):
            status = self._path.stat()
            return status.st_ino, status.st_mtime_ns
        return None

    def _families(self) -> list[Metric]:
        try:
            return list(text_string_to_metric_families(self._path.read_text()))
        except (FileNotFoundError, ValueError):  # nothing, or nothing of ours
            return []


os.register_at_fork(after_in_child=_files.clear)
