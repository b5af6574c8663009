"""What the kernel says beside packets, on machines with words of four and of eight bytes, as bytes made by hand."""

import struct

import pytest

from streamswarm_agent.net.icmp.controls import ControlForms

SLOT = 192
SOCKET, IP, STAMP, STAMPING, TTL, RECEIVE_ERROR, FROM_STAMPING = 1, 0, 35, 37, 2, 11, 4
SECONDS, NANOSECONDS = 1_790_000_000, 123_456_789
WORDS = pytest.mark.parametrize("word", [4, 8])
LONGS = {4: "=l", 8: "=q"}


def message(word: int, level: int, kind: int, content: bytes) -> bytes:
    """A struct cmsghdr with its content, aligned to a word."""
    length = word + 8 + len(content)
    return (struct.pack(LONGS[word], length) + struct.pack("=ii", level, kind) + content).ljust(
        -(-length // word) * word
    )


def times(word: int, *numbers: int) -> bytes:
    return b"".join(struct.pack(LONGS[word], number) for number in numbers)


def stamp(word: int) -> bytes:
    return message(word, SOCKET, STAMP, times(word, SECONDS, NANOSECONDS))


def stamping(word: int) -> bytes:
    return message(word, SOCKET, STAMPING, times(word, SECONDS, NANOSECONDS, 0, 0, 0, 0))


@WORDS
def test_when_a_reply_came_is_found(word: int) -> None:
    form = ControlForms(SLOT, word=word).stamp
    assert form.unpack(stamp(word).ljust(SLOT, b"\xff")) == (STAMP, SECONDS, NANOSECONDS)


@WORDS
@pytest.mark.parametrize("stamped", [False, True])
def test_its_hops_are_found_behind(word: int, stamped: bool) -> None:
    told = stamp(word) + stamping(word) * stamped + message(word, IP, TTL, struct.pack("=i", 57))
    form = ControlForms(SLOT, word=word).hops[stamped]
    assert form.unpack(told.ljust(SLOT, b"\xff")) == (STAMP, SECONDS, NANOSECONDS, 57)


@WORDS
def test_which_request_left_when_is_found(word: int) -> None:
    error = struct.pack("=IBBBBII", 42, FROM_STAMPING, 0, 0, 0, 0, 70_000)
    told = stamp(word) + stamping(word) + message(word, IP, RECEIVE_ERROR, error)
    forms = ControlForms(SLOT, word=word)
    found = forms.queued.unpack(told.ljust(SLOT, b"\xff"))
    assert found == (STAMP, SECONDS, NANOSECONDS, RECEIVE_ERROR, FROM_STAMPING, 70_000)
    assert len(told) == forms.queued_bytes
