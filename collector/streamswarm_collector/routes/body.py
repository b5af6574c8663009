"""Reads request bodies within bounds of size, memory and time."""

import asyncio
import zlib
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from streamswarm_collector.intake import Room

_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_GZIP_MAGIC: Final = b"\x1f\x8b"
"""No line begins so: it isn't UTF-8."""
_GONE: Final = "the sender went away before the body was whole"
_PLAIN: Final = frozenset({"", "identity"})


class BodyError(Exception):
    """A body that can't be taken.

    Args:
        message: for the sender.
        status: HTTP status.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


async def read_body(request: Request, room: Room, *, most_bytes: int, seconds: float) -> bytes:
    """Read and unpack a request's body.

    Args:
        request: whose.
        room: grows with the body, before the bytes are kept.
        most_bytes: how large it may be, packed or unpacked.
        seconds: how long it may take to arrive.

    Raises:
        BodyError: it is too large, too slow, or not what its Content-Encoding says.
        Unavailable: there is no room.
    """
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _PLAIN and encoding != "gzip":
        raise BodyError(f"Content-Encoding {encoding!r} is not understood; gzip or none", status=415)
    announced = request.headers.get("Content-Length", "")
    if announced.isdecimal():
        # No need to let all of it come to see that it doesn't fit.
        _check_size(int(announced), most_bytes)
        room.grow(int(announced))
    body = bytearray()
    unpack = _Gunzip() if encoding == "gzip" else None
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                _check_size(len(body) + (0 if unpack else len(chunk)), most_bytes)
                body += unpack.feed(chunk, most_bytes + 1 - len(body)) if unpack else chunk
                _check_size(len(body), most_bytes)
                room.grow(len(body))
    except TimeoutError:
        raise BodyError(f"the body did not arrive within {seconds:g} s", status=408) from None
    except ClientDisconnect:
        raise BodyError(_GONE, status=400) from None
    except zlib.error:
        raise BodyError("the body is not valid gzip although Content-Encoding says so", status=400) from None
    if unpack and body and not unpack.complete:
        raise BodyError("the body is not valid gzip although Content-Encoding says so: it is cut short", status=400)
    if body.startswith(_GZIP_MAGIC):
        twice = "packed twice" if unpack else "gzip although no Content-Encoding says so"
        raise BodyError(f"the body is {twice}; pack it once and send the header Content-Encoding: gzip", status=400)
    return bytes(body)


async def bounded_form(request: Request, most_bytes: int, seconds: float) -> dict[str, str]:
    """The text fields of a form.

    Raises:
        BodyError: it is too large or too slow.
    """
    size = 0

    async def receive() -> Any:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > most_bytes:
            raise BodyError(f"the form is larger than {most_bytes} bytes; ask in several requests", status=413)
        return message

    try:
        async with asyncio.timeout(seconds), Request(request.scope, receive).form() as form:
            return {key: value for key, value in form.items() if isinstance(value, str)}
    except TimeoutError:
        raise BodyError(f"the body did not arrive within {seconds:g} s", status=408) from None
    except ClientDisconnect:
        raise BodyError(_GONE, status=400) from None


class _Gunzip:
    """Unpacks gzip of one or several members, as Go's reader does."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._begun = False

    @property
    def complete(self) -> bool:
        return self._member.eof or not self._begun

    def feed(self, packed: bytes, most_bytes: int) -> bytes:
        unpacked = bytearray()
        while packed and len(unpacked) < most_bytes:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            unpacked += self._member.decompress(packed, most_bytes - len(unpacked))
            packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            self._begun = True
        return bytes(unpacked)


def _check_size(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise BodyError(f"the body is larger than {most_bytes} bytes; send smaller batches", status=413)
