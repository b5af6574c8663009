"""Entity tags: what hasn't changed isn't sent again, and what somebody else has changed isn't overwritten (RFC 9110).

A tag has two halves, `"settings.everything"`. What a client reads again only after a change (`If-None-Match`) is
compared as a whole. What it must not overwrite (`If-Match`) is compared by the first half: an agent's next heartbeat
changes what is shown of it, but none of its settings.
"""

import hashlib
import re
from collections.abc import Collection
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Header, Response, status
from pydantic import BaseModel

from streamswarm_controlplane.problems import Answered, ApiError

Shown = TypeVar("Shown", bound=BaseModel)

IfNoneMatch = Annotated[
    str, Header(max_length=1000, description="Entity tag of what the caller has; 304 if it is still that.")
]
_TAG: Final = re.compile(r'(W/)?"([^"]*)"')


def etag_of(shown: BaseModel) -> str:
    """The strong entity tag of a thing as it is shown.

    Fields that its class lists in `MEASURED` are no settings: they change without anybody's doing.
    """
    measured: Collection[str] = getattr(type(shown), "MEASURED", ())
    halves = (shown.model_dump_json(exclude=set(measured)), shown.model_dump_json())
    return '"{}.{}"'.format(*(hashlib.sha256(half.encode()).hexdigest()[:16] for half in halves))


def not_modified(if_none_match: str, etag: str) -> bool:
    """Whether `If-None-Match` names the tag; a proxy that compresses may have made it a weak one."""
    return if_none_match.strip() == "*" or etag.strip('"') in {found[2] for found in _TAG.finditer(if_none_match)}


class Reading:
    """Shows one thing, unless the client has it as it is."""

    def __init__(self, response: Response, if_none_match: str) -> None:
        self._response = response
        self._if_none_match = if_none_match

    def show(self, shown: Shown) -> Shown:
        """Tag the answer.

        Raises:
            Answered: the client has it.
        """
        etag = etag_of(shown)
        if not_modified(self._if_none_match, etag):
            raise Answered(Response(status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag}))
        self._response.headers["ETag"] = etag
        return shown


class Changing:
    """Changes one thing, unless somebody else has changed it since the client read it."""

    def __init__(self, response: Response, if_match: str) -> None:
        self._response = response
        self._if_match = if_match

    def check(self, shown: BaseModel) -> None:
        """Compare with the thing as it is; its row has to be locked, so that it stays so.

        Raises:
            ApiError: 412.
        """
        if self._if_match.strip() in {"", "*"}:
            return
        settings = etag_of(shown).strip('"').partition(".")[0]
        named = {found[2].partition(".")[0] for found in _TAG.finditer(self._if_match) if not found[1]}
        if settings not in named:
            raise ApiError(
                412, "it has changed since you read it; read it again and decide anew", field="header.If-Match"
            )

    def show(self, shown: Shown) -> Shown:
        """Tag the answer with what it has become."""
        self._response.headers["ETag"] = etag_of(shown)
        return shown


async def _reading(response: Response, if_none_match: IfNoneMatch = "") -> Reading:
    return Reading(response, if_none_match)


async def _changing(
    response: Response,
    if_match: Annotated[
        str,
        Header(
            max_length=1000, description="Entity tag of what the caller has read; 412 if somebody has changed it since."
        ),
    ] = "",
) -> Changing:
    return Changing(response, if_match)


ReadingDep = Annotated[Reading, Depends(_reading)]
ChangingDep = Annotated[Changing, Depends(_changing)]
