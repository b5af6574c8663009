from datetime import timedelta
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, status
from sqlalchemy import select

from streamswarm_controlplane.deps import Admin, Operator, SessionDep, SettingsDep, Viewer
from streamswarm_controlplane.dryrun import CAN_BE_TRIED, is_dry_run
from streamswarm_controlplane.etags import ChangingDep, ReadingDep
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.notifications.administration import alerts, channels, deliveries, rules, silences
from streamswarm_controlplane.notifications.events import DeliveryStatus, Event, Severity
from streamswarm_controlplane.notifications.models import Alert, Channel, Delivery, Rule, Silence
from streamswarm_controlplane.notifications.schemas import (
    Acknowledgement,
    AlertPublic,
    ChannelCreate,
    ChannelCreated,
    ChannelPublic,
    ChannelUpdate,
    DeliveryDetail,
    DeliveryPublic,
    RuleCreate,
    RulePublic,
    RuleUpdate,
    SilenceCreate,
    SilencePublic,
    SilenceUpdate,
)
from streamswarm_controlplane.notifications.secretbox import SecretBox
from streamswarm_controlplane.pages import Page, PageDep, PartOfName, having
from streamswarm_controlplane.users.roles import Role

router = APIRouter(tags=["notifications"], route_class=ApiRoute)


def _box(request: Request) -> SecretBox:
    box: SecretBox = request.app.state.secret_box
    return box


BoxDep = Annotated[SecretBox, Depends(_box)]


@router.get("/channels", summary="All channels")
def list_channels(
    db: SessionDep, page: PageDep, box: BoxDep, viewer: Viewer, q: PartOfName = ""
) -> Page[ChannelPublic]:
    """Ordered by name; secrets are asterisks, and for all but admins what follows the host in a webhook's URL."""
    query, whole = having(select(Channel), q, Channel.name), viewer.role.includes(Role.ADMIN)
    show = partial(channels.show_channel, box=box, whole=whole)
    return page.read(db, query, by=[Channel.name, Channel.id], show=show)


@router.post("/channels", dependencies=CAN_BE_TRIED, status_code=status.HTTP_201_CREATED, summary="Add a channel")
def create_channel(
    request: Request, body: ChannelCreate, db: SessionDep, box: BoxDep, admin: Admin, _once: OnceDep
) -> ChannelCreated:
    """A webhook's signing secret is in this answer if it was made here, and nowhere else."""
    channel, made = channels.create_channel(db, admin.actor, body, box)
    shown = None if is_dry_run(request) else made
    return ChannelCreated(signing_secret=shown, **channels.show_channel(channel, box).model_dump())


@router.get("/channels/{channel_id}", summary="One channel")
def get_channel(channel_id: str, db: SessionDep, box: BoxDep, reading: ReadingDep, viewer: Viewer) -> ChannelPublic:
    """By id; see the list for what is shown to whom."""
    whole = viewer.role.includes(Role.ADMIN)
    return reading.show(channels.show_channel(channels.get_channel(db, channel_id), box, whole=whole))


@router.patch("/channels/{channel_id}", dependencies=CAN_BE_TRIED, summary="Change a channel")
def update_channel(
    channel_id: str, body: ChannelUpdate, db: SessionDep, box: BoxDep, changing: ChangingDep, admin: Admin
) -> ChannelPublic:
    """Secrets that are sent as asterisks stay what they are."""
    channel = channels.get_channel(db, channel_id, lock=True)
    changing.check(channels.show_channel(channel, box))
    return changing.show(channels.show_channel(channels.update_channel(db, admin.actor, channel, body, box), box))


@router.delete(
    "/channels/{channel_id}",
    dependencies=CAN_BE_TRIED,
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove a channel",
)
def delete_channel(channel_id: str, db: SessionDep, box: BoxDep, changing: ChangingDep, admin: Admin) -> None:
    """Not while rules use it."""
    channel = channels.get_channel(db, channel_id, lock=True)
    changing.check(channels.show_channel(channel, box))
    channels.delete_channel(db, admin.actor, channel, box)


