import re
from pathlib import Path

import httpx
import pytest

import streamswarm_controlplane.console
from tests.unit.controlplane.conftest import Client

CONSOLE = Path(streamswarm_controlplane.console.__file__).parent
PAGES = ["/", "/agents", "/tests", "/alerts", "/notifications", "/results"]


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
    again = httpx.get(f"{url}/static/style.css", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code) == (200, 304)


def test_scripts_never_write_markup() -> None:
    for script in (CONSOLE / "static").glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script.read_text()), (
            script
        )


def test_a_logged_in_user_is_not_asked_to_log_in(admin: Client) -> None:
    assert httpx.get(f"{admin.url}/login", cookies=cookies(admin)).headers["location"] == "/"
