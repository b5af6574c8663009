"""What a bandwidth test's two sides say to each other, beside the bytes that are only counted.

Over TCP, messages are JSON objects, one a line. Whoever connects is told a random number (`nonce`), and says what it
wants together with the HMAC-SHA-256 of that number and its message, so nothing that was overheard can be used again.

1. The control connection asks for a test; the answer grants bytes and seconds of each direction, and names the test.
2. Each data connection names the test and a direction. An upload ends when the sender closes its side, a download when
   the granted bytes or seconds are used up.
3. The control connection asks for the report: what the reflector received, and what its kernel sent again.
"""

import hashlib
import hmac
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Direction = Literal["upload", "download"]
"""As seen from the agent."""

VERSION: Final = 1
MOST_STREAMS: Final = 16
LONGEST_LINE: Final = 65_536
STEP_SECONDS: Final = 0.05
"""Width of the steps in which received bytes are counted."""
_LEAST_SECONDS: Final = 0.005
"""Less is a burst out of buffers."""


class MessageError(Exception):
    """The other side says something that isn't this protocol."""


def pack(message: Mapping[str, Any], *, nonce: str = "", key: bytes = b"") -> bytes:
    """One line; with a key it is signed."""
    signed = {**message, "mac": _mac(message, nonce, key)} if key else message
    return json.dumps(signed, separators=(",", ":")).encode() + b"\n"


def unpack(line: bytes) -> dict[str, Any]:
    """Read one line.

    Raises:
        MessageError: it isn't a JSON object.
    """
    try:
        message = json.loads(line)
    except ValueError:
        raise MessageError("no JSON object in a line") from None
    if not isinstance(message, dict):
        raise MessageError("no JSON object in a line")
    return message


def is_signed(message: Mapping[str, Any], *, nonce: str, key: bytes) -> bool:
    """Whether a message's `mac` fits.

    >>> line = pack({"role": "control"}, nonce="n1", key=b"k")
    >>> is_signed(unpack(line), nonce="n1", key=b"k"), is_signed(unpack(line), nonce="n2", key=b"k")
    (True, False)
    """
    rest = {name: value for name, value in message.items() if name != "mac"}
    return hmac.compare_digest(str(message.get("mac", "")).encode(), _mac(rest, nonce, key).encode())


def _mac(message: Mapping[str, Any], nonce: str, key: bytes) -> str:
    text = nonce + json.dumps(message, separators=(",", ":"), sort_keys=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@dataclass(slots=True)
class Meter:
    """Counts received bytes over time, from the first byte on.

    Attributes:
        steps: bytes of each STEP_SECONDS.
        seconds: from the first byte to the last.
        limit: seconds after the first byte from which on bytes are late, as the last of a slow transfer are.
        late: bytes that came then; they are no part of the rate.
    """

    steps: list[int] = field(default_factory=list)
    seconds: float = 0.0
    limit: float = math.inf
    late: int = 0
    _first: float | None = None

    def add(self, size: int, now: float) -> None:
        """Count bytes that came now, by a clock of the caller's."""
        if self._first is None:
            self._first = now
        if now - self._first > self.limit:
            self.late += size
            return
        self.seconds = now - self._first
        step = int(self.seconds / STEP_SECONDS)
        self.steps.extend([0] * (step + 1 - len(self.steps)))
        self.steps[step] += size

    @property
    def bytes(self) -> int:
        """All of them."""
        return sum(self.steps) + self.late

    def rate(self, warm_up: float) -> float | None:
        """Bits per second after the warm-up, which is at most half of the time; None if too little time is left.

        >>> meter = Meter()
        >>> for tenth in range(21):
        ...     meter.add(1_000 if tenth < 10 else 10_000, tenth / 10)
        >>> round(meter.rate(1.0))
        880000
        """
        skipped = min(int(warm_up / STEP_SECONDS), int(self.seconds / 2 / STEP_SECONDS))
        seconds = self.seconds - skipped * STEP_SECONDS
        return sum(self.steps[skipped:]) * 8 / seconds if seconds >= _LEAST_SECONDS else None

    def per_second(self) -> Sequence[float]:
        """Bits per second in each full second."""
        wide = round(1 / STEP_SECONDS)
        full = int(self.seconds)
        return [sum(self.steps[second * wide : (second + 1) * wide]) * 8.0 for second in range(full)]
