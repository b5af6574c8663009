import json
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
MASK: Final = "********"
"""What the API says in place of a secret."""
_OWN: Final = frozenset({"id", "generation", "created_at", "updated_at"})
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
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out those whose key or name is taken already.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add a test, or those of a file.

    It may name `agents` instead of `agent_ids`; `export` writes such a file.
    """
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
    noun.create_from(TESTS, known, file, as_json=as_json, ready=_with_agent_ids, skip_existing=skip_existing)


def _usual_name(probe: str | None, target: str | None) -> str | None:
    """No two tests are called alike, and several probes measure one target."""
    return f"{target} ({probe})" if target else probe


def _with_agent_ids(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    if MASK in json.dumps(body.get("params", {})):
        raise ConfigError(f"params: {MASK} stands for a secret that was not exported; write it, or leave it out")
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
    name: Name,
    agents: Annotated[list[str], typer.Argument(help="The agents' names or ids.")],
    *,
    as_json: Json = False,
) -> None:
    """Let agents run a test."""
    with noun.connect() as api:
        test = api.find(TESTS.path, name, TESTS.by)
        runners = [api.find(AGENTS.path, agent, AGENTS.by) for agent in agents]
        bodies_of = [{"test_id": test["id"], "agent_id": runner["id"]} for runner in runners]
        made = [api.send("POST", "/assignments", body=body).json() for body in bodies_of]
    if len(made) == 1:
        output.show_one(made[0], as_json=as_json)
    else:
        output.show_list(made, {"id": "id", "agent": "agent_id", "warnings": "warnings"}, as_json=as_json)


@app.command("unassign")
def unassign(name: Name, agents: Annotated[list[str], typer.Argument(help="The agents' names or ids.")]) -> None:
    """Let agents stop running a test."""
    with noun.connect() as api:
        test = api.find(TESTS.path, name, TESTS.by)
        runs = {one["agent_id"]: one["id"] for one in api.items("/assignments", test_id=test["id"])}
        for agent in agents:
            runner = api.find(AGENTS.path, agent, AGENTS.by)
            if runner["id"] not in runs:
                raise ConfigError(f"the agent {agent} doesn't run the test {name}")
            api.send("DELETE", f"/assignments/{runs[runner['id']]}")


@app.command("export")
def export() -> None:
    """Print all tests as `create -f` takes them.

    Agents are named; secrets have to be filled in.
    """
    with noun.connect() as api:
        names = {agent["id"]: agent["name"] for agent in api.items(AGENTS.path)}
        agents: dict[str, list[str]] = {}
        for one in api.items("/assignments"):
            if one["explicit"]:
                agents.setdefault(one["test_id"], []).append(names[one["agent_id"]])
        found = [_portable(test, sorted(agents.get(test["id"], []))) for test in api.items(TESTS.path)]
    secret = [test["key"] for test in found if MASK in json.dumps(test["params"])]
    if secret:
        typer.echo(f"the API doesn't tell secrets; write those of {', '.join(secret)} in place of {MASK}", err=True)
    output.show_json(found)


def _portable(test: dict[str, Any], agents: list[str]) -> dict[str, Any]:
    """A test without what only the control plane that it comes from knows."""
    kept = {field: one for field, one in test.items() if field not in _OWN and one not in (None, "", [])}
    return {**kept, **({"agents": agents} if agents else {})}


noun.add_delete(app, TESTS)
