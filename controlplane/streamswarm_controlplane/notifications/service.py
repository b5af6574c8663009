"""Channels, rules, silences and acknowledgements, as users change them."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.notifications import outbox
from streamswarm_controlplane.notifications.channels import Webhook, masked, split, unmasked
from streamswarm_controlplane.notifications.events import DeliveryStatus, MessageKind
from streamswarm_controlplane.notifications.models import Alert, Channel, Delivery, Rule, Silence
from streamswarm_controlplane.notifications.routing import Route, message
from streamswarm_controlplane.notifications.schemas import (
    ChannelCreate,
    ChannelPublic,
    ChannelUpdate,
    RuleCreate,
    RuleFields,
    RuleUpdate,
    SilenceCreate,
    SilenceUpdate,
)
from streamswarm_controlplane.notifications.secretbox import SealedError, SecretBox
from streamswarm_controlplane.notifications.signing import new_signing_secret
from streamswarm_controlplane.problems import ApiError
from streamswarm_core.clock import now

_RULE_FIELDS = tuple(RuleFields.model_fields)
_TEST_MESSAGE_TIME = timedelta(minutes=2)


def show_channel(channel: Channel, box: SecretBox) -> ChannelPublic:
    """The channel as users see it."""
    try:
        hidden = box.open(channel.secrets)
    except SealedError:
        hidden = {}
    columns = {name: getattr(channel, name) for name in ChannelPublic.model_fields if name != "settings"}
    return ChannelPublic(settings=masked(channel.kind, channel.settings, hidden), **columns)


def get_channel(db: Session, channel_id: str, *, lock: bool = False) -> Channel:
    """One channel; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    channel = db.get(Channel, channel_id, with_for_update=lock or None)
    if channel is None:
        raise ApiError(404, f"no channel with the id {channel_id}")
    return channel


def create_channel(db: Session, actor: Actor, new: ChannelCreate, box: SecretBox) -> tuple[Channel, str | None]:
    """Add a channel; returns it with its signing secret, if one was made.

    Raises:
        ApiError: 409 if the name is taken, 422 for a secret that is missing.
    """
    _refuse_taken(db, Channel, new.name, "")
    values, hidden = split(new.settings)
    hidden = unmasked(hidden, {})
    made = None
    if isinstance(new.settings, Webhook) and not hidden.get("secret"):
        made = hidden["secret"] = new_signing_secret()
    _check_secrets(new.settings.kind, values, hidden)
    channel = Channel(
        name=new.name,
        kind=new.settings.kind,
        enabled=new.enabled,
        settings=values,
        secrets=box.seal(hidden),
        created_at=now(),
        updated_at=now(),
    )
    db.add(channel)
    db.flush()
    record(db, actor, "channel.create", channel.name, after=_audited_channel(channel, hidden))
    return channel, made


def update_channel(db: Session, actor: Actor, channel: Channel, change: ChannelUpdate, box: SecretBox) -> Channel:
    """Change a channel; secrets that come masked stay.

    Raises:
        ApiError: 409 if the name is taken, 422 for another kind or a secret that is missing.
    """
    try:
        stored = box.open(channel.secrets)
    except SealedError:
        stored = {}
    before = _audited_channel(channel, stored)
    hidden = stored
    if change.name is not None:
        _refuse_taken(db, Channel, change.name, channel.id)
        channel.name = change.name
    if change.enabled is not None:
        channel.enabled = change.enabled
    if change.settings is not None:
        if change.settings.kind != channel.kind:
            raise ApiError(422, f"a channel stays of its kind, {channel.kind}; add another", field="body.settings.kind")
        values, given = split(change.settings)
        hidden = unmasked(given, stored)
        if channel.kind == "webhook":
            hidden.setdefault("secret", stored.get("secret") or new_signing_secret())
        _check_secrets(channel.kind, values, hidden)
        channel.settings = values
        channel.secrets = box.seal(hidden)
    channel.updated_at = now()
    record(db, actor, "channel.update", channel.name, before=before, after=_audited_channel(channel, hidden))
    return channel


def delete_channel(db: Session, actor: Actor, channel: Channel, box: SecretBox) -> None:
    """Remove a channel; messages that wait for it are given up.

    Raises:
        ApiError: 409 while rules use it.
    """
    users = [rule.name for rule in db.scalars(select(Rule).order_by(Rule.name)) if channel.id in rule.channel_ids]
    if users:
        raise ApiError(409, f"the rules {', '.join(users)} use this channel; take it out of them first")
    record(db, actor, "channel.delete", channel.name, before=show_channel(channel, box).settings)
    db.delete(channel)


