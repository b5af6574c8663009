"""No two tests are called alike, but for those that were before that was refused."""

import uuid

from sqlalchemy import update

from streamswarm_controlplane.testplans import models as testplans
from tests.unit.controlplane.conftest import Client, database_of
from tests.unit.controlplane.plans import add_test, items, try_test


def twins(admin: Client) -> tuple[dict[str, str], dict[str, str]]:
    """Two tests with one name, as an upgrade finds them."""
    older, newer = add_test(admin, name="Head office", key="older"), add_test(admin, name="other", key="newer")
    with database_of(admin).session() as db:
        row = update(testplans.TestPlan).where(testplans.TestPlan.id == newer["id"])
        db.execute(row.values(name="Head office", name_key=None))
    return older, newer


def test_a_second_test_of_a_name_is_refused_and_the_first_is_named(admin: Client) -> None:
    add_test(admin, name="Head office", target="192.0.2.1")
    for name in ("Head office", "head  OFFICE "):
        answer = try_test(admin, name=name, target="192.0.2.2")
        assert answer.status_code == 409
        assert "head-office (icmp to 192.0.2.1) is called 'Head office' already" in answer.json()["detail"]
        assert answer.json()["errors"][0]["field"] == "body.name"
    assert len(items(admin, "/tests")) == 1


def test_a_test_keeps_its_own_name_and_takes_no_other_ones(admin: Client) -> None:
    office, branch = add_test(admin, name="Head office"), add_test(admin, name="Branch")
    change = admin.http.patch
    assert change(f"/tests/{office['id']}", json={"name": "HEAD OFFICE", "interval": 5}).json()["name"] == "HEAD OFFICE"
    assert change(f"/tests/{branch['id']}", json={"name": "Head office", "interval": 5}).status_code == 409
    assert admin.http.get(f"/tests/{branch['id']}").json()["interval"] == 30
    change(f"/tests/{office['id']}", json={"name": "Central office"}).raise_for_status()
    change(f"/tests/{branch['id']}", json={"name": "Head office"}).raise_for_status()


def test_a_name_is_free_again_when_its_test_is_deleted(admin: Client) -> None:
    made = add_test(admin, name="Head office")
    admin.http.delete(f"/tests/{made['id']}").raise_for_status()
    assert try_test(admin, name="Head office").status_code == 201


def test_copies_of_one_test_get_names_of_their_own_however_long_it_is(admin: Client) -> None:
    for name in ("Head office", "x" * 100):
        made = add_test(admin, name=name)
        copies = [admin.http.post(f"/tests/{made['id']}/clone", json={}).json() for _ in range(2)]
        of_copy = admin.http.post(f"/tests/{copies[0]['id']}/clone", json={}).json()
        assert [one["name"] for one in (*copies, of_copy)] == [
            name[: 100 - len(ending)] + ending for ending in (" (copy)", " (copy 2)", " (copy 3)")
        ]
    assert admin.http.post(f"/tests/{made['id']}/clone", json={"name": "Head office"}).status_code == 409


def test_tests_that_share_a_name_from_before_are_changed_freely_but_nobody_joins_them(admin: Client) -> None:
    older, newer = twins(admin)
    for one in (older, newer):
        same = {"name": "Head office", "interval": 7}
        assert admin.http.patch(f"/tests/{one['id']}", json=same).json()["interval"] == 7
    admin.http.delete(f"/tests/{older['id']}").raise_for_status()
    refused = try_test(admin, name="Head office", key="third")
    assert refused.status_code == 409
    assert "the test newer" in refused.json()["detail"]
    admin.http.patch(f"/tests/{newer['id']}", json={"name": "Branch"}).raise_for_status()
    assert try_test(admin, name="Head office", key="third").status_code == 201
    assert try_test(admin, name="Branch", key="fourth").status_code == 409


def test_a_request_that_is_sent_again_gets_its_first_answer_and_no_word_of_its_own_name(admin: Client) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"name": "Head office", "probe": "icmp", "target": "127.0.0.1"}
    first, again = (admin.http.post("/tests", json=body, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    refused_key = {"Idempotency-Key": str(uuid.uuid4())}
    assert admin.http.post("/tests", json=body, headers=refused_key).status_code == 409
    assert admin.http.post("/tests", json={**body, "name": "Branch"}, headers=refused_key).status_code == 201


def test_a_key_is_made_of_letters_of_other_alphabets_as_far_as_they_have_a_likeness(admin: Client) -> None:
    assert [add_test(admin, name=name)["key"] for name in ("Weiße Größe", "İzmir", "東京")] == [
        "weisse-grosse",
        "izmir",
        "test",
    ]
