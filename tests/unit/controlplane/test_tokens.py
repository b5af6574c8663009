"""Personal tokens: what they may do, and for how long."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from streamswarm_controlplane.tokens.models import ApiToken
from streamswarm_core.clock import now
from tests.unit.controlplane.conftest import PASSWORD, Client, add_user, database_of


def make(client: Client, scope: str = "read", **more: Any) -> dict[str, Any]:
    answer = client.http.post("/auth/tokens", json={"name": f"{scope} script", "scope": scope, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def bearer(client: Client, secret: str) -> httpx.Client:
    """A script with a token, and no cookie."""
    script = httpx.Client(base_url=f"{client.url}/api/v1", headers={"Authorization": f"Bearer {secret}"}, timeout=20)
    Client.opened.append(script)
    return script


def test_a_token_needs_no_csrf_token_and_does_what_its_scope_says(admin: Client) -> None:
    for scope, expected in {"read": [200, 403, 403], "operate": [200, 201, 403], "admin": [200, 201, 200]}.items():
        script = bearer(admin, make(admin, scope)["token"])
        body = {"name": scope, "probe": "icmp", "target": "127.0.0.1"}
        answers = [script.get("/tests"), script.post("/tests", json=body), script.get("/users")]
        assert [answer.status_code for answer in answers] == expected, scope
    assert "the token's scope is read" in bearer(admin, make(admin)["token"]).get("/users").json()["detail"]


def test_a_token_never_may_more_than_its_user_at_the_time(admin: Client) -> None:
    olga = add_user(admin, "olga", "operator")
    script = bearer(admin, make(olga, "operate")["token"])
    me = script.get("/auth/me").json()
    assert (me["method"], me["scope"], me["csrf_token"]) == ("token", "operate", None)
    assert script.get("/enrolment-tokens").status_code == 200
    admin.http.patch(f"/users/{me['id']}", json={"role": "viewer"}).raise_for_status()
    assert script.get("/enrolment-tokens").status_code == 403
    assert script.get("/tests").status_code == 200
    admin.http.patch(f"/users/{me['id']}", json={"active": False}).raise_for_status()
    assert script.get("/tests").status_code == 401


def test_nobody_makes_a_token_beyond_their_role(admin: Client) -> None:
    vera = add_user(admin, "vera", "viewer")
    answer = vera.http.post("/auth/tokens", json={"name": "x", "scope": "operate"})
    assert answer.status_code == 403
    assert "needs the role operator" in answer.json()["detail"]


def test_a_token_makes_and_renews_only_tokens_of_its_own_scope_and_life(admin: Client) -> None:
    strong = make(admin, "admin")
    short = make(admin, "operate", expires_in_days=1)
    script = bearer(admin, short["token"])
    assert script.post("/auth/tokens", json={"name": "x", "scope": "admin"}).status_code == 403
    assert script.post(f"/auth/tokens/{strong['id']}/regenerate").status_code == 403
    assert script.delete(f"/auth/tokens/{strong['id']}").status_code == 403
    child = script.post("/auth/tokens", json={"name": "x", "scope": "read", "expires_in_days": 30}).json()
    assert child["expires_at"] == short["expires_at"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/auth/password", {"old_password": PASSWORD, "new_password": "some other long sentence"}),
        ("PATCH", "/auth/me", {"email": "kim@example.org"}),
        ("POST", "/auth/logout", None),
        ("DELETE", "/auth/sessions", None),
    ],
)
def test_no_token_gets_at_password_profile_or_sessions(
    admin: Client, method: str, path: str, body: dict[str, str] | None
) -> None:
    script = bearer(admin, make(admin, "admin")["token"])
    answer = script.request(method, path, json=body)
    assert answer.status_code == 403
    assert "no token can do it" in answer.json()["detail"]
    assert admin.http.get("/auth/me").status_code == 200


def test_regenerating_keeps_the_id_and_kills_the_old_secret_at_once(admin: Client) -> None:
    first = make(admin, "operate")
    second = admin.http.post(f"/auth/tokens/{first['id']}/regenerate").json()
    assert (second["id"], second["scope"], second["expires_at"]) == (first["id"], "operate", first["expires_at"])
    assert bearer(admin, first["token"]).get("/tests").status_code == 401
    assert bearer(admin, second["token"]).get("/tests").status_code == 200


def test_a_revoked_or_expired_token_is_refused_even_beside_a_good_cookie(admin: Client) -> None:
    revoked, expired = make(admin), make(admin)
    admin.http.delete(f"/auth/tokens/{revoked['id']}").raise_for_status()
    with database_of(admin).session() as db:
        db.get_one(ApiToken, expired["id"]).expires_at = now() - timedelta(seconds=1)
    for secret in (revoked["token"], expired["token"], "sst_nonsense", "x"):
        answer = admin.http.get("/tests", headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_tokens_are_stored_hashed_and_shown_once(admin: Client) -> None:
    made = make(admin)
    (listed,) = admin.http.get("/auth/tokens").json()["items"]
    assert "token" not in listed
    with database_of(admin).session() as db:
        stored = db.get_one(ApiToken, made["id"])
        assert made["token"] not in repr(vars(stored))
        assert len(stored.token_hash) == 64


def test_the_last_use_is_written_once_a_minute(admin: Client) -> None:
    made = make(admin)
    script = bearer(admin, made["token"])

    def used() -> datetime:
        script.get("/tests").raise_for_status()
        return datetime.fromisoformat(admin.http.get("/auth/tokens").json()["items"][0]["last_used_at"])

    first = used()
    assert used() == first
    with database_of(admin).session() as db:
        db.get_one(ApiToken, made["id"]).last_used_at = now() - timedelta(seconds=61)
    assert used() > first


def test_tokens_rest_while_a_password_change_is_due(admin: Client) -> None:
    kim = add_user(admin, "kim", "viewer")
    script = bearer(admin, make(kim)["token"])
    kim_id = script.get("/auth/me").json()["id"]
    admin.http.post(f"/users/{kim_id}/reset-password").raise_for_status()
    refusal = script.get("/tests")
    assert (refusal.status_code, refusal.json()["type"]) == (403, "urn:streamswarm:problem:password-change-required")


def test_others_tokens_are_an_admins_to_see_and_revoke_and_nobody_elses(admin: Client) -> None:
    kim, lee = add_user(admin, "kim", "viewer"), add_user(admin, "lee", "viewer")
    token = make(kim)
    kim_id = kim.http.get("/auth/me").json()["id"]
    assert lee.http.delete(f"/auth/tokens/{token['id']}").status_code == 404
    assert lee.http.get(f"/users/{kim_id}/tokens").status_code == 403
    assert [one["id"] for one in admin.http.get(f"/users/{kim_id}/tokens").json()["items"]] == [token["id"]]
    assert admin.http.delete(f"/users/{kim_id}/tokens/{token['id']}").status_code == 204
    assert bearer(kim, token["token"]).get("/tests").status_code == 401


def test_what_a_token_does_is_told_from_what_its_user_does(admin: Client) -> None:
    body = {"name": "by script", "probe": "icmp", "target": "127.0.0.1"}
    bearer(admin, make(admin, "operate")["token"]).post("/tests", json=body).raise_for_status()
    (entry,) = admin.http.get("/audit", params={"action": "test.create"}).json()["items"]
    assert (entry["actor"], entry["via"]) == ("admin", "operate script")


def test_the_longest_life_is_the_configurations(admin: Client) -> None:
    admin.http.put("/config/api_token_days", json={"value": 7}).raise_for_status()
    answer = admin.http.post("/auth/tokens", json={"name": "x", "expires_in_days": 8})
    assert answer.status_code == 422
    assert "7 days at most" in answer.json()["detail"]
    expires = datetime.fromisoformat(make(admin)["expires_at"])
    assert expires < now() + timedelta(days=7, minutes=1)
