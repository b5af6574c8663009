"""`dry_run=true`: a request is checked and answered as ever, and nothing of it stays.

Only for routes that do nothing but change the database, since that is what is taken back.
"""

from typing import Annotated, Final

from fastapi import Depends, Query, Request


async def _dry_run(
    request: Request,
    *,
    dry_run: Annotated[
        bool, Query(description="Only try it: the answer is what it would be, and nothing is changed.")
    ] = False,
) -> None:
    request.state.dry_run = dry_run


CAN_BE_TRIED: Final = [Depends(_dry_run)]
"""`dependencies` of a route that takes `dry_run`."""


def is_dry_run(request: Request) -> bool:
    """Whether nothing of a request is to stay."""
    return bool(getattr(request.state, "dry_run", False))
