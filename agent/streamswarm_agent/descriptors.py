"""File descriptors: as many as the system gives, and so many runs that some are left for the agent itself."""

import logging
import resource
from typing import Final

log = logging.getLogger(__name__)

SPARE: Final = 128
"""For delivery, heartbeats, the exporter, shared sockets, files and programs."""
_PER_RUN: Final = 2
"""A socket, and its name's lookup or a second connection."""


def wanted_descriptors(concurrency: int) -> int:
    """How many an agent with so many runs at the same time may need."""
    return concurrency * _PER_RUN + SPARE


def claim_descriptors(concurrency: int) -> int:
    """Raise this process's limit as far as needed; returns how many runs may have sockets of their own.

    Without that a run would take the descriptor that a heartbeat or the delivery of points needs.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = wanted_descriptors(concurrency)
    if soft < wanted and soft < hard:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft >= wanted:
        return concurrency
    fitting = max(1, (soft - min(SPARE, soft // 2)) // _PER_RUN)
    log.warning(
        "%d file descriptors are enough for %d runs at a time, not %d; raise LimitNOFILE (ulimit -n) to %d",
        soft,
        fitting,
        concurrency,
        wanted,
    )
    return min(concurrency, fitting)
