"""Work that is done again and again, whatever becomes of it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from streamswarm_core.errors import Refused, Unavailable

log = logging.getLogger(__name__)

UNEXPECTED: Final = "an unexpected error; the log says more"


async def repeat(
    work: Callable[[], object], note: Callable[[str], None], *, name: str, interval: float, longest: float
) -> None:
    """Work in a thread every `interval` seconds, less often while that fails, until cancelled.

    Args:
        work: what to do.
        note: told after each time why it failed, or "".
        name: of the work, for the log.
        interval: seconds from its end to its next begin.
        longest: seconds that these become at most while it fails.
    """
    delay, failure = interval, ""
    while True:
        before, failure = failure, ""
        try:
            await asyncio.to_thread(work)
        except (Unavailable, Refused, OSError) as error:
            failure = str(error)
            if not before:
                log.warning("%s can't go on now: %s", name, error)
        except Exception:
            # A loop that ends would leave a service that looks healthy and does nothing.
            log.exception("%s failed; trying again", name)
            failure = UNEXPECTED
        note(failure)
        delay = min(delay * 2, longest) if failure else interval
        await asyncio.sleep(delay)
