"""Single sign-on at a provider of our own, which is a real server: what it may say, and what it may not."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.users.roles import Role
from tests.support import find_free_port, serve_app
from tests.unit.controlplane import conftest
from tests.unit.controlplane.conftest import PASSWORD, Client, add_user, database_of
from tests.unit.controlplane.openid import CLIENT_ID, CLIENT_SECRET, OpenIdProvider


@pytest.fixture
def provider() -> Iterator[OpenIdProvider]:
    provider = OpenIdProvider()
    with serve_app(provider.app()) as url:
        provider.url = url
        yield provider


@pytest.fixture
def settings(settings: ControlPlaneSettings, provider: OpenIdProvider) -> ControlPlaneSettings:
    return ControlPlaneSettings(
        data=settings.data,
        database_url=settings.database_url,
        store_url=settings.store_url,
        port=find_free_port(),
        oidc_issuer=provider.url,
        oidc_client_id=CLIENT_ID,
        oidc_client_secret=CLIENT_SECRET,
        oidc_role_claim="groups",
        oidc_roles={"noc": Role.OPERATOR, "lords": Role.ADMIN},
        oidc_default_role=Role.VIEWER,
    )


class Browser:
    """Follows redirects by hand: here, to the provider, and back here."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=20)
        Client.opened.append(self.http)

    def begin(self, path: str = "/") -> str:
        """To the provider and back; returns the callback's URL on this control plane."""
        here = self.http.get("/api/v1/auth/oidc/login", params={"next": path})
        assert here.status_code == 303, here.text
        back = httpx.get(here.headers["location"]).headers["location"]
        return re.sub(r"^https?://[^/]+", "", back)

    def log_in(self, path: str = "/") -> httpx.Response:
        return self.http.get(self.begin(path))

    def me(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get("/api/v1/auth/me").json()
        return answer


@pytest.fixture
def browser(url: str) -> Browser:
    return Browser(url)


def test_the_first_login_makes_a_user_with_the_role_of_the_claim(browser: Browser, provider: OpenIdProvider) -> None:
    provider.claims |= {"name": "Kim Meier", "groups": ["staff", "noc"]}
    page = browser.log_in("/tests?x=1")
    assert page.status_code == 200
    assert 'content="0;url=/tests?x=1"' in page.text
    cookie = page.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    me = browser.me()
    assert (me["username"], me["display_name"], me["email"], me["role"], me["method"], me["must_change_password"]) == (
        "kim",
        "Kim Meier",
        "kim@example.org",
        "operator",
        "oidc",
        False,
    )
    asked = provider.requests[0]
    assert (asked["response_type"], asked["code_challenge_method"], asked["scope"]) == (
        "code",
        "S256",
        "openid profile email",
    )


def test_the_role_follows_the_claim_with_every_login(browser: Browser, provider: OpenIdProvider) -> None:
    roles = []
    for groups in (["lords"], "noc", [], None, ["noc", "lords"]):
        provider.claims["groups"] = groups
        browser.log_in()
        roles.append(browser.me()["role"])
    assert roles == ["admin", "operator", "viewer", "viewer", "admin"]


def test_the_last_admin_stays_one_whatever_the_provider_says(
    admin: Client, browser: Browser, provider: OpenIdProvider
) -> None:
    me = admin.http.get("/auth/me").json()
    identity = {"issuer": provider.url, "subject": "u-1"}
    admin.http.post(f"/users/{me['id']}/identities", json=identity).raise_for_status()
    provider.claims["groups"] = ["noc"]
    assert browser.log_in().status_code == 200
    assert (browser.me()["username"], browser.me()["role"]) == ("admin", "admin")
    add_user(admin, "other", "admin")
    browser.log_in()
    assert browser.me()["role"] == "operator"


def test_a_claim_that_is_missing_is_asked_for_at_userinfo(browser: Browser, provider: OpenIdProvider) -> None:
    provider.userinfo = {"groups": ["lords"]}
    browser.log_in()
    assert browser.me()["role"] == "admin"


def test_an_account_of_the_same_name_or_mail_is_never_taken_over(
    admin: Client, browser: Browser, provider: OpenIdProvider
) -> None:
    add_user(admin, "KIM", "operator")
    refused = browser.log_in()
    assert (refused.status_code, "ask an admin to link" in refused.json()["detail"]) == (409, True)
    assert browser.http.get("/api/v1/auth/me").status_code == 401
    admin.http.patch("/auth/me", json={"email": "kim@example.org"}).raise_for_status()
    provider.claims["preferred_username"] = "kim2"
    browser.log_in()
    assert browser.me()["username"] == "kim2"


def test_the_same_subject_of_another_issuer_is_somebody_else(admin: Client, browser: Browser) -> None:
    me = admin.http.get("/auth/me").json()
    identity = {"issuer": "https://other.example.org", "subject": "u-1"}
    admin.http.post(f"/users/{me['id']}/identities", json=identity).raise_for_status()
    browser.log_in()
    assert browser.me()["username"] == "kim"


Twist = Callable[[dict[str, Any]], dict[str, Any]]
TWISTS: dict[str, Twist] = {
    "wrong nonce": lambda claims: claims | {"nonce": "another"},
    "no nonce": lambda claims: {name: value for name, value in claims.items() if name != "nonce"},
    "wrong audience": lambda claims: claims | {"aud": "somebody-else"},
    "several audiences without azp": lambda claims: claims | {"aud": [CLIENT_ID, "other"]},
    "authorised for another": lambda claims: claims | {"azp": "other"},
    "wrong issuer": lambda claims: claims | {"iss": "https://evil.example.org"},
    "expired": lambda claims: claims | {"exp": int(time.time()) - 120, "iat": int(time.time()) - 400},
    "no expiry": lambda claims: {name: value for name, value in claims.items() if name != "exp"},
    "from the future": lambda claims: claims | {"nbf": int(time.time()) + 600},
    "no subject": lambda claims: claims | {"sub": ""},
    "wrong access token hash": lambda claims: claims | {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


@pytest.mark.parametrize("name", TWISTS)
def test_an_id_token_that_says_anything_wrong_lets_nobody_in(
    browser: Browser, provider: OpenIdProvider, name: str
) -> None:
    provider.twist = TWISTS[name]
    refused_page(browser)


@pytest.mark.parametrize("how", ["another key", "alg none", "public key as a shared secret", "client secret", "junk"])
def test_an_id_token_that_the_provider_did_not_sign_lets_nobody_in(
    browser: Browser, provider: OpenIdProvider, how: str
) -> None:
    def shared(secret: str | bytes) -> Callable[[dict[str, Any]], str]:
        return lambda claims: jwt.encode({"alg": "HS256", "kid": "one"}, claims, OctKey.import_key(secret))

    provider.sign = {
        "another key": lambda claims: provider.signed(claims, RSAKey.generate_key(2048, {"kid": "one"})),
        "alg none": provider.unsigned,
        "public key as a shared secret": shared(provider.key.as_pem(private=False).replace(b"-----", b"     ")),
        "client secret": shared(CLIENT_SECRET),
        "junk": lambda _claims: "not.a.token",
    }[how]
    refused_page(browser)


def refused_page(browser: Browser) -> None:
    answer = browser.log_in()
    assert answer.status_code == 401, answer.text
    assert "single sign-on failed" in answer.json()["detail"]
    assert browser.http.get("/api/v1/auth/me").status_code == 401


def test_a_browser_gets_a_page_that_says_why_and_leads_back(browser: Browser, provider: OpenIdProvider) -> None:
    provider.twist = TWISTS["wrong nonce"]
    answer = browser.http.get(browser.begin(), headers={"Accept": "text/html,*/*"})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "single sign-on failed" in answer.text
    assert 'href="/login"' in answer.text


def test_a_key_that_the_provider_has_changed_to_is_fetched(browser: Browser, provider: OpenIdProvider) -> None:
    assert browser.log_in().status_code == 200
    provider.key = RSAKey.generate_key(2048, {"kid": "two"})
    provider.sign = lambda claims: provider.signed(claims, kid="two")
    assert browser.log_in().status_code == 200


def test_a_state_is_good_once_and_in_the_browser_that_began_only(browser: Browser, url: str) -> None:
    callback = browser.begin()
    assert Browser(url).http.get(callback).status_code == 401, "another browser: a forged login"
    assert browser.http.get(callback).status_code == 401, "used up by the attempt"
    again = browser.begin()
    assert browser.http.get(again).status_code == 200
    assert browser.http.get(again).status_code == 401, "a second time"
    assert browser.http.get("/api/v1/auth/oidc/callback?code=x&state=made-up").status_code == 401


def test_what_nobody_has_begun_leaves_nothing_in_the_audit_log(admin: Client, browser: Browser) -> None:
    """Its entries stay for ever, and this page is for everybody."""
    for number in range(3):
        refused = browser.http.get("/api/v1/auth/oidc/callback", params={"state": f"made-up-{number}", "code": "x"})
        assert refused.status_code == 401
    failed = "/audit?action=auth.login_failed"
    assert admin.http.get(failed).json()["items"] == []
    begun = browser.begin()
    browser.http.get(begun.replace("code=", "code=wrong"))
    assert len(admin.http.get(failed).json()["items"]) == 1


def test_a_code_of_another_login_does_not_fit_the_verifier(
    browser: Browser, provider: OpenIdProvider, url: str
) -> None:
    stolen = httpx.URL(Browser(url).begin()).params["code"]
    own = httpx.URL(browser.begin())
    assert browser.http.get(own.path, params={"code": stolen, "state": own.params["state"]}).status_code == 401
    assert provider.refusals == ["the verifier doesn't fit the challenge"]


@pytest.mark.parametrize("path", ["//evil.example.org", "/\\evil.example.org", "https://evil.example.org", "evil", ""])
def test_nobody_is_sent_to_another_site_afterwards(browser: Browser, path: str) -> None:
    assert 'content="0;url=/"' in browser.log_in(path).text


def test_a_deactivated_user_and_one_without_a_role_stay_out(
    admin: Client, browser: Browser, settings: ControlPlaneSettings
) -> None:
    browser.log_in()
    kim = browser.me()["id"]
    admin.http.patch(f"/users/{kim}", json={"active": False}).raise_for_status()
    refused = browser.log_in()
    assert (refused.status_code, "deactivated" in refused.json()["detail"]) == (403, True)
    with serve_app(create_app(settings.model_copy(update={"oidc_default_role": None}))) as url:
        stranger = Browser(url)
        assert stranger.log_in().status_code == 403


def test_nobody_is_made_where_that_is_off_until_an_admin_links_them(
    admin: Client, settings: ControlPlaneSettings, provider: OpenIdProvider
) -> None:
    lee = add_user(admin, "lee", "viewer").http.get("/auth/me").json()["id"]
    with serve_app(create_app(settings.model_copy(update={"oidc_create_users": False}))) as url:
        browser = Browser(url)
        assert "ask an admin to link" in browser.log_in().json()["detail"]
        identity = {"issuer": provider.url, "subject": "u-1"}
        assert admin.http.post(f"/users/{lee}/identities", json=identity).status_code == 201
        assert admin.http.post(f"/users/{lee}/identities", json=identity).status_code == 409
        assert browser.log_in().status_code == 200
        assert browser.me()["username"] == "lee"
    assert admin.http.delete(f"/users/{lee}/identities", params=identity).status_code == 204
    assert admin.http.get(f"/users/{lee}/identities").json()["items"] == []


def test_logging_out_says_where_to_log_out_at_the_provider(browser: Browser, provider: OpenIdProvider) -> None:
    browser.log_in()
    answer = browser.http.post("/api/v1/auth/logout", headers={"X-CSRF-Token": browser.me()["csrf_token"]})
    assert answer.status_code == 200
    assert answer.json()["end_session_url"].startswith(f"{provider.url}/logout?client_id=streamswarm&")
    assert browser.http.get("/api/v1/auth/me").status_code == 401


def test_who_comes_by_single_sign_on_has_no_password_to_guess_or_change(
    admin: Client, browser: Browser, url: str
) -> None:
    browser.log_in()
    assert Client(url).log_in("kim", "").status_code in {401, 422}
    assert Client(url).log_in("kim", PASSWORD).status_code == 401
    headers = {"X-CSRF-Token": browser.me()["csrf_token"]}
    body = {"old_password": "x", "new_password": PASSWORD}
    assert browser.http.post("/api/v1/auth/password", json=body, headers=headers).status_code == 409
    failed = admin.http.get("/audit", params={"action": "auth.login"}).json()["items"]
    assert failed[0]["after"] == {"method": "oidc"}


def test_a_provider_that_is_away_is_a_clear_answer_and_passwords_still_work(
    settings: ControlPlaneSettings, first_password: str
) -> None:
    away = settings.model_copy(update={"oidc_issuer": f"http://127.0.0.1:{find_free_port()}"})
    with serve_app(create_app(away)) as url:
        answer = httpx.get(f"{url}/api/v1/auth/oidc/login")
        assert (answer.status_code, "can't be used" in answer.json()["detail"]) == (502, True)
        assert Client(url).log_in("admin", first_password).status_code == 200


def test_a_provider_that_speaks_for_another_issuer_is_not_used(
    settings: ControlPlaneSettings, first_password: str, provider: OpenIdProvider
) -> None:
    assert first_password
    provider.url = "https://other.example.org"
    with serve_app(create_app(settings)) as url:
        answer = httpx.get(f"{url}/api/v1/auth/oidc/login")
        assert (answer.status_code, "calls itself" in answer.json()["detail"]) == (502, True)


def test_a_state_and_its_cookie_are_stored_hashed(browser: Browser) -> None:
    callback = httpx.URL(browser.begin())
    cookie = next(value for name, value in browser.http.cookies.items() if name == "streamswarm_oidc")
    with database_of(Client(str(browser.http.base_url).rstrip("/"))).session() as db:
        rows = repr(db.execute(conftest.everything("oidc_logins")).all())
    assert rows
    assert callback.params["state"] not in rows
    assert cookie not in rows
