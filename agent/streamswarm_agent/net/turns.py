import asyncio
import time
from typing import Final

_TURN_SECONDS: Final = 0.01


class Turns:
    """Lets the event loop have its turn in a loop that never waits.

    Reading a socket waits only if nothing is there. From a peer that sends faster than we read there is always
    something; without this no timeout would end it, and nothing else of the agent would run.
    """

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def give(self) -> None:
        """Give up the turn if it has lasted a hundredth of a second; returns at once otherwise."""
        if time.monotonic() - self._since >= _TURN_SECONDS:
            await asyncio.sleep(0)
            self._since = time.monotonic()
