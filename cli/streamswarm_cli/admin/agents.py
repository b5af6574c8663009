from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

import typer

from streamswarm_cli.admin import bodies, noun, output
from streamswarm_cli.admin.api import Api
from streamswarm_cli.admin.noun import Json, Noun, Where
from streamswarm_core.errors import ConfigError, StreamSwarmError

AGENTS: Final = Noun(
    "/agents",
    "agent",
    "name",
    {
        "name": "name",
        "site": "site",
        "state": "state",
        "version": "version",
        "last seen": "last_seen_at",
        "queued": "queued_points",
        "labels": "labels",
    },
)
app: Final = noun.group("Enrolled agents.")
noun.add_list(app, AGENTS)
noun.add_show(app, AGENTS)
noun.add_update(app, AGENTS)
noun.add_act(app, AGENTS, "revoke", "Shut an agent out; its data stay.", ask=True)
noun.add_act(app, AGENTS, "drain", "Let an agent start no more runs.")
noun.add_act(app, AGENTS, "undrain", "Let a drained agent run its tests again.")
noun.add_act(app, AGENTS, "restart", "Let an agent start anew.")

_ACTIONS: Final = ("drain", "undrain", "restart", "revoke")
Names = Annotated[list[str] | None, typer.Option("--agent", "-a", help="An agent, by name or id; may be repeated.")]


@app.command("delete")
def delete(
    name: noun.Name,
    *,
    series: Annotated[
        Literal["keep", "delete"], typer.Option(help="What becomes of what it has measured; delete can't be undone.")
    ] = "keep",
    yes: noun.Yes = False,
) -> None:
    """Remove an agent with its assignments; its name is free again."""
    with noun.connect() as api:
        found = api.find(AGENTS.path, name, AGENTS.by)
        if not yes:
            typer.confirm(f"Remove the agent {found['name']}, and {series} its series?", abort=True, err=True)
        told = api.send("DELETE", f"{AGENTS.path}/{found['id']}", series=series).json()
    typer.echo(f"agent {found['name']}: deleted; {told['detail']}", err=True)


@app.command("bulk")
def bulk(
    action: Annotated[str, typer.Argument(help=f"{', '.join(_ACTIONS[:-1])} or {_ACTIONS[-1]}.")],
    names: Names = None,
    where: Where = None,
    *,
    yes: noun.Yes = False,
    as_json: Json = False,
) -> None:
    """Do one thing to many agents, such as `-w site=berlin`. Ends with 1 if one refuses."""
    if action not in _ACTIONS:
        raise ConfigError(f"no action {action!r}; takes {', '.join(_ACTIONS)}")
    question = f"{action.capitalize()} {{}}?" if action in {"restart", "revoke"} and not yes else ""
    _each(
        names, where, question, lambda api, agent: api.send("POST", f"/agents/{agent['id']}/{action}"), as_json=as_json
    )


@app.command("label")
def label(
    labels: Annotated[list[str], typer.Argument(help="NAME=VALUE to set, NAME- to take away; others stay.")],
    names: Names = None,
    where: Where = None,
    *,
    as_json: Json = False,
) -> None:
    """Label many agents, such as `role=edge rack- -w site=berlin`. Ends with 1 if one refuses."""
    gone = {one[:-1] for one in labels if one.endswith("-") and "=" not in one}
    put = read_labels([one for one in labels if one[:-1] not in gone or "=" in one])

    def change(api: Api, agent: dict[str, Any]) -> None:
        present = api.send("GET", f"/agents/{agent['id']}")
        kept = {name: value for name, value in present.json()["labels"].items() if name not in gone}
        etag = {"If-Match": present.headers["ETag"]}
        api.send("PATCH", f"/agents/{agent['id']}", body={"labels": kept | put}, headers=etag)

    _each(names, where, "", change, as_json=as_json)


def read_labels(pairs: Sequence[str]) -> dict[str, str]:
    """Labels as they are written on a command line; values are always text.

    Raises:
        ConfigError: one has no `=`.
    """
    for pair in pairs:
        if pair.partition("=")[0] in {"", pair}:
            raise ConfigError(f"{pair}: a label is written NAME=VALUE")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _each(
    names: Sequence[str] | None,
    where: Sequence[str] | None,
    question: str,
    act: Callable[[Api, dict[str, Any]], object],
    *,
    as_json: bool,
) -> None:
    """Do something to each of the agents that are meant; what one refuses changes nothing of the others."""
    if not names and not where:
        raise ConfigError("say which agents: --agent NAME, or --where KEY=VALUE such as site=berlin; -w q= means all")
    query = bodies.assignments(where or (), "--where")
    done: list[dict[str, Any]] = []
    with noun.connect() as api:
        chosen = [api.find(AGENTS.path, name, AGENTS.by) for name in names or ()]
        chosen += list(api.items(AGENTS.path, **query)) if where else []
        found = {agent["id"]: agent for agent in chosen}
        if question and found:
            count = f"the {len(found)} agents" if len(found) > 1 else "the agent"
            said = ", ".join(agent["name"] for agent in list(found.values())[:10]) + (" …" if len(found) > 10 else "")
            typer.confirm(question.format(f"{count} {said}"), abort=True, err=True)
        for agent in found.values():
            try:
                act(api, agent)
                done.append({"agent": agent["name"], "ok": True, "detail": ""})
            except StreamSwarmError as error:
                done.append({"agent": agent["name"], "ok": False, "detail": str(error)})
    output.show_list(
        done, {"agent": "agent", "done": "ok", "why not": "detail"}, as_json=as_json, nothing="no agent matches"
    )
    if not all(one["ok"] for one in done):
        raise typer.Exit(1)