def send_test(db: Session, actor: Actor, channel: Channel, url: str) -> Delivery:
    """Put a test message on its way; it is tried for two minutes.

    Raises:
        ApiError: 409 if the channel is disabled.
    """
    if not channel.enabled:
        raise ApiError(409, "the channel is disabled; enable it first")
    at = now()
    payload = message(MessageKind.TEST, [], Route(url, _TEST_MESSAGE_TIME), at)
    delivery = outbox.enqueue(db, channel, payload, kind=MessageKind.TEST, at=at, give_up_after=_TEST_MESSAGE_TIME)
    db.flush()
    record(db, actor, "channel.test", channel.name, after={"delivery": delivery.id})
    return delivery


def get_rule(db: Session, rule_id: str, *, lock: bool = False) -> Rule:
    """One rule; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    rule = db.get(Rule, rule_id, with_for_update=lock or None)
    if rule is None:
        raise ApiError(404, f"no rule with the id {rule_id}")
    return rule


def create_rule(db: Session, actor: Actor, new: RuleCreate) -> Rule:
    """Add a rule.

    Raises:
        ApiError: 409 if the name is taken, 422 for an unknown channel.
    """
    _refuse_taken(db, Rule, new.name, "")
    _check_channels(db, new.channel_ids)
    rule = Rule(**new.model_dump(mode="json"), created_at=now(), updated_at=now())
    db.add(rule)
    db.flush()
    record(db, actor, "rule.create", rule.name, after=_audited_rule(rule))
    return rule


def update_rule(db: Session, actor: Actor, rule: Rule, change: RuleUpdate) -> Rule:
    """Change a rule.

    Raises:
        ApiError: 409 if the name is taken, 422 for an unknown channel or a repetition that is too quick.
    """
    values = {name: value for name, value in change.model_dump(mode="json").items() if value is not None}
    before = _audited_rule(rule)
    if "name" in values:
        _refuse_taken(db, Rule, values["name"], rule.id)
    if 0 < values.get("repeat", 0) < 60:
        raise ApiError(422, "repeat: 0 for never, or at least 60 seconds", field="body.repeat")
    _check_channels(db, values.get("channel_ids", []))
    for name, value in values.items():
        setattr(rule, name, value)
    rule.updated_at = now()
    record(db, actor, "rule.update", rule.name, before=before, after=_audited_rule(rule))
    return rule


def delete_rule(db: Session, actor: Actor, rule: Rule) -> None:
    """Remove a rule; alerts and messages stay."""
    record(db, actor, "rule.delete", rule.name, before=_audited_rule(rule))
    db.delete(rule)


def query_alerts(*, state: str, event: str, severity: str, agent: str, test: str) -> Select[Alert]:
    """Alerts that are open, closed or either, of a kind, of an agent or test."""
    query = select(Alert)
    if state != "all":
        query = query.where(Alert.closed_at.is_(None) if state == "open" else Alert.closed_at.is_not(None))
    for column, value in ((Alert.event, event), (Alert.severity, severity)):
        if value:
            query = query.where(column == value)
    for label, value in (("agent", agent), ("test", test)):
        if value:
            query = query.where(Alert.labels[label].as_string() == value)
    return query


def get_alert(db: Session, alert_id: str, *, lock: bool = False) -> Alert:
    """One alert; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    alert = db.get(Alert, alert_id, with_for_update=lock or None)
    if alert is None:
        raise ApiError(404, f"no alert with the id {alert_id}")
    return alert


def acknowledge(db: Session, actor: Actor, alert: Alert, comment: str) -> Alert:
    """Say who takes care of an alert; it is not repeated any more. Again, to change the comment.

    Raises:
        ApiError: 409 if it is closed.
    """
    if alert.closed_at is not None:
        raise ApiError(409, "the alert is closed already")
    alert.acknowledged_at = now()
    alert.acknowledged_by = actor.name
    alert.comment = comment
    record(db, actor, "alert.acknowledge", alert.summary, after={"id": alert.id, "comment": comment})
    return alert


def unacknowledge(db: Session, actor: Actor, alert: Alert) -> Alert:
    """Take an acknowledgement back."""
    if alert.acknowledged_at is not None:
        record(db, actor, "alert.unacknowledge", alert.summary, before={"id": alert.id, "by": alert.acknowledged_by})
    alert.acknowledged_at, alert.acknowledged_by, alert.comment = None, "", ""
    return alert


def query_silences(*, state: str) -> Select[Silence]:
    """Silences that hold, that are over, that are to come, or all."""
    query, at = select(Silence), now()
    match state:
        case "active":
            return query.where(Silence.starts_at <= at, Silence.ends_at > at)
        case "pending":
            return query.where(Silence.starts_at > at, Silence.ends_at > at)
        case "expired":
            return query.where(Silence.ends_at <= at)
        case _:
            return query


