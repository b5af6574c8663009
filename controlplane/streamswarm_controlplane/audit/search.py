"""Finds entries of the audit log, and hands them out in bulk."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, String, cast, or_, select

from streamswarm_controlplane.audit.models import AuditEntry
from streamswarm_controlplane.db import Database

COLUMNS: Final = ("id", "time", "actor", "actor_kind", "via", "address", "action", "object", "before", "after")
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; all that is given has to hold.

    Attributes:
        actor: exactly this actor's.
        actor_kind: see AuditEntry.
        action: one, `user.create`, or a group of them, `user.`
        target: exactly this one's.
        since: from.
        until: to, excluded.
        text: anywhere in the entry.
    """

    actor: str = ""
    actor_kind: str = ""
    action: str = ""
    target: str = ""
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""

    def statement(self) -> Select[AuditEntry]:
        """The entries, in no order."""
        statement = select(AuditEntry)
        for column, wanted in (
            (AuditEntry.actor, self.actor),
            (AuditEntry.actor_kind, self.actor_kind),
            (AuditEntry.object, self.target),
        ):
            if wanted:
                statement = statement.where(column == wanted)
        if self.action.endswith("."):
            statement = statement.where(AuditEntry.action.startswith(self.action, autoescape=True))
        elif self.action:
            statement = statement.where(AuditEntry.action == self.action)
        if self.since:
            statement = statement.where(AuditEntry.time >= self.since)
        if self.until:
            statement = statement.where(AuditEntry.time < self.until)
        return statement.where(_contains(self.text)) if self.text else statement


def _contains(text: str) -> Any:
    """Text in a column, or in the JSON of one, which has letters beyond ASCII escaped."""
    plain = (AuditEntry.actor, AuditEntry.via, AuditEntry.address, AuditEntry.action, AuditEntry.object)
    escaped = json.dumps(text)[1:-1]
    return or_(
        *(column.icontains(text, autoescape=True) for column in plain),
        *(cast(column, String).icontains(escaped, autoescape=True) for column in (AuditEntry.before, AuditEntry.after)),
    )


def export_csv(database: Database, wanted: AuditFilter) -> Iterator[str]:
    """The entries as CSV (RFC 4180), newest first. No cell begins like a spreadsheet's formula."""
    yield _line(COLUMNS)
    for entry in _all(database, wanted):
        yield _line([_cell(getattr(entry, name)) for name in COLUMNS])


def export_jsonl(database: Database, wanted: AuditFilter) -> Iterator[str]:
    """The entries as lines of JSON, newest first."""
    for entry in _all(database, wanted):
        values = {name: getattr(entry, name) for name in COLUMNS}
        yield json.dumps(values | {"time": entry.time.isoformat()}, ensure_ascii=False) + "\n"


EXPORTS: Final[dict[str, tuple[str, Callable[[Database, AuditFilter], Iterator[str]]]]] = {
    "csv": ("text/csv; charset=utf-8; header=present", export_csv),
    "jsonl": ("application/x-ndjson", export_jsonl),
}


def _all(database: Database, wanted: AuditFilter) -> Iterator[AuditEntry]:
    """In batches, each a short transaction of its own: a slow reader keeps nobody waiting."""
    last: int | None = None
    while True:
        statement = wanted.statement().order_by(AuditEntry.id.desc()).limit(_BATCH)
        if last is not None:
            statement = statement.where(AuditEntry.id < last)
        with database.session() as db:
            batch = db.scalars(statement).all()
        yield from batch
        if len(batch) < _BATCH:
            return
        last = batch[-1].id


def _line(cells: Any) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
