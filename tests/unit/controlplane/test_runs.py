"""Runs on request, what agents say of them, and what is kept."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update

from streamswarm_controlplane.db import Database
from streamswarm_controlplane.runs.models import RunRecord
from streamswarm_controlplane.settings import ControlPlaneSettings
from tests.unit.controlplane.conftest import Client
from tests.unit.controlplane.plans import PlayedAgent, add_test, items, running

CRON = {"kind": "cron", "cron": "30 3 * * *", "duration": 600.0}


def assignment_id(agent: PlayedAgent) -> str:
    (assignment,) = agent.poll().assignments
    return assignment.id


def ask(admin: Client, test: dict[str, Any], action: str = "run") -> Any:
    answer = admin.http.post(f"/tests/{test['id']}/{action}")
    assert answer.status_code in {200, 202}, answer.text
    return answer.json()


def change_runs(settings: ControlPlaneSettings, **values: object) -> None:
    database = Database(settings.database)
    with database.session() as db:
        db.execute(update(RunRecord).values(**values))
    database.close()


def test_a_run_that_is_asked_for_reaches_each_agent_once_and_is_followed_to_its_end(admin: Client) -> None:
    agents = [PlayedAgent(admin, name) for name in ("one", "two")]
    test = add_test(admin, *agents)
    before = agents[0].poll().version
    asked = ask(admin, test)
    assert [(run["agent_name"], run["status"], run["requested_by"]) for run in asked] == [
        ("one", "scheduled", "admin"),
        ("two", "scheduled", "admin"),
    ]
    agent = agents[0]
    (request,) = agent.poll().run_now
    assert agent.poll().version > before
    report = running(request.id, request.assignment_id, kind="manual")
    assert agent.report(report) == {"taken": 1, "unknown": []}
    assert agent.poll().run_now == ()
    agent.report(report | {"status": "done", "executions": 1, "finished_at": datetime.now(UTC).isoformat()})
    (done,) = items(admin, "/runs", status="done")
    assert (done["id"], done["kind"], done["executions"]) == (request.id, "manual", 1)
    assert len(items(admin, "/runs", test_id=test["id"])) == 2
    assert [one["agent_name"] for one in items(admin, "/runs", status="scheduled")] == ["two"]


def test_a_run_that_no_agent_takes_is_missed_and_not_made_later(admin: Client, settings: ControlPlaneSettings) -> None:
    agent = PlayedAgent(admin, "a")
    ask(admin, add_test(admin, agent))
    change_runs(settings, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert agent.poll().run_now == ()
    (run,) = items(admin, "/runs")
    assert (run["status"], "did not begin it in time" in run["error"]) == ("missed", True)


def test_a_run_needs_somebody_to_make_it(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    nobody, paused = add_test(admin), add_test(admin, agent, key="paused", paused=True)
    for test, said in ((nobody, "no agent runs"), (paused, "is paused; resume it first")):
        refused = admin.http.post(f"/tests/{test['id']}/run")
        assert refused.status_code == 409
        assert said in refused.json()["detail"]


def test_runs_do_not_pile_up_while_an_agent_is_away(admin: Client) -> None:
    test = add_test(admin, PlayedAgent(admin, "a"))
    answers = [admin.http.post(f"/tests/{test['id']}/run").status_code for _ in range(7)]
    assert answers == [202] * 5 + [409] * 2


def test_what_is_over_stays_as_it_is_whatever_is_said_later(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    add_test(admin, agent)
    mine = assignment_id(agent)
    agent.report(running("r1", mine, status="done", executions=3))
    agent.report(running("r1", mine, status="failed", executions=4, error="later"))
    (run,) = items(admin, "/runs")
    assert (run["status"], run["executions"], run["error"]) == ("done", 4, "")


def test_an_agent_can_say_nothing_of_another_agents_runs(admin: Client) -> None:
    one, two = PlayedAgent(admin, "one"), PlayedAgent(admin, "two")
    add_test(admin, one)
    mine = assignment_id(one)
    one.report(running("r1", mine))
    assert two.report(running("r1", mine, status="failed"))["unknown"] == ["r1"]
    assert two.report(running("r2", mine))["unknown"] == ["r2"]
    assert [run["status"] for run in items(admin, "/runs")] == ["running"]


def test_stopping_a_test_that_goes_on_pauses_it_and_closes_its_record(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    test = add_test(admin, agent)
    agent.report(running("r1", assignment_id(agent), executions=7))
    refused = admin.http.post("/runs/r1/stop")
    assert "stop the test head-office" in refused.json()["detail"]
    stopped = ask(admin, test, "stop")
    assert (stopped["paused"], stopped["generation"]) == (True, 2)
    assert agent.tests() == []
    (run,) = items(admin, "/runs")
    assert (run["status"], run["error"]) == ("stopped", "stopped by admin")
    # What the agent says last still counts.
    agent.report(running("r1", run["assignment_id"], executions=8))
    (run,) = items(admin, "/runs")
    assert (run["status"], run["executions"]) == ("stopped", 8)


def test_stopping_a_test_with_a_calendar_ends_its_present_run_and_not_its_calendar(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    test = add_test(admin, agent, schedule=CRON)
    agent.report(running("r1", assignment_id(agent)))
    before = agent.poll().version
    stopped = ask(admin, test, "stop")
    assert not stopped["paused"]
    assert (agent.poll().stop, agent.poll().version > before) == (("r1",), True)
    agent.report(running("r1", assignment_id(agent), status="stopped"))
    assert agent.poll().stop == ()
    assert agent.tests() == ["head-office"]


def test_one_run_can_be_stopped_before_it_begins_and_while_it_goes_on(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    test = add_test(admin, agent, schedule=CRON)
    (waiting,) = ask(admin, test)
    assert admin.http.post(f"/runs/{waiting['id']}/stop").json()["status"] == "stopped"
    assert agent.poll().run_now == ()
    (asked,) = ask(admin, test)
    agent.report(running(asked["id"], asked["assignment_id"]))
    assert admin.http.post(f"/runs/{asked['id']}/stop").json()["stop_requested"]
    assert agent.poll().stop == (asked["id"],)
    assert admin.http.post(f"/runs/{waiting['id']}/stop").status_code == 409


def test_a_restart_begins_anew_whatever_the_schedule(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    always = add_test(admin, agent, key="always")
    agent.report(running("r1", assignment_id(agent)))
    admin.http.patch(f"/tests/{always['id']}", json={"paused": True})
    again = ask(admin, always, "restart")
    assert (again["paused"], again["generation"]) == (False, 2)
    assert items(admin, "/runs")[0]["error"] == "restarted by admin"
    assert agent.poll().assignments[0].generation == 2
    admin.http.delete(f"/tests/{always['id']}")
    nightly = add_test(admin, agent, key="nightly", schedule=CRON)
    agent.report(running("r2", assignment_id(agent)))
    ask(admin, nightly, "restart")
    assert agent.poll().stop == ("r2",)
    assert len(agent.poll().run_now) == 1


def test_a_test_that_is_deleted_while_it_runs_leaves_its_closed_record_with_its_name(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    test = add_test(admin, agent)
    agent.report(running("r1", assignment_id(agent)))
    admin.http.delete(f"/tests/{test['id']}").raise_for_status()
    (run,) = items(admin, "/runs")
    assert (run["test_id"], run["test_key"], run["status"], run["error"]) == (
        None,
        "head-office",
        "stopped",
        "the test was deleted",
    )
    # The agent, which hears of it later, is not refused.
    assert agent.report(running("r1", run["assignment_id"], executions=9))["taken"] == 1


def test_records_are_kept_for_a_while_and_open_ones_for_as_long_as_they_are(
    admin: Client, settings: ControlPlaneSettings
) -> None:
    agent = PlayedAgent(admin, "a")
    add_test(admin, agent)
    mine = assignment_id(agent)
    long_ago = (datetime.now(UTC) - timedelta(days=settings.run_days + 1)).isoformat()
    agent.report(
        running("old", mine, status="done", finished_at=long_ago, started_at=long_ago),
        running("open", mine, started_at=long_ago),
    )
    agent.report(running("new", mine))
    assert {run["id"] for run in items(admin, "/runs")} == {"open", "new"}


def test_run_records_come_in_pages_newest_first(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    add_test(admin, agent)
    mine = assignment_id(agent)
    for number in range(5):
        agent.report(running(f"r{number}", mine))
    seen: list[str] = []
    cursor = ""
    while True:
        page = admin.http.get("/runs", params={"limit": 2, "cursor": cursor}).json()
        seen += [run["id"] for run in page["items"]]
        if not (cursor := page["next_cursor"] or ""):
            break
    assert seen == ["r4", "r3", "r2", "r1", "r0"]


def test_progress_says_who_has_taken_a_test_and_how_far_it_is(admin: Client) -> None:
    fresh, stale = PlayedAgent(admin, "fresh"), PlayedAgent(admin, "stale")
    test = add_test(admin, fresh, stale, interval=10)
    fresh.beat()
    begun = (datetime.now(UTC) - timedelta(seconds=100)).isoformat()
    fresh.report(running("r1", assignment_id(fresh), started_at=begun, executions=9, failures=2))
    progress = admin.http.get(f"/tests/{test['id']}/progress").json()
    assert [(one["agent_name"], one["taken"]) for one in progress["agents"]] == [("fresh", True), ("stale", False)]
    assert progress["taken"] == 1
    run = progress["agents"][0]["run"]
    assert (run["executions"], run["failures"]) == (9, 2)
    assert progress["agents"][0]["executions_expected"] in range(10, 13)
    assert progress["agents"][1]["run"] is None
    # The store of these tests is away, which takes nothing else from the answer.
    assert progress["store_problem"]
    assert progress["next_start_at"] is None
    nightly = add_test(admin, fresh, key="nightly", schedule=CRON)
    assert admin.http.get(f"/tests/{nightly['id']}/progress").json()["next_start_at"]


def test_one_action_on_many_tests_is_answered_for_each(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    good, nobody = add_test(admin, agent, key="good"), add_test(admin, key="nobody")
    ids = [good["id"], nobody["id"], "no-such-id", good["id"]]

    def bulk(action: str) -> list[tuple[str, bool, int]]:
        answer = admin.http.post("/tests/bulk", json={"action": action, "ids": ids}).json()
        assert answer["failed"] == sum(not item["ok"] for item in answer["items"])
        return [(item["id"], item["ok"], item["status"]) for item in answer["items"]]

    gone = ("no-such-id", False, 404)
    assert bulk("run") == [(good["id"], True, 200), (nobody["id"], False, 409), gone]
    assert len(agent.poll().run_now) == 1
    assert bulk("pause") == [(good["id"], True, 200), (nobody["id"], True, 200), gone]
    assert agent.tests() == []
    assert bulk("resume") == [(good["id"], True, 200), (nobody["id"], True, 200), gone]
    assert bulk("delete") == [(good["id"], True, 204), (nobody["id"], True, 204), gone]
    assert items(admin, "/tests") == []
