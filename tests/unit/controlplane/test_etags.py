import httpx

from tests.unit.controlplane.conftest import Client, add_user, enrol_agent


def add_test(admin: Client) -> str:
    answer = admin.http.post("/tests", json={"name": "Host", "probe": "system"})
    return f"/tests/{answer.json()['id']}"


def test_what_has_not_changed_is_not_sent_again(admin: Client) -> None:
    path = add_test(admin)
    first = admin.http.get(path)
    same = admin.http.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", first.headers["ETag"])
    among_others = admin.http.get(path, headers={"If-None-Match": f'"x", W/{first.headers["ETag"]}'})
    assert among_others.status_code == 304
    admin.http.patch(path, json={"interval": 7}).raise_for_status()
    changed = admin.http.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (changed.status_code, changed.json()["interval"]) == (200, 7)


def test_a_change_by_somebody_else_is_not_overwritten(admin: Client) -> None:
    path = add_test(admin)
    read = admin.http.get(path).headers["ETag"]
    changed = admin.http.patch(path, json={"interval": 7}, headers={"If-Match": read})
    assert changed.status_code == 200
    for refused in (
        admin.http.patch(path, json={"interval": 8}, headers={"If-Match": read}),
        admin.http.delete(path, headers={"If-Match": read}),
        admin.http.delete(path, headers={"If-Match": "no tag at all"}),
        admin.http.delete(path, headers={"If-Match": f"W/{changed.headers['ETag']}"}),
    ):
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (412, "header.If-Match")
    assert admin.http.get(path).json()["interval"] == 7
    assert admin.http.delete(path, headers={"If-Match": f'"x", {changed.headers["ETag"]}'}).status_code == 204


def test_a_change_without_a_tag_or_with_an_asterisk_is_made_in_any_case(admin: Client) -> None:
    path = add_test(admin)
    assert admin.http.patch(path, json={"interval": 8}).status_code == 200
    assert admin.http.patch(path, json={"interval": 9}, headers={"If-Match": "*"}).status_code == 200


def test_users_are_not_overwritten_either_and_a_login_is_no_change(admin: Client) -> None:
    olga = add_user(admin, "olga", "operator")
    path = f"/users/{olga.http.get('/auth/me').json()['id']}"
    read = admin.http.get(path).headers["ETag"]
    again = Client(admin.url)
    again.log_in("olga", "nine quiet harbour lamps")
    assert admin.http.get(path, headers={"If-None-Match": read}).status_code == 200, "the login is shown"
    assert admin.http.patch(path, json={"role": "viewer"}, headers={"If-Match": read}).status_code == 200
    assert admin.http.delete(path, headers={"If-Match": read}).status_code == 412


def test_a_heartbeat_is_a_change_to_readers_but_not_to_writers(admin: Client) -> None:
    agent, headers = enrol_agent(admin)
    read = admin.http.get(f"/agents/{agent}").headers["ETag"]
    beat = {"version": "1", "started_at": "2024-01-01T00:00:00Z", "sent_at": "2024-01-01T00:00:00Z"}
    url = f"{admin.url}/api/v1/agent/heartbeat"
    httpx.post(url, json={**beat, "assignments_version": 1}, headers=headers).raise_for_status()
    after = admin.http.get(f"/agents/{agent}", headers={"If-None-Match": read})
    assert after.status_code == 200
    assert after.headers["ETag"].split(".")[0] == read.split(".")[0]
    assert after.headers["ETag"] != read
