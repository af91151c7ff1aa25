"""Reads the body of a request, complete, decompressed and limited in size, or refuses it with a status."""

from __future__ import annotations

import re
import zlib
from email.message import Message
from http import HTTPStatus
from io import BufferedIOBase

LIMIT = 64 * 2**20  # bytes, before and after decompression; one of our pages with 34,000 series is 1.3 MB
LINE_LIMIT = 4096
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?\r?\n")
GZIP = 16 + zlib.MAX_WBITS
PIECE = 1024  # bytes that zlib gets at a time: what it leaves over at the end of a member is copied


class BodyError(ValueError):
    """A body that is refused; `broken` if the connection cannot be used any more."""

    def __init__(self, status: HTTPStatus, reason: str, *, broken: bool = True) -> None:
        """Keep the status to answer with."""
        super().__init__(reason)
        self.status = status
        self.broken = broken


def read_body(headers: Message, stream: BufferedIOBase) -> bytes:
    """Return the bytes of a request's body, as they were sent; raise BodyError."""
    coding = headers.get("Transfer-Encoding")
    if coding is not None:
        if coding.strip().lower() != "chunked":
            raise BodyError(HTTPStatus.NOT_IMPLEMENTED, f"unsupported transfer encoding {coding!r}")
        return _chunks(stream)
    length = headers.get("Content-Length", "0").strip()
    if not re.fullmatch("[0-9]{1,15}", length):
        raise BodyError(HTTPStatus.BAD_REQUEST, "bad Content-Length")
    return _exactly(stream, int(length))


def unpacked(body: bytes) -> bytes:
    """Return the contents of a gzip body, which may have several members; raise BodyError."""
    text, rest, member = bytearray(), memoryview(body), zlib.decompressobj(GZIP)
    while piece := rest[:PIECE]:
        try:
            text += member.decompress(piece, LIMIT + 1 - len(text))
        except zlib.error as error:
            raise BodyError(HTTPStatus.BAD_REQUEST, f"bad gzip body: {error}", broken=False) from None
        if len(text) > LIMIT:
            raise BodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {LIMIT} bytes", broken=False)
        rest = rest[len(piece) - len(member.unused_data) :]
        if member.eof and not rest:
            return bytes(text)
        if member.eof:
            member = zlib.decompressobj(GZIP)
    raise BodyError(HTTPStatus.BAD_REQUEST, "unexpected end of gzip body", broken=False)


def _chunks(stream: BufferedIOBase) -> bytes:
    body = bytearray()
    while True:
        size = CHUNK_SIZE.fullmatch(stream.readline(LINE_LIMIT))
        if not size:
            raise BodyError(HTTPStatus.BAD_REQUEST, "bad chunk size")
        length = int(size[1], 16)
        if not length:
            break
        if len(body) + length > LIMIT:
            raise BodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {LIMIT} bytes")
        body += _exactly(stream, length)
        if stream.readline(LINE_LIMIT).strip(b"\r\n"):
            raise BodyError(HTTPStatus.BAD_REQUEST, "bad end of chunk")
    while stream.readline(LINE_LIMIT).strip(b"\r\n"):
        pass  # trailers
    return bytes(body)


def _exactly(stream: BufferedIOBase, length: int) -> bytes:
    if length > LIMIT:
        raise BodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {LIMIT} bytes")
    body = stream.read(length)
    if len(body) < length:
        raise BodyError(HTTPStatus.BAD_REQUEST, "unexpected end of body")
    return body
