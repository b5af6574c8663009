"""Turns alerts into messages: by rule, in groups, after a wait, again while they last."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.notifications.events import MessageKind, Severity
from streamswarm_controlplane.notifications.matching import labels_of, rule_matches
from streamswarm_controlplane.notifications.models import Alert, Channel, Rule, RuleGroup
from streamswarm_controlplane.notifications.outbox import enqueue
from streamswarm_core.catalogue import CATALOGUE

_GATHER: Final = 10
"""What joins a group that has been told is gathered for so many waits, unless it is critical."""


@dataclass(frozen=True, slots=True)
class Route:
    """What messages need beside the alerts.

    Attributes:
        url: of the console.
        give_up_after: how long a message is tried.
    """

    url: str
    give_up_after: timedelta


def route(db: Session, alerts: Sequence[Alert], shape: Route, at: datetime) -> None:
    """Write the messages that are due into the outbox.

    Args:
        db: the transaction.
        alerts: the open ones.
        shape: see there.
        at: now.
    """
    for rule in db.scalars(select(Rule).where(Rule.enabled).order_by(Rule.name)):
        channels = list(db.scalars(select(Channel).where(Channel.id.in_(rule.channel_ids), Channel.enabled)))
        groups = {group.key: group for group in db.scalars(select(RuleGroup).where(RuleGroup.rule_id == rule.id))}
        members: dict[str, list[Alert]] = defaultdict(list)
        for alert in alerts:
            if rule_matches(rule, alert):
                members[_key(rule, alert)].append(alert)
        for key in sorted(groups.keys() | members.keys()):
            group = groups.get(key)
            if group is None:
                group = RuleGroup(rule_id=rule.id, key=key, told=[])
                db.add(group)
            _Group(db, rule, group, members.get(key, []), channels).tell(shape, at)


class _Group:
    """One rule's group of alerts, and what its recipients know."""

    def __init__(
        self, db: Session, rule: Rule, group: RuleGroup, alerts: Sequence[Alert], channels: Sequence[Channel]
    ) -> None:
        self._db = db
        self._rule = rule
        self._group = group
        self._channels = channels
        self._open = list(alerts)
        self._audible = [alert for alert in alerts if not alert.held_back]
        known = dict(one.split() for one in group.told)
        self._new = [alert for alert in self._audible if _rank(alert.severity) > _rank(known.get(alert.id, ""))]
        missing = known.keys() - {alert.id for alert in self._open}
        self._closed = list(db.scalars(select(Alert).where(Alert.id.in_(missing)).order_by(Alert.closed_at)))

    def tell(self, shape: Route, at: datetime) -> None:
        """Send what is due, and take note of it."""
        # What ended while it was held back is not told: its recipients wanted quiet.
        closed = [alert for alert in self._closed if alert.closed_at is not None and not alert.held_back]
        if not self._rule.tell_closed:
            closed = []
        if self._new or closed:
            self._group.wait_since = self._group.wait_since or at
            if at >= self._due(closed, self._group.wait_since):
                self._send(_kind(self._new, self._audible, closed), [*self._audible, *closed], shape, at)
            return
        self._group.wait_since = None
        self._forget()
        urgent = [alert for alert in self._audible if alert.acknowledged_at is None]
        last = self._group.last_sent_at
        if urgent and self._rule.repeat and last and at - last >= timedelta(seconds=self._rule.repeat):
            self._send(MessageKind.REPEATED, urgent, shape, at)
        elif not self._open and not self._group.told:
            self._db.delete(self._group)

    def _due(self, closed: Sequence[Alert], since: datetime) -> datetime:
        """When to tell what there is to tell `since`; one cause shows itself in many series, one after another."""
        wait, last = timedelta(seconds=self._rule.wait), self._group.last_sent_at
        critical = any(alert.severity == Severity.CRITICAL for alert in [*self._new, *closed])
        if critical or not self._audible or not self._group.told or last is None:
            return since + wait
        return max(since + wait, last + _GATHER * wait)

    def _send(self, kind: MessageKind, alerts: Sequence[Alert], shape: Route, at: datetime) -> None:
        thread = hashlib.sha256(f"{self._rule.id} {self._group.key}".encode()).hexdigest()[:32]
        payload = message(
            kind,
            alerts,
            shape,
            at,
            rule=self._rule.name,
            group=json.loads(self._group.key),
            thread=thread,
            known={alert.id for alert in self._audible} - {alert.id for alert in self._new},
        )
        for channel in self._channels:
            enqueue(
                self._db,
                channel,
                payload,
                kind=kind,
                at=at,
                give_up_after=shape.give_up_after,
                rule_name=self._rule.name,
                thread=thread,
            )
        self._group.last_sent_at = at
        self._group.wait_since = None
        self._forget(*self._new)

    def _forget(self, *learnt: Alert) -> None:
        """What its recipients know now: what they knew and is still open, and what they have just learnt."""
        still = {alert.id for alert in self._open} - {alert.id for alert in learnt}
        kept = [one for one in self._group.told if one.split()[0] in still]
        self._group.told = kept + [f"{alert.id} {alert.severity}" for alert in learnt]


