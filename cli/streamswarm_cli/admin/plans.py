"""When and where a test is measured, and when it is bad: more commands of `tests`."""

from typing import Annotated, Any, Final

import typer

from streamswarm_cli.admin import bodies, noun, output
from streamswarm_cli.admin.noun import Json, Name
from streamswarm_cli.admin.tests import RUN_COLUMNS, TESTS
from streamswarm_cli.admin.tests import app as app  # noqa: PLC0414 - with these commands it is whole
from streamswarm_core.errors import ConfigError

__all__ = ["app"]

_ACTIONS: Final = ("pause", "resume", "run", "stop", "restart", "delete")
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what it would mean.")]


@app.command("schedule")
def schedule(
    name: Name,
    *,
    always: Annotated[bool, typer.Option("--always", help="Go on at its interval.")] = False,
    cron: Annotated[str | None, typer.Option(help="At each of these moments, such as '30 3 * * 1-5'.")] = None,
    zone: Annotated[
        str | None, typer.Option(help="Time zone of --cron, such as Europe/Berlin; UTC if not given.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Once, such as 2030-01-05T22:00:00+01:00.")] = None,
    starts: Annotated[str | None, typer.Option("--from", help="Not before; with --always or --cron.")] = None,
    until: Annotated[str | None, typer.Option(help="Not from then on; with --always or --cron.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds to go on after each start; one run if none.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Say when a test is measured, and show its next starts."""
    if sum([always, cron is not None, at is not None]) != 1:
        raise ConfigError("needs one of --always, --cron and --at")
    if at is not None and (starts or until):
        raise ConfigError("--from and --until go with --always and --cron, not with --at")
    if zone is not None and cron is None:
        raise ConfigError("--zone goes with --cron; times of --at, --from and --until have their own")
    given: dict[str, Any] = {
        "kind": "cron" if cron is not None else "once" if at is not None else "interval",
        "cron": cron,
        "zone": zone,
        "at": at,
        "start": starts,
        "until": until,
        "duration": duration,
    }
    wanted = {key: one for key, one in given.items() if one is not None}
    with noun.connect() as api:
        preview = api.send("POST", "/schedules/preview", body={"schedule": wanted}).json()
    if dry_run:
        output.show_one(preview, as_json=as_json)
        return
    changed = noun.change(TESTS, name, {"schedule": wanted})
    output.show_one(changed if as_json else {**changed, "next starts": preview["starts"]}, as_json=as_json)


@app.command("select")
def select(
    name: Name,
    selector: Annotated[str, typer.Argument(help="Labels of its agents, such as 'site=berlin,!lab'; '' for none.")],
    *,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Let all agents with these labels run a test.

    Those that come later, too.
    """
    if dry_run:
        with noun.connect() as api:
            found = api.send("POST", "/selectors/preview", body={"selector": selector}).json()["agents"]
        columns = {"name": "name", "site": "site", "labels": "labels"}
        output.show_list(found, columns, as_json=as_json, nothing="no agent")
        return
    output.show_one(noun.change(TESTS, name, {"selector": selector}), as_json=as_json)


@app.command("thresholds")
def thresholds(
    name: Name,
    *,
    file: Annotated[
        str | None,
        typer.Option("--file", "-f", help="YAML or JSON with them, in place of the present ones; - is standard input."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take all of them away.")] = False,
    as_json: Json = False,
) -> None:
    """Show when a test is degraded or bad, or replace that."""
    if file and clear:
        raise ConfigError("--file or --clear, not both")
    if file or clear:
        test = noun.change(TESTS, name, {"thresholds": bodies.documents(file) if file else []})
    else:
        with noun.connect() as api:
            test = api.find(TESTS.path, name, TESTS.by)
    columns = {key: key for key in ("measurement", "field", "comparison", "warn", "bad", "window", "share")}
    output.show_list(test["thresholds"], columns, as_json=as_json, nothing=f"{test['key']} has no thresholds")


@app.command("progress")
def progress(name: Name, *, as_json: Json = False) -> None:
    """Show how a test is getting on, agent by agent."""
    with noun.connect() as api:
        found = api.get(f"{TESTS.path}/{api.find(TESTS.path, name, TESTS.by)['id']}/progress")
    if as_json:
        output.show_json(found)
        return
    columns = {
        "agent": "agent_name",
        "state": "state",
        "taken": "taken",
        "run": "run.status",
        "done": "run.executions",
        "expected": "executions_expected",
        "failed": "run.failures",
        "value": "last.value",
        "unit": "last.unit",
        "measured": "last.time",
        "next": "next_run_at",
    }
    output.show_list(found["agents"], columns, as_json=False, nothing=f"no agent runs {name}")


@app.command("bulk")
def bulk(
    action: Annotated[str, typer.Argument(help=f"{', '.join(_ACTIONS[:-1])} or {_ACTIONS[-1]}.")],
    names: Annotated[list[str], typer.Argument(help="Their keys or ids.")],
    *,
    yes: noun.Yes = False,
    as_json: Json = False,
) -> None:
    """Do one thing to many tests.

    What one refuses changes nothing of the others. Ends with 1 if one refuses.
    """
    if action not in _ACTIONS:
        raise ConfigError(f"no action {action!r}; takes {', '.join(_ACTIONS)}")
    with noun.connect() as api:
        chosen = {test["id"]: test["key"] for test in (api.find(TESTS.path, name, TESTS.by) for name in names)}
        if action == "delete" and not yes:
            typer.confirm(f"Remove the {len(chosen)} tests {', '.join(chosen.values())}?", abort=True, err=True)
        done = api.send("POST", "/tests/bulk", body={"action": action, "ids": list(chosen)}).json()
    items = [{"test": chosen[item["id"]], **item} for item in done["items"]]
    output.show_list(items, {"test": "test", "done": "ok", "why not": "detail"}, as_json=as_json)
    if done["failed"]:
        raise typer.Exit(1)


noun.USED.update({"/tests/bulk", "/schedules/preview", "/selectors/preview", "/tests/{}/progress"})
noun.add_act(app, TESTS, "clone", "Copy a test; the copy is paused unless --set paused=false.")
noun.add_act(app, TESTS, "run", "Run a test now, once on each of its agents.", columns=RUN_COLUMNS)
noun.add_act(app, TESTS, "stop", "End what is under way of a test.\n\nOne that goes on is paused by that.")
noun.add_act(app, TESTS, "restart", "End what is under way of a test and begin anew.")
