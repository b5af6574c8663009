"""Files that tests name by a path: whoever makes tests chooses it, and must not be able to hold up the agent so."""

import stat
from pathlib import Path
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault

MOST_BYTES: Final = 10_000_000


def check_plain(option: str, path: str) -> None:
    """See that a file can be read at once: no pipe, device or folder, and not endless.

    Raises:
        ProbeFault: it can't, or isn't there.
    """
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no path"
        raise ProbeFault(Fault.BAD_TARGET, f"the option {option}: {path}: {reason}") from None
    if not stat.S_ISREG(status.st_mode):
        raise ProbeFault(Fault.BAD_TARGET, f"the option {option}: {path}: no plain file")
    if status.st_size > MOST_BYTES:
        raise ProbeFault(Fault.BAD_TARGET, f"the option {option}: {path}: larger than {MOST_BYTES} bytes")
