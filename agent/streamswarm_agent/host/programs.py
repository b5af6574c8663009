import os
from collections.abc import Sequence
from typing import Final

from streamswarm_agent.net.tools import Finished, run_program

_SYSTEM_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")


async def run_host_program(argv: Sequence[str], seconds: float) -> Finished:
    """Run a program that Debian keeps where an ordinary user's shell doesn't look.

    Raises:
        ProbeFault: it isn't installed, may not be run, or didn't end in time.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS])
    return await run_program(argv, timeout=seconds, env={"PATH": path})
