"""Where alerts are sent, as users change it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import MASK, Actor, record
from streamswarm_controlplane.lookup import get_or_404
from streamswarm_controlplane.notifications import outbox
from streamswarm_controlplane.notifications.administration.names import refuse_taken
from streamswarm_controlplane.notifications.channels import Webhook, masked, origin_of, split, unmasked
from streamswarm_controlplane.notifications.events import MessageKind
from streamswarm_controlplane.notifications.models import Channel, Delivery, Rule
from streamswarm_controlplane.notifications.routing import Route, message
from streamswarm_controlplane.notifications.schemas import ChannelCreate, ChannelPublic, ChannelUpdate
from streamswarm_controlplane.notifications.secretbox import SealedError, SecretBox
from streamswarm_controlplane.notifications.signing import new_signing_secret
from streamswarm_controlplane.problems import ApiError
from streamswarm_core.clock import now

_TEST_MESSAGE_TIME = timedelta(minutes=2)


def show_channel(channel: Channel, box: SecretBox, *, whole: bool = True) -> ChannelPublic:
    """The channel as users see it; unless `whole`, of a webhook's URL only where it leads: the rest may be a secret."""
    try:
        hidden = box.open(channel.secrets)
    except SealedError:
        hidden = {}
    columns = {name: getattr(channel, name) for name in ChannelPublic.model_fields if name != "settings"}
    settings = masked(channel.kind, channel.settings, hidden)
    if not whole and channel.kind == "webhook":
        settings["url"] = f"{origin_of(settings['url'])}/{MASK}"
    return ChannelPublic(settings=settings, **columns)


def get_channel(db: Session, channel_id: str, *, lock: bool = False) -> Channel:
    """One channel; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    return get_or_404(db, Channel, channel_id, "channel", lock=lock)


def create_channel(db: Session, actor: Actor, new: ChannelCreate, box: SecretBox) -> tuple[Channel, str | None]:
    """Add a channel; returns it with its signing secret, if one was made.

    Raises:
        ApiError: 409 if the name is taken, 422 for a secret that is missing.
    """
    refuse_taken(db, Channel, new.name)
    values, hidden = split(new.settings)
    _put_url_back(values, {})
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
        ApiError: 409 if the name is taken, 422 for another kind, a secret that is missing, or one that would be
            shown to another host.
    """
    try:
        stored, readable = box.open(channel.secrets), True
    except SealedError:
        stored, readable = {}, False
    before = _audited_channel(channel, stored)
    hidden = stored
    if change.name is not None:
        refuse_taken(db, Channel, change.name, channel.id)
        channel.name = change.name
    if change.enabled is not None:
        channel.enabled = change.enabled
    if change.settings is not None:
        if change.settings.kind != channel.kind:
            raise ApiError(422, f"a channel stays of its kind, {channel.kind}; add another", field="body.settings.kind")
        values, given = split(change.settings)
        _put_url_back(values, channel.settings)
        _refuse_moved(channel, values, given)
        hidden = unmasked(given, stored)
        if channel.kind == "webhook":
            hidden.setdefault("secret", stored.get("secret") or new_signing_secret())
        _check_secrets(channel.kind, values, hidden)
        channel.settings = values
        if hidden != stored or not readable:
            channel.secrets = box.seal(hidden)
    if db.is_modified(channel):
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


def _check_secrets(kind: str, values: dict[str, Any], hidden: dict[str, Any]) -> None:
    if kind == "slack" and not hidden.get("url"):
        raise ApiError(422, "give the URL of the incoming webhook", field="body.settings.url")
    if kind == "email" and bool(values["username"]) != bool(hidden.get("password")):
        raise ApiError(422, "give user name and password, or neither", field="body.settings.password")


def _put_url_back(values: dict[str, Any], stored: Mapping[str, Any]) -> None:
    """Who isn't shown a webhook's whole URL sends back as much as they know.

    Raises:
        ApiError: 422 if there is none at this host.
    """
    url = values.get("url", "")
    if url != f"{origin_of(url)}/{MASK}":
        return
    if origin_of(url) != origin_of(stored.get("url", "")):
        field = "body.settings.url"
        raise ApiError(422, f"{field}: {MASK} stands for what isn't shown of the URL; write it", field=field)
    values["url"] = stored["url"]


def _refuse_moved(channel: Channel, values: dict[str, Any], given: dict[str, Any]) -> None:
    """Keep stored secrets from being shown to somewhere they were not meant for.

    A signing secret is never shown, and a chat's URL is where it leads.
    """
    before, after = (_destination(channel.kind, one) for one in (channel.settings, values))
    if before == after:
        return
    masked_headers = [name for name, value in given.get("headers", {}).items() if value == MASK]
    fields = [*(["password"] if given.get("password") == MASK else []), *(f"headers.{name}" for name in masked_headers)]
    if fields:
        raise ApiError(
            422,
            f"body.settings.{fields[0]}: what it is shown to changes from {before} to {after}, so give it again",
            field=f"body.settings.{fields[0]}",
        )


def _destination(kind: str, values: dict[str, Any]) -> str:
    """Who is shown a channel's secrets, and how."""
    match kind:
        case "webhook":
            return origin_of(values["url"])
        case "email":
            return f"{values['host'].lower()}:{values['port']} ({values['security']})"
        case _:
            return ""


def _audited_channel(channel: Channel, hidden: dict[str, Any]) -> dict[str, Any]:
    return {"enabled": channel.enabled, **masked(channel.kind, channel.settings, hidden)}
