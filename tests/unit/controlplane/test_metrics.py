from streamswarm_controlplane.notifications.events import DeliveryStatus, Event, MessageKind, Severity
from streamswarm_controlplane.notifications.models import Alert, Delivery
from streamswarm_core.clock import now
from tests.support import metrics
from tests.unit.controlplane.conftest import Client, database_of


def test_requests_are_timed_by_route_and_status_and_ids_make_no_series(admin: Client) -> None:
    for number in range(3):
        admin.http.get(f"/tests/no-such-{number}")
    admin.http.get("/nowhere")
    admin.http.request("LOOK", "/tests")
    found = metrics(admin.url)
    count = "streamswarm_controlplane_request_duration_seconds_count"
    assert found[count, "GET", "/tests/{test_id}", "404"] == 3
    assert found[count, "GET", "none", "404"] == 1
    assert found[count, "POST", "/auth/login", "200"] == 1
    assert not any("no-such" in label or label == "LOOK" for labels in found for label in labels)
    assert found[("streamswarm_controlplane_database_statement_duration_seconds_count",)] > 0


def test_open_alerts_and_waiting_messages_are_counted(admin: Client) -> None:
    times = dict.fromkeys(("created_at", "next_attempt_at", "give_up_at"), now())
    with database_of(admin).session() as db:
        what = {"event": Event.STORE_UNAVAILABLE, "severity": Severity.INFO, "summary": "x", "labels": {}}
        db.add(Alert(fingerprint="x", open_key="x", opened_at=now(), seen_at=now(), **what))
        db.add(Alert(fingerprint="y", opened_at=now(), seen_at=now(), closed_at=now(), **what))
        for status in (DeliveryStatus.DELIVERED, DeliveryStatus.DEAD):
            db.add(Delivery(channel_name="x", kind=MessageKind.TEST, status=status, **times))
    found = metrics(admin.url)
    assert found["streamswarm_controlplane_alerts_open", "info"] == 1
    assert found["streamswarm_controlplane_alerts_open", "warning"] == 0
    assert found[("streamswarm_controlplane_outbox_messages",)] == 0
    assert found[("streamswarm_controlplane_outbox_oldest_seconds",)] == 0
    with database_of(admin).session() as db:
        later = {**times, "next_attempt_at": now().replace(year=2999), "created_at": now().replace(year=2020)}
        db.add(Delivery(channel_name="x", kind=MessageKind.TEST, status=DeliveryStatus.PENDING, **later))
    found = metrics(admin.url)
    assert found[("streamswarm_controlplane_outbox_messages",)] == 1
    assert found[("streamswarm_controlplane_outbox_oldest_seconds",)] > 365 * 86_400
