"""What a request's body may be, checked before anything is made of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import Request
from fastapi.params import Body, Form
from starlette.exceptions import HTTPException
from starlette.types import Message

from streamswarm_controlplane.problems import ApiError

LARGEST_BODY: Final = 1_000_000
"""Bytes."""
BODY_SECONDS: Final = 30.0
"""How long a body may take to arrive."""


def bounded(request: Request, limit: int) -> Request:
    """The same request with a body that ends in 413 once it is longer than `limit` bytes, in 408 if it is too slow.

    Starlette's own limit answers in plain text, and for the time it has none.
    """
    return Request(request.scope, _counting(request.receive, limit))


def _counting(receive: Callable[[], Awaitable[Message]], limit: int) -> Callable[[], Awaitable[Message]]:
    received = 0
    deadline: float | None = asyncio.get_running_loop().time() + BODY_SECONDS

    async def counted() -> Message:
        nonlocal received, deadline
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"the body did not arrive within {BODY_SECONDS:g} s") from None
        if not message.get("more_body"):
            deadline = None  # from now on it is the answer that is waited for
        received += len(message.get("body", b""))
        if received > limit:
            # FastAPI takes any other exception for a body that can't be read.
            raise HTTPException(413, f"the body is longer than {limit} bytes")
        return message

    return counted


async def check_content_type(request: Request, expected: Any) -> None:
    """Refuse a body of another type than JSON where the route takes JSON.

    Args:
        request: with a bounded body.
        expected: FastAPI's description of the route's body; None if it takes none.

    Raises:
        ApiError: 415.
    """
    described = getattr(expected, "field_info", None)
    if not isinstance(described, Body) or isinstance(described, Form) or described.media_type != "application/json":
        return
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    if not is_json and await request.body():
        raise ApiError(415, f"the body is {kind or 'of no type'}; send application/json", field="header.Content-Type")
