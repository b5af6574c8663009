import re
from pathlib import Path

import httpx
import pytest

import streamswarm_controlplane.console
from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.settings import ControlPlaneSettings
from tests.support import serve_app
from tests.unit.controlplane.conftest import Client, add_user

CONSOLE = Path(streamswarm_controlplane.console.__file__).parent
PAGES = [
    "/",
    "/agents",
    "/sites",
    "/tests",
    "/maintenance",
    "/alerts",
    "/notifications",
    "/results",
    "/profile",
    "/tokens",
    "/users",
    "/audit",
    "/configuration",
]


def cookies(client: Client) -> dict[str, str]:
    return {"streamswarm_session": client.http.cookies["streamswarm_session"]}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_without_a_session_leads_to_the_login_and_back(url: str, path: str) -> None:
    answer = httpx.get(url + path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_leads_to_the_password_change_while_one_is_due(url: str, first_password: str, path: str) -> None:
    client = Client(url)
    client.log_in("admin", first_password)
    answer = httpx.get(url + path, cookies=cookies(client))
    assert (answer.status_code, answer.headers["location"]) == (303, "/password")


@pytest.mark.parametrize("path", [*PAGES, "/password"])
def test_pages_forbid_foreign_and_inline_code(admin: Client, path: str) -> None:
    answer = httpx.get(admin.url + path, cookies=cookies(admin))
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=|style=", answer.text)


def test_static_files_are_served_with_an_entity_tag(url: str) -> None:
    first = httpx.get(f"{url}/static/style.css")
    assert first.headers["Cache-Control"] == "no-cache", "after an update nobody has old modules beside new ones"
    again = httpx.get(f"{url}/static/style.css", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code) == (200, 304)


def test_scripts_never_write_markup() -> None:
    scripts = list((CONSOLE / "static").glob("*.js"))
    assert scripts
    for script in scripts:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script.read_text()), (
            script
        )


def test_a_logged_in_user_is_not_asked_to_log_in(admin: Client) -> None:
    assert httpx.get(f"{admin.url}/login", cookies=cookies(admin)).headers["location"] == "/"


def test_pages_for_some_are_neither_shown_nor_linked_to_others(admin: Client) -> None:
    vera = add_user(admin, "vera", "viewer")
    assert 'href="/users"' in httpx.get(f"{admin.url}/", cookies=cookies(admin)).text
    assert 'href="/users"' not in httpx.get(f"{admin.url}/", cookies=cookies(vera)).text
    for path in ("/tokens", "/users", "/audit", "/configuration"):
        answer = httpx.get(admin.url + path, cookies=cookies(vera))
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_single_sign_on_is_offered_where_there_is_a_provider(settings: ControlPlaneSettings) -> None:
    changes = {"oidc_issuer": "https://id.example.org", "oidc_client_id": "x", "oidc_name": "Example & Co"}
    with serve_app(create_app(settings.model_copy(update=changes))) as url:
        page = httpx.get(f"{url}/login").text
    assert "Log in with Example &amp; Co" in page


def test_the_password_page_asks_for_the_length_that_the_configuration_does(admin: Client) -> None:
    admin.http.put("/config/password_length", json={"value": 17}).raise_for_status()
    page = admin.http.get(f"{admin.url}/password").text
    assert 'minlength="17"' in page
    assert "at least 17 characters" in page
