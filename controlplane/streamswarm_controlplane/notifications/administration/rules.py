"""Who is told of what, as users change it."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.lookup import get_or_404, names_of
from streamswarm_controlplane.notifications.administration.names import refuse_taken
from streamswarm_controlplane.notifications.models import Channel, Rule
from streamswarm_controlplane.notifications.schemas import RuleCreate, RuleFields, RuleUpdate
from streamswarm_controlplane.problems import ApiError
from streamswarm_core.clock import now

_RULE_FIELDS = tuple(RuleFields.model_fields)


def get_rule(db: Session, rule_id: str, *, lock: bool = False) -> Rule:
    """One rule; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    return get_or_404(db, Rule, rule_id, "rule", lock=lock)


def create_rule(db: Session, actor: Actor, new: RuleCreate) -> Rule:
    """Add a rule.

    Raises:
        ApiError: 409 if the name is taken, 422 for an unknown channel.
    """
    refuse_taken(db, Rule, new.name)
    _check_channels(db, new.channel_ids)
    rule = Rule(**new.model_dump(mode="json"), created_at=now(), updated_at=now())
    db.add(rule)
    db.flush()
    record(db, actor, "rule.create", rule.name, after=_audited_rule(db, rule))
    return rule


def update_rule(db: Session, actor: Actor, rule: Rule, change: RuleUpdate) -> Rule:
    """Change a rule.

    Raises:
        ApiError: 409 if the name is taken, 422 for an unknown channel or a repetition that is too quick.
    """
    values = change.model_dump(mode="json", exclude_unset=True)
    before = _audited_rule(db, rule)
    if "name" in values:
        refuse_taken(db, Rule, values["name"], rule.id)
    if 0 < values.get("repeat", 0) < 60:
        raise ApiError(422, "repeat: 0 for never, or at least 60 seconds", field="body.repeat")
    _check_channels(db, values.get("channel_ids", []))
    for name, value in values.items():
        setattr(rule, name, value)
    if db.is_modified(rule):
        rule.updated_at = now()
        record(db, actor, "rule.update", rule.name, before=before, after=_audited_rule(db, rule))
    return rule


def delete_rule(db: Session, actor: Actor, rule: Rule) -> None:
    """Remove a rule; alerts and messages stay."""
    record(db, actor, "rule.delete", rule.name, before=_audited_rule(db, rule))
    db.delete(rule)


def _check_channels(db: Session, channel_ids: list[str]) -> None:
    known = set(db.scalars(select(Channel.id).where(Channel.id.in_(channel_ids))))
    for channel_id in channel_ids:
        if channel_id not in known:
            raise ApiError(422, f"no channel with the id {channel_id}", field="body.channel_ids")


def _audited_rule(db: Session, rule: Rule) -> dict[str, Any]:
    """A rule with its channels by their names."""
    names = names_of(db, Channel.id, Channel.name, rule.channel_ids)
    values = {name: getattr(rule, name) for name in _RULE_FIELDS if name != "channel_ids"}
    return {**values, "channels": names}
