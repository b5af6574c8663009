"""HTTP/1.1 as uvicorn speaks it, with bounds on the head of a request, for which uvicorn has none.

Without them whoever can reach a port takes all its open files by connections on which nothing is ever said.
"""

import asyncio
from importlib.util import find_spec


def bounded_http() -> type[asyncio.Protocol]:
    """The protocol for uvicorn's `http`: with httptools where it is installed, as uvicorn chooses too."""
    if find_spec("httptools") is not None:
        from streamswarm_core.heads.httptools import BoundedHttptools  # noqa: PLC0415 - only some services install it

        return BoundedHttptools
    from streamswarm_core.heads.h11 import BoundedH11  # noqa: PLC0415 - not loaded where the other one is used

    return BoundedH11
