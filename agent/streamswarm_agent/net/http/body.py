"""The body of an HTTP answer: counted, unpacked, and never more of it than is allowed."""

import zlib
from typing import Any, Final

import brotli

from streamswarm_agent.faults import Fault, ProbeFault

_KEPT: Final = 1_000_000
_PIECE: Final = 64 * 1024
_GZIP: Final = 16 + zlib.MAX_WBITS
PACKED: Final = "gzip, deflate, br"
"""What can be unpacked, as Accept-Encoding says it."""


class Body:
    """Takes a body piece by piece.

    Args:
        most: bytes at most, as sent and unpacked alike; a small body may unpack to a very large one.

    Attributes:
        received: bytes as they were sent.
        decoded: bytes unpacked.
        packed: whether it was packed in a way we know.
        cut: whether reading stopped at `most`.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._encoding = ""
        self._unpacker: Any = None
        self._kept = bytearray()
        self.received = 0
        self.decoded = 0
        self.packed = False
        self.cut = False

    def begin(self, encoding: str) -> None:
        """Take note of Content-Encoding."""
        self._encoding = encoding.strip().lower().removeprefix("x-")
        self.packed = self._encoding in {"gzip", "deflate", "br"}

    def feed(self, piece: bytes) -> None:
        """Take the next piece; after `cut` there is no use in more.

        Raises:
            ProbeFault: it can't be unpacked.
        """
        if not piece:
            return
        self.received += len(piece)
        try:
            if self._encoding == "br":
                self._unpack_brotli(piece)
            elif self.packed:
                self._unpack(piece)
            else:
                self._keep(piece)
        except (zlib.error, brotli.error) as error:
            raise ProbeFault(Fault.PROTOCOL, f"the body is no {self._encoding}: {error}") from None
        self.cut = self.cut or self.received > self._most

    def end(self) -> None:
        """Take note that nothing follows.

        Raises:
            ProbeFault: what was packed is not complete, whatever Content-Length said.
        """
        if self.cut or self._unpacker is None:
            return
        finished = self._unpacker.is_finished() if self._encoding == "br" else self._unpacker.eof
        if not finished:
            detail = f"the body is cut short: its {self._encoding} has no end after {self.received} bytes"
            raise ProbeFault(Fault.PROTOCOL, detail)

    @property
    def start(self) -> bytes:
        """The unpacked body, its first million bytes."""
        return bytes(self._kept)

    @property
    def text(self) -> str:
        """The same as text; what is no UTF-8 is replaced."""
        return self._kept.decode(errors="replace")

    def _keep(self, piece: bytes) -> None:
        self.decoded += len(piece)
        self._kept += piece[: max(0, _KEPT - len(self._kept))]
        self.cut = self.cut or self.decoded > self._most

    def _unpack(self, piece: bytes) -> None:
        while not self.cut:
            if self._unpacker is None or self._unpacker.eof:
                # A gzip body may have several members (RFC 1952, section 2.2).
                self._unpacker = zlib.decompressobj(self._window(piece))
            unpacked = self._unpacker.decompress(piece, _PIECE)
            self._keep(unpacked)
            piece = self._unpacker.unconsumed_tail or self._unpacker.unused_data
            # All may have been taken in, and not all given out.
            if not piece and (self._unpacker.eof or len(unpacked) < _PIECE):
                return

    def _unpack_brotli(self, piece: bytes) -> None:
        """RFC 7932, a bounded piece at a time."""
        self._unpacker = self._unpacker or brotli.Decompressor()
        if self._unpacker.is_finished():
            raise brotli.error("something follows its end")
        unpacked = self._unpacker.process(piece, output_buffer_limit=_PIECE)
        while unpacked:
            self._keep(unpacked)
            if self.cut or self._unpacker.is_finished():
                return
            unpacked = self._unpacker.process(b"", output_buffer_limit=_PIECE)

    def _window(self, piece: bytes) -> int:
        if self._encoding == "gzip":
            return _GZIP
        # "deflate" is the zlib format (RFC 9110, section 8.4.1.2); some servers send it bare. 8 is zlib's method.
        return zlib.MAX_WBITS if piece[0] & 0x0F == 8 else -zlib.MAX_WBITS
