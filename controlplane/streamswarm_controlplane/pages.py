"""Lists in pages. A cursor says where the next page begins; what is added or removed meanwhile shifts nothing."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy import Float, Integer, Select, literal, or_, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from streamswarm_controlplane.db import UtcDateTime
from streamswarm_controlplane.problems import ApiError

Item = TypeVar("Item")
Row = TypeVar("Row")

LARGEST_PAGE: Final = 200
_LARGEST_INTEGER: Final = 2**63 - 1


class Page(BaseModel, Generic[Item]):
    """Some of a list."""

    items: list[Item]
    next_cursor: str | None = Field(
        None, description="To be sent as `cursor`, with the same filters, for the next page; null on the last one."
    )


class PageRequest:
    """Which part of a list is asked for.

    Args:
        limit: the most items of the page.
        cursor: `next_cursor` of the page before; "" for the first.
        asked: path and filters. A cursor is of use only with the ones that it was made with.
    """

    def __init__(self, limit: int, cursor: str, asked: str) -> None:
        self._limit = limit
        self._cursor = cursor
        self._asked = asked

    def read(
        self,
        db: Session,
        query: Select[Row],
        *,
        by: Sequence[InstrumentedAttribute[Any]],
        show: Callable[[Row], Item],
        descending: bool = False,
    ) -> Page[Item]:
        """The page of a query.

        Args:
            db: the database.
            query: what is listed, without an order.
            by: columns to sort by, none of them nullable; the last one tells any two rows apart.
            show: makes an item of a row.
            descending: whether the largest come first.

        Raises:
            ApiError: 422 if the cursor is not one of this list.
        """
        if self._cursor:
            begin = tuple_(*(_bound(column, value) for column, value in zip(by, self._values(by), strict=True)))
            keys = tuple_(*by)
            query = query.where(keys < begin if descending else keys > begin)
        query = query.order_by(*(column.desc() if descending else column for column in by)).limit(self._limit + 1)
        rows = list(db.scalars(query))
        return self._page(rows, lambda row: [getattr(row, column.key) for column in by], show)

    def of(self, items: Iterable[Item], key: Callable[[Item], str]) -> Page[Item]:
        """The page of a list that isn't in the database.

        Args:
            items: all of them, in any order.
            key: what they are sorted by, different for each.

        Raises:
            ApiError: 422 if the cursor is not one of this list.
        """
        rows = sorted(items, key=key)
        if self._cursor:
            (begin,) = self._decoded(1)
            rows = [row for row in rows if key(row) > str(begin)]
        return self._page(rows, lambda row: [key(row)], lambda row: row)

    def _page(self, rows: list[Row], keys: Callable[[Row], list[Any]], show: Callable[[Row], Item]) -> Page[Item]:
        shown = rows[: self._limit]
        cursor = self._encoded(keys(shown[-1])) if len(rows) > self._limit else None
        return Page(items=[show(row) for row in shown], next_cursor=cursor)

    def _encoded(self, keys: list[Any]) -> str:
        values = [key.isoformat() if isinstance(key, datetime) else key for key in keys]
        return base64.urlsafe_b64encode(json.dumps([self._seal(values), *values]).encode()).decode().rstrip("=")

    def _seal(self, values: list[Any]) -> str:
        """Tells a mistyped cursor, and one of another list; it needs no secret, as a cursor opens nothing."""
        return hashlib.sha256(json.dumps([self._asked, values]).encode()).hexdigest()[:16]

    def _decoded(self, count: int) -> list[Any]:
        try:
            padded = self._cursor + "=" * (-len(self._cursor) % 4)
            seal, *values = list(json.loads(base64.b64decode(padded.encode(), altchars=b"-_", validate=True)))
        except (ValueError, TypeError, RecursionError):
            raise _bad_cursor() from None
        if len(values) != count or seal != self._seal(values):
            raise _bad_cursor()
        return values

    def _values(self, by: Sequence[InstrumentedAttribute[Any]]) -> list[Any]:
        return [_value(column, value) for column, value in zip(by, self._decoded(len(by)), strict=True)]


def _value(column: InstrumentedAttribute[Any], value: Any) -> Any:
    """The value as its column takes it: a cursor that somebody made must not reach the database as something else."""
    if isinstance(column.type, UtcDateTime):
        try:
            moment = datetime.fromisoformat(value)
        except (ValueError, TypeError):
            raise _bad_cursor() from None
        good = moment.tzinfo is not None
        value = moment
    elif isinstance(column.type, Integer):
        good = type(value) is int and abs(value) <= _LARGEST_INTEGER
    elif isinstance(column.type, Float):
        good = type(value) in {int, float} and abs(value) <= _LARGEST_INTEGER
    else:
        good = isinstance(value, str) and "\0" not in value
    if not good:
        raise _bad_cursor()
    return value


def _bound(column: InstrumentedAttribute[Any], value: Any) -> Any:
    return literal(value, type_=column.type)


def _bad_cursor() -> ApiError:
    return ApiError(
        422,
        "cursor: not one of this list with these filters; send next_cursor of the page before as it is, or leave it "
        "out for the first page",
        field="query.cursor",
    )


async def _page_request(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="The most items of a page.")] = 50,
    cursor: Annotated[
        str, Query(max_length=2000, description="`next_cursor` of the page before; the first page if not given.")
    ] = "",
) -> PageRequest:
    filters = sorted(pair for pair in request.query_params.multi_items() if pair[0] not in {"limit", "cursor"})
    return PageRequest(limit, cursor, json.dumps([request.url.path, filters]))


PageDep = Annotated[PageRequest, Depends(_page_request)]
PartOfName = Annotated[str, Query(max_length=100, description="Part of the name.")]
"""What lists of named things are searched for, in any case."""


def having(query: Select[Row], part: str, *columns: InstrumentedAttribute[str]) -> Select[Row]:
    """Only rows with this part in one of the columns; all without one."""
    return query.where(or_(*(column.icontains(part, autoescape=True) for column in columns))) if part else query
