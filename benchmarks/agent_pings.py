"""A ping process per test, as the original agent made it: started by Python's `subprocess`, its output captured.

    python -m benchmarks.agent_pings TARGET [TARGET …]

`benchmarks.agent` runs this as a process of its own, whose processor time is then that of who starts pings. Prints as
JSON how many were answered, the seconds that all took, and the CPU seconds of this process and of the pings; what
Python needs to start is not in them.
"""

import json
import resource
import shutil
import subprocess
import sys
import time

PING = shutil.which("ping") or "ping"


def cpu_seconds(whose: int) -> float:
    """User and system time."""
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


def main(targets: list[str]) -> None:
    """Ping them, one after the other."""
    begun = time.monotonic()
    parent, pings = cpu_seconds(resource.RUSAGE_SELF), cpu_seconds(resource.RUSAGE_CHILDREN)
    answered = 0
    for target in targets:
        command = [PING, "-c", "1", "-W", "1", target]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        answered += ended.returncode == 0 and "time=" in ended.stdout
    json.dump(
        {
            "answered": answered,
            "seconds": time.monotonic() - begun,
            "parent": cpu_seconds(resource.RUSAGE_SELF) - parent,
            "pings": cpu_seconds(resource.RUSAGE_CHILDREN) - pings,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
