"""The other side of `tools.run_isolated`: calls one function with arguments from standard input, writes its result.

Both are JSON. What the function itself prints goes to standard error.
"""

import contextlib
import importlib
import json
import sys
from operator import attrgetter

from streamswarm_agent.faults import Fault, ProbeFault


def main() -> None:
    """Call the function that the command line names."""
    module, name = sys.argv[1:]
    with contextlib.redirect_stdout(sys.stderr):
        try:
            answer = {"result": attrgetter(name)(importlib.import_module(module))(*json.load(sys.stdin))}
        except ProbeFault as fault:
            answer = {"fault": fault.fault.value, "detail": fault.detail}
        except Exception as error:  # noqa: BLE001 - the caller gets it as a fault, whatever it is
            answer = {"fault": Fault.INTERNAL.value, "detail": f"{type(error).__name__}: {error}"[:300]}
        text = json.dumps(answer)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