@router.post(
    "/channels/{channel_id}/test",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=DeliveryPublic,
    summary="Send a test message",
)
def send_test_message(channel_id: str, db: SessionDep, settings: SettingsDep, admin: Admin, _once: OnceDep) -> Delivery:
    """It goes the way of all messages; what came of it is in GET /deliveries/{id} a moment later."""
    return channels.send_test(db, admin.actor, channels.get_channel(db, channel_id), settings.url)


@router.get("/rules", summary="All rules")
def list_rules(db: SessionDep, page: PageDep, _viewer: Viewer, q: PartOfName = "") -> Page[RulePublic]:
    """Ordered by name. Every rule that fits an alert sends."""
    return page.read(db, having(select(Rule), q, Rule.name), by=[Rule.name, Rule.id], show=RulePublic.model_validate)


@router.post(
    "/rules",
    dependencies=CAN_BE_TRIED,
    status_code=status.HTTP_201_CREATED,
    response_model=RulePublic,
    summary="Add a rule",
)
def create_rule(body: RuleCreate, db: SessionDep, admin: Admin, _once: OnceDep) -> Rule:
    """It is about alerts that are open now, too."""
    return rules.create_rule(db, admin.actor, body)


@router.get("/rules/{rule_id}", summary="One rule")
def get_rule(rule_id: str, db: SessionDep, reading: ReadingDep, _viewer: Viewer) -> RulePublic:
    """By id."""
    return reading.show(RulePublic.model_validate(rules.get_rule(db, rule_id)))


@router.patch("/rules/{rule_id}", dependencies=CAN_BE_TRIED, summary="Change a rule")
def update_rule(rule_id: str, body: RuleUpdate, db: SessionDep, changing: ChangingDep, admin: Admin) -> RulePublic:
    """What is not given stays."""
    rule = rules.get_rule(db, rule_id, lock=True)
    changing.check(RulePublic.model_validate(rule))
    return changing.show(RulePublic.model_validate(rules.update_rule(db, admin.actor, rule, body)))


@router.delete(
    "/rules/{rule_id}", dependencies=CAN_BE_TRIED, status_code=status.HTTP_204_NO_CONTENT, summary="Remove a rule"
)
def delete_rule(rule_id: str, db: SessionDep, changing: ChangingDep, admin: Admin) -> None:
    """Alerts, and messages on their way, stay."""
    rule = rules.get_rule(db, rule_id, lock=True)
    changing.check(RulePublic.model_validate(rule))
    rules.delete_rule(db, admin.actor, rule)


@router.get("/alerts", summary="Alerts, open and past")
def list_alerts(
    db: SessionDep,
    page: PageDep,
    _viewer: Viewer,
    state: Annotated[Literal["open", "closed", "all"], Query(description="Which of them.")] = "open",
    event: Annotated[Event | None, Query(description="Only of this kind.")] = None,
    severity: Annotated[Severity | None, Query(description="Only of this severity.")] = None,
    agent: Annotated[str, Query(max_length=63, description="Only of this agent, by name.")] = "",
    test: Annotated[str, Query(max_length=63, description="Only of this test, by key.")] = "",
) -> Page[AlertPublic]:
    """Newest first."""
    query = alerts.query_alerts(state=state, event=event or "", severity=severity or "", agent=agent, test=test)
    return page.read(db, query, by=[Alert.opened_at, Alert.id], show=AlertPublic.model_validate, descending=True)


@router.get("/alerts/{alert_id}", summary="One alert")
def get_alert(alert_id: str, db: SessionDep, reading: ReadingDep, _viewer: Viewer) -> AlertPublic:
    """By id."""
    return reading.show(AlertPublic.model_validate(alerts.get_alert(db, alert_id)))


@router.post("/alerts/{alert_id}/acknowledge", response_model=AlertPublic, summary="Take care of an alert")
def acknowledge_alert(
    alert_id: str, body: Acknowledgement, db: SessionDep, operator: Operator, _once: OnceDep
) -> Alert:
    """It is not repeated any more; its end is told."""
    return alerts.acknowledge(db, operator.actor, alerts.get_alert(db, alert_id, lock=True), body.comment)


