"""The body of a request: whole, unpacked and of a sane size, or the status to refuse it with."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from email.message import Message
from http import HTTPStatus
from io import BufferedIOBase

LIMIT = 64 * 2**20  # bytes, before and after unpacking; a page of ours with 34,000 series is 1.3 MB
LINE_LIMIT = 4096
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?\r?\n")
GZIP = 16 + zlib.MAX_WBITS


class BodyError(ValueError):
    """A body that cannot be taken; `broken` where the connection is of no more use either."""

    def __init__(self, status: HTTPStatus, reason: str, *, broken: bool = True) -> None:
        """Keep what to answer."""
        super().__init__(reason)
        self.status = status
        self.broken = broken


def read_body(headers: Message, stream: BufferedIOBase) -> bytes:
    """Return the bytes of a request's body, as they came over the wire; raise BodyError."""
    coding = headers.get("Transfer-Encoding")
    if coding is not None:
        if coding.strip().lower() != "chunked":
            raise BodyError(HTTPStatus.NOT_IMPLEMENTED, f"unsupported transfer encoding {coding!r}")
        return b"".join(_chunks(stream))
    length = headers.get("Content-Length", "0").strip()
    if not re.fullmatch("[0-9]{1,15}", length):
        raise BodyError(HTTPStatus.BAD_REQUEST, "bad Content-Length")
    return _exactly(stream, int(length))


def unpacked(body: bytes) -> bytes:
    """Return what a gzip body holds, which may be several gzip members; raise BodyError."""
    text = b""
    while body or not text:
        member = zlib.decompressobj(GZIP)
        try:
            text += member.decompress(body, LIMIT + 1 - len(text))
        except zlib.error as error:
            raise BodyError(HTTPStatus.BAD_REQUEST, f"bad gzip body: {error}", broken=False) from None
        if len(text) > LIMIT:
            raise BodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {LIMIT} bytes", broken=False)
        if not member.eof:
            raise BodyError(HTTPStatus.BAD_REQUEST, "unexpected end of gzip body", broken=False)
        body = member.unused_data
    return text


def _chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    total = 0
    while True:
        size = CHUNK_SIZE.fullmatch(stream.readline(LINE_LIMIT))
        if not size:
            raise BodyError(HTTPStatus.BAD_REQUEST, "bad chunk size")
        length = int(size[1], 16)
        if not length:
            break
        total += length
        if total > LIMIT:
            raise BodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {LIMIT} bytes")
        yield _exactly(stream, length)
        if stream.readline(LINE_LIMIT).strip(b"\r\n"):
            raise BodyError(HTTPStatus.BAD_REQUEST, "bad end of chunk")
    while stream.readline(LINE_LIMIT).strip(b"\r\n"):
        pass  # trailers


def _exactly(stream: BufferedIOBase, length: int) -> bytes:
    if length > LIMIT:
        raise BodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {LIMIT} bytes")
    body = stream.read(length)
    if len(body) < length:
        raise BodyError(HTTPStatus.BAD_REQUEST, "unexpected end of body")
    return body
