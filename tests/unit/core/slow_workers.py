"""A service whose workers say nothing for six seconds, as where a machine has too much to do."""

import sys
import time

from starlette.applications import Starlette

from streamswarm_agent.settings import AgentSettings
from streamswarm_core.serve import serve_workers

if __name__ == "__mp_main__":  # a worker, on its way to be one
    time.sleep(6)  # uvicorn's own patience ends after five

if __name__ == "__main__":
    serve_workers(Starlette, AgentSettings(), host="127.0.0.1", port=int(sys.argv[1]), workers=2)
