from typing import Annotated, Any, Final

import typer

from streamswarm_cli.admin import bodies, noun, output
from streamswarm_cli.admin.agents import AGENTS
from streamswarm_cli.admin.api import Api
from streamswarm_cli.admin.noun import File, Json, Name, Noun, Set
from streamswarm_core.errors import ConfigError

TESTS: Final = Noun(
    "/tests",
    "test",
    "key",
    {
        "key": "key",
        "name": "name",
        "probe": "probe",
        "target": "target",
        "interval": "interval",
        "schedule": "schedule.kind",
        "selector": "selector",
        "paused": "paused",
        "options": "params",
    },
)
RUN_COLUMNS: Final = {
    "made": "created_at",
    "test": "test_key",
    "agent": "agent_name",
    "kind": "kind",
    "status": "status",
    "done": "executions",
    "failed": "failures",
    "asked by": "requested_by",
    "error": "error",
    "id": "id",
}
"""Of run records."""
app: Final = noun.group("What is measured.")
noun.add_list(app, TESTS)
noun.add_show(app, TESTS)


@app.command("create")
def create(
    probe: Annotated[
        str | None, typer.Argument(help="What measures it, such as icmp; see `streamswarm probe`.")
    ] = None,
    target: Annotated[str | None, typer.Argument(help="Host, address, host:port or URL.")] = None,
    *,
    name: Annotated[str | None, typer.Option(help="For people; if not given the key, or target and probe.")] = None,
    key: Annotated[str | None, typer.Option(help="The `test` tag; made from the name if not given.")] = None,
    interval: Annotated[float | None, typer.Option(help="Seconds between the starts of two runs.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", metavar="KEY=VALUE", help="One of the probe's options.")
    ] = None,
    agent: Annotated[list[str] | None, typer.Option("--agent", "-a", help="Assign it to this agent, by name.")] = None,
    selector: Annotated[
        str | None, typer.Option(help="And to all agents with these labels, such as site=berlin.")
    ] = None,
    fields: Set = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """Add a test, or those of a file, which may name `agents` instead of `agent_ids`."""
    given: dict[str, Any] = {
        "probe": probe,
        "target": target,
        "name": name or (key or _usual_name(probe, target) if not file else None),
        "key": key,
        "interval": interval,
        "params": bodies.assignments(option, "--option") if option else None,
        "agents": agent or None,
        "selector": selector,
        **bodies.assignments(fields or ()),
    }
    known = {field: one for field, one in given.items() if one is not None}
    noun.create_from(TESTS, known, file, as_json=as_json, ready=_with_agent_ids)


def _usual_name(probe: str | None, target: str | None) -> str | None:
    """No two tests are called alike, and several probes measure one target."""
    return f"{target} ({probe})" if target else probe


def _with_agent_ids(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    names = body.pop("agents", None)
    if names:
        body["agent_ids"] = [api.find(AGENTS.path, str(name), AGENTS.by)["id"] for name in names]
    return body


noun.add_update(app, TESTS)


@app.command("pause")
def pause(name: Name, *, as_json: Json = False) -> None:
    """Let agents stop running a test until it is resumed."""
    output.show_one(noun.change(TESTS, name, {"paused": True}), as_json=as_json)


@app.command("resume")
def resume(name: Name, *, as_json: Json = False) -> None:
    """Let agents run a paused test again."""
    output.show_one(noun.change(TESTS, name, {"paused": False}), as_json=as_json)


@app.command("assign")
def assign(
    name: Name, agent: Annotated[str, typer.Argument(help="The agent's name or id.")], *, as_json: Json = False
) -> None:
    """Let an agent run a test."""
    with noun.connect() as api:
        test, runner = api.find(TESTS.path, name, TESTS.by), api.find(AGENTS.path, agent, AGENTS.by)
        made = api.send("POST", "/assignments", body={"test_id": test["id"], "agent_id": runner["id"]}).json()
    output.show_one(made, as_json=as_json)


@app.command("unassign")
def unassign(name: Name, agent: Annotated[str, typer.Argument(help="The agent's name or id.")]) -> None:
    """Let an agent stop running a test."""
    with noun.connect() as api:
        test, runner = api.find(TESTS.path, name, TESTS.by), api.find(AGENTS.path, agent, AGENTS.by)
        for one in api.items("/assignments"):
            if (one["test_id"], one["agent_id"]) == (test["id"], runner["id"]):
                api.send("DELETE", f"/assignments/{one['id']}")
                return
    raise ConfigError(f"the agent {agent} doesn't run the test {name}")


noun.add_delete(app, TESTS)