@router.delete("/alerts/{alert_id}/acknowledge", response_model=AlertPublic, summary="Take an acknowledgement back")
def unacknowledge_alert(alert_id: str, db: SessionDep, operator: Operator) -> Alert:
    """It is repeated again."""
    return alerts.unacknowledge(db, operator.actor, alerts.get_alert(db, alert_id, lock=True))


@router.get("/silences", summary="Silences")
def list_silences(
    db: SessionDep,
    page: PageDep,
    _viewer: Viewer,
    state: Annotated[Literal["active", "pending", "expired", "all"], Query(description="Which of them.")] = "all",
) -> Page[SilencePublic]:
    """Those that end last come first."""
    return page.read(
        db,
        silences.query_silences(state=state),
        by=[Silence.ends_at, Silence.id],
        show=SilencePublic.model_validate,
        descending=True,
    )


@router.post("/silences", status_code=status.HTTP_201_CREATED, response_model=SilencePublic, summary="Silence alerts")
def create_silence(body: SilenceCreate, db: SessionDep, operator: Operator, _once: OnceDep) -> Silence:
    """Alerts go on being opened and closed; nobody is told."""
    return silences.create_silence(db, operator.actor, body)


@router.get("/silences/{silence_id}", summary="One silence")
def get_silence(silence_id: str, db: SessionDep, reading: ReadingDep, _viewer: Viewer) -> SilencePublic:
    """By id."""
    return reading.show(SilencePublic.model_validate(silences.get_silence(db, silence_id)))


@router.patch("/silences/{silence_id}", summary="Change a silence")
def update_silence(
    silence_id: str, body: SilenceUpdate, db: SessionDep, changing: ChangingDep, operator: Operator
) -> SilencePublic:
    """Its end, or its comment."""
    silence = silences.get_silence(db, silence_id, lock=True)
    changing.check(SilencePublic.model_validate(silence))
    return changing.show(SilencePublic.model_validate(silences.update_silence(db, operator.actor, silence, body)))


@router.delete("/silences/{silence_id}", status_code=status.HTTP_204_NO_CONTENT, summary="End a silence")
def end_silence(silence_id: str, db: SessionDep, changing: ChangingDep, operator: Operator) -> None:
    """Now; that it was there stays known. Alerts that are still open are told."""
    silence = silences.get_silence(db, silence_id, lock=True)
    changing.check(SilencePublic.model_validate(silence))
    silences.end_silence(db, operator.actor, silence)


@router.get("/deliveries", summary="Messages")
def list_deliveries(
    db: SessionDep,
    page: PageDep,
    _viewer: Viewer,
    state: Annotated[DeliveryStatus | None, Query(alias="status", description="Only of this status.")] = None,
    channel_id: Annotated[str, Query(max_length=64, description="Only of this channel.")] = "",
) -> Page[DeliveryPublic]:
    """Newest first, the delivered ones and those that were given up too."""
    query = deliveries.query_deliveries(status=state or "", channel_id=channel_id)
    return page.read(db, query, by=[Delivery.number], show=DeliveryPublic.model_validate, descending=True)


@router.get("/deliveries/{delivery_id}", summary="One message")
def get_delivery(delivery_id: str, db: SessionDep, reading: ReadingDep, _viewer: Viewer) -> DeliveryDetail:
    """With what it says."""
    return reading.show(DeliveryDetail.model_validate(deliveries.get_delivery(db, delivery_id)))


@router.post("/deliveries/{delivery_id}/retry", response_model=DeliveryPublic, summary="Try a message again")
def retry_delivery(
    delivery_id: str, db: SessionDep, settings: SettingsDep, operator: Operator, _once: OnceDep
) -> Delivery:
    """At once, and with the same id."""
    delivery = deliveries.get_delivery(db, delivery_id, lock=True)
    return deliveries.retry_delivery(db, operator.actor, delivery, timedelta(hours=settings.give_up_hours))