def message(
    kind: MessageKind,
    alerts: Iterable[Alert],
    shape: Route,
    at: datetime,
    *,
    rule: str = "",
    group: Mapping[str, str] | None = None,
    thread: str = "",
    known: Collection[str] = (),
) -> dict[str, Any]:
    """A message as webhooks get it, and as the others are made from; of alerts that are `known` nothing is new."""
    return {
        "type": "streamswarm.alerts",
        "version": 1,
        "kind": str(kind),
        "time": _time(at),
        "rule": rule,
        "group": dict(group or {}),
        "thread": thread,
        "url": f"{shape.url}/alerts",
        "alerts": [{**_alert(alert, shape.url), "news": alert.id not in known} for alert in alerts],
    }


def _page(alert: Alert, url: str) -> str:
    """Where to look first."""
    if test := alert.labels.get("test"):
        shown = {"test": test, "agent": alert.labels.get("agent", ""), "field": _field(alert)}
        chosen = {name: value for name, value in shown.items() if value}
        return f"{url}/results?{urlencode({**chosen, 'since': _time(alert.opened_at)}, quote_via=quote)}"
    if agent := alert.labels.get("agent"):
        return f"{url}/agents?q={quote(agent)}"
    return f"{url}/alerts"


def _field(alert: Alert) -> str:
    measurement, field = (alert.labels.get(name, "") for name in ("measurement", "field"))
    return f"{measurement}.{field}" if measurement in CATALOGUE and field in CATALOGUE[measurement] else ""


def _alert(alert: Alert, url: str) -> dict[str, Any]:
    return {
        "id": alert.id,
        "fingerprint": alert.fingerprint,
        "state": "open" if alert.closed_at is None else "closed",
        "event": alert.event,
        "severity": alert.severity,
        "labels": dict(alert.labels),
        "summary": alert.summary,
        "detail": alert.detail,
        "value": alert.value,
        "unit": alert.unit,
        "opened_at": _time(alert.opened_at),
        "closed_at": _time(alert.closed_at) if alert.closed_at else None,
        "close_reason": alert.close_reason,
        "acknowledged_by": alert.acknowledged_by,
        "url": _page(alert, url),
    }


def _kind(new: Sequence[Alert], audible: Sequence[Alert], closed: Sequence[Alert]) -> MessageKind:
    if not audible:
        return MessageKind.CLOSED
    return MessageKind.OPENED if new and not closed else MessageKind.CHANGED


def _key(rule: Rule, alert: Alert) -> str:
    labels = labels_of(alert)
    return json.dumps({name: labels.get(name, "") for name in rule.group_by}, sort_keys=True, ensure_ascii=False)


def _rank(severity: str) -> int:
    """That something became worse is news; that it became a little better is not."""
    return list(Severity).index(Severity(severity)) if severity else -1


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