def get_silence(db: Session, silence_id: str, *, lock: bool = False) -> Silence:
    """One silence; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    silence = db.get(Silence, silence_id, with_for_update=lock or None)
    if silence is None:
        raise ApiError(404, f"no silence with the id {silence_id}")
    return silence


def create_silence(db: Session, actor: Actor, new: SilenceCreate) -> Silence:
    """Add a silence.

    Raises:
        ApiError: 422 if it ends before it starts, or has ended.
    """
    starts_at = new.starts_at or now()
    if new.ends_at <= max(starts_at, now()):
        raise ApiError(422, "ends_at: give a time after the start, and after now", field="body.ends_at")
    silence = Silence(
        matchers=[one.model_dump() for one in new.matchers],
        starts_at=starts_at,
        ends_at=new.ends_at,
        comment=new.comment,
        created_by=actor.name,
        created_at=now(),
    )
    db.add(silence)
    db.flush()
    record(db, actor, "silence.create", silence.id, after=_audited_silence(silence))
    return silence


def update_silence(db: Session, actor: Actor, silence: Silence, change: SilenceUpdate) -> Silence:
    """Change end or comment.

    Raises:
        ApiError: 422 if it would end before it starts; 409 if it is over.
    """
    if silence.ends_at <= now():
        raise ApiError(409, "the silence is over; add another")
    before = _audited_silence(silence)
    if change.ends_at is not None:
        if change.ends_at <= silence.starts_at:
            raise ApiError(422, "ends_at: give a time after the start", field="body.ends_at")
        silence.ends_at = change.ends_at
    silence.comment = change.comment or silence.comment
    record(db, actor, "silence.update", silence.id, before=before, after=_audited_silence(silence))
    return silence


def end_silence(db: Session, actor: Actor, silence: Silence) -> None:
    """End a silence now; that it was there stays known."""
    if silence.ends_at > now():
        record(db, actor, "silence.end", silence.id, before=_audited_silence(silence))
        silence.ends_at = now()
        silence.starts_at = min(silence.starts_at, silence.ends_at)


def query_deliveries(*, status: str, channel_id: str) -> Select[Delivery]:
    """Messages, of a status and a channel."""
    query = select(Delivery)
    if status:
        query = query.where(Delivery.status == status)
    return query.where(Delivery.channel_id == channel_id) if channel_id else query


def get_delivery(db: Session, delivery_id: str, *, lock: bool = False) -> Delivery:
    """One message; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    query = select(Delivery).where(Delivery.id == delivery_id)
    delivery = db.scalar(query.with_for_update() if lock else query)
    if delivery is None:
        raise ApiError(404, f"no delivery with the id {delivery_id}")
    return delivery


def retry_delivery(db: Session, actor: Actor, delivery: Delivery, give_up_after: timedelta) -> Delivery:
    """Try a message at once that waits or was given up.

    Raises:
        ApiError: 409 if it is delivered, being sent, or without a channel.
    """
    if delivery.status in {DeliveryStatus.DELIVERED, DeliveryStatus.SENDING}:
        raise ApiError(409, f"the message is {delivery.status}; only one that waits or is dead can be tried again")
    if delivery.channel_id is None:
        raise ApiError(409, "its channel was deleted; there is nowhere to send it to")
    outbox.retry(db, delivery, now(), give_up_after)
    record(db, actor, "delivery.retry", delivery.channel_name, after={"id": delivery.id})
    return delivery


def _refuse_taken(db: Session, table: type[Channel] | type[Rule], name: str, own_id: str) -> None:
    taken = db.scalar(select(table.id).where(table.name == name))
    if taken is not None and taken != own_id:
        raise ApiError(409, f"the name {name!r} is taken; choose another", field="body.name")


def _check_secrets(kind: str, values: dict[str, Any], hidden: dict[str, Any]) -> None:
    if kind == "slack" and not hidden.get("url"):
        raise ApiError(422, "give the URL of the incoming webhook", field="body.settings.url")
    if kind == "email" and bool(values["username"]) != bool(hidden.get("password")):
        raise ApiError(422, "give user name and password, or neither", field="body.settings.password")


def _check_channels(db: Session, channel_ids: list[str]) -> None:
    known = set(db.scalars(select(Channel.id).where(Channel.id.in_(channel_ids))))
    for channel_id in channel_ids:
        if channel_id not in known:
            raise ApiError(422, f"no channel with the id {channel_id}", field="body.channel_ids")


def _audited_channel(channel: Channel, hidden: dict[str, Any]) -> dict[str, Any]:
    return {"enabled": channel.enabled, **masked(channel.kind, channel.settings, hidden)}


def _audited_rule(rule: Rule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in _RULE_FIELDS}


def _audited_silence(silence: Silence) -> dict[str, Any]:
    return {
        "matchers": silence.matchers,
        "starts_at": silence.starts_at.isoformat(),
        "ends_at": silence.ends_at.isoformat(),
        "comment": silence.comment,
    }
