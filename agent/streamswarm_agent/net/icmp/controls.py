"""Where things stand in what the kernel says beside ICMP packets (cmsg(3)): a word has four bytes or eight."""

import struct
from typing import Final

_WORD: Final = struct.calcsize("@l")


def slot_form(form: str, size: int) -> struct.Struct:
    """A form for slots of a batch, of so many bytes: what it doesn't read is passed over."""
    return struct.Struct(f"{form}{size - struct.calcsize(form)}x")


class ControlForms:
    """Forms that read the ancillary data of many packets at once, which always come in the same order.

    A `struct cmsghdr` is length, level, type; of that the type is read. Lengths and times are words.

    Args:
        size: bytes of the slot of each packet; what a form doesn't read is passed over.
        word: bytes of a word.

    Attributes:
        stamp: of what arrived: a stamp's type, seconds and nanoseconds.
        hops: the same, and the hop limit or TTL; by whether transmit timestamps are on.
        queued: of the error queue: the stamp, then the error's type, origin and data.
        queued_bytes: what is there at least if that is all there.
    """

    def __init__(self, size: int, *, word: int = _WORD) -> None:
        header = word + 8
        kind, time = f"{header - 4}xi", {4: "ii", 8: "qq"}[word]
        stamp, stamping = f"={kind}{time}", header + 6 * word
        # Behind the header a struct sock_extended_err: errno, origin, type, code, padding, info, data.
        error, error_bytes = "4xB7xI", 16
        self.stamp = slot_form(stamp, size)
        self.hops = {stamped: slot_form(f"{stamp}{header + stamping * stamped}xi", size) for stamped in (False, True)}
        self.queued = slot_form(f"{stamp}{stamping}x{kind}{error}", size)
        self.queued_bytes = header + 2 * word + stamping + header + error_bytes
