"""The path of a push, and the grouping key in it."""

from __future__ import annotations

import base64
import posixpath
import re
import urllib.parse

ENCODED = "@base64"
GROUP = re.compile(rf"/metrics/job({ENCODED})?/([^/]+)(/.*)?", re.DOTALL)
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
BASE64_URL = re.compile(r"[a-zA-Z0-9_-]*")
BAD_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})")


class BadAddressError(ValueError):
    """A path that does not name a group."""


def decoded(target: str) -> str:
    """Return the path of a request target, percent-decoded; bytes that are not UTF-8 become lone surrogates."""
    path = re.sub(r"^https?://[^/]*", "", target).partition("?")[0]
    if BAD_PERCENT.search(path):
        raise BadAddressError("invalid URL escape")
    return urllib.parse.unquote_to_bytes(path.encode("iso-8859-1")).decode("utf-8", "surrogateescape")


def cleaned(path: str) -> str:
    """Return a path without `//`, `.` and `..`; it keeps its final slash."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def quoted(path: str) -> str:
    """Return a decoded path, percent-encoded for a URL."""
    return urllib.parse.quote(path.encode("utf-8", "surrogateescape"))


def is_group(path: str) -> bool:
    """Return whether a decoded path is that of a group."""
    return GROUP.fullmatch(path) is not None


def grouping_key(path: str) -> dict[str, str]:
    """Return the grouping key in a decoded path, in which every slash separates; raise BadAddressError."""
    group = GROUP.fullmatch(path)
    if not group:
        raise BadAddressError("not /metrics/job/<job>/<label>/<value>...")
    job = _base64(group[2]) if group[1] else group[2]
    labels = {}
    components = group[3][1:].split("/") if len(group[3] or "") > 1 else []
    if len(components) % 2:
        raise BadAddressError(f'odd number of components in label string "{group[3]}"')
    for marked, value in zip(components[::2], components[1::2], strict=True):
        name = marked.removesuffix(ENCODED)
        if not LABEL_NAME.fullmatch(name) or name.startswith("__"):
            raise BadAddressError(f'improper label name "{name}"')
        labels[name] = value if name == marked else _base64(value)
    if not job:
        raise BadAddressError("job name is required")
    return labels | {"job": job}


def _base64(text: str) -> str:
    """Decode URL-safe base64 as Go does: ignore padding and line ends, and drop bits left over."""
    digits = re.sub("[\r\n]", "", text.rstrip("="))
    if not BASE64_URL.fullmatch(digits) or len(digits) % 4 == 1:
        raise BadAddressError(f'invalid base64 encoding "{text}"')
    return base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4)).decode("utf-8", "surrogateescape")
