"""One connection to each device, kept from run to run."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.gnmi.opening import Connection, Endpoint, open_connection

IDLE_SECONDS: Final = 900.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_FIRST_PAUSE_OF_A_REFUSED_USER: Final = 60.0
_LONGEST_PAUSE_OF_A_REFUSED_USER: Final = 900.0
"""Devices lock users out who give a wrong password often."""


@dataclass(slots=True)
class _Slot:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    connection: Connection | None = None
    failures: int = 0
    not_before: float = 0.0
    fault: ProbeFault | None = None
    idle: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self.idle is not None:
            self.idle.cancel()
            self.idle = None
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class GnmiConnections:
    """The connections of one agent; one that no run has used for a quarter of an hour is closed.

    Args:
        monotonic: seconds; tests have their own.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._slots: dict[Endpoint, _Slot] = {}

    async def get(self, endpoint: Endpoint, wait: float) -> tuple[Connection, bool]:
        """The connection to a device, and whether it was made just now.

        After a failure there is a pause, twice as long after each further one, in which the fault is what it was.

        Raises:
            ProbeFault: the device can't be reached, or doesn't let the agent in.
        """
        slot = self._slots.setdefault(endpoint, _Slot())
        async with slot.lock:
            self._rest(endpoint, slot)
            if slot.connection is not None:
                if slot.connection.client.is_ready:
                    return slot.connection, False
                slot.close()
                self._rest(endpoint, slot)
            left = slot.not_before - self._monotonic()
            if slot.fault is not None and left > 0:
                detail = f"{slot.fault.detail} (not tried again yet; in {left:.0f} s)"
                raise ProbeFault(slot.fault.fault, detail)
            try:
                slot.connection = await open_connection(endpoint, wait)
            except ProbeFault as fault:
                self._pause(slot, fault)
                raise
            slot.failures, slot.fault = 0, None
            return slot.connection, True

    def drop(self, endpoint: Endpoint, connection: Connection, fault: ProbeFault) -> None:
        """Close a connection on which a run failed; the next run makes another."""
        slot = self._slots.get(endpoint)
        if slot is None or slot.connection is not connection:
            return
        slot.close()
        self._rest(endpoint, slot)
        if fault.fault is Fault.UNAUTHENTICATED:
            self._pause(slot, fault)

    def close(self) -> None:
        """Close them all."""
        for slot in self._slots.values():
            slot.close()
        self._slots.clear()

    def _pause(self, slot: _Slot, fault: ProbeFault) -> None:
        if fault.fault is Fault.MISSING_PROGRAM:
            return
        refused = fault.fault is Fault.UNAUTHENTICATED
        first = _FIRST_PAUSE_OF_A_REFUSED_USER if refused else _FIRST_PAUSE
        longest = _LONGEST_PAUSE_OF_A_REFUSED_USER if refused else _LONGEST_PAUSE
        slot.not_before = self._monotonic() + min(longest, first * 2.0 ** min(slot.failures, 16))
        slot.failures += 1
        slot.fault = fault

    def _rest(self, endpoint: Endpoint, slot: _Slot) -> None:
        """Begin the time without use anew."""
        if slot.idle is not None:
            slot.idle.cancel()
        slot.idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._forget, endpoint)

    def _forget(self, endpoint: Endpoint) -> None:
        slot = self._slots.pop(endpoint, None)
        if slot is not None:
            slot.close()
