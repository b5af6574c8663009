import itertools
from typing import Annotated, Any, Final

import typer

from streamswarm_cli.admin import bodies, noun, output
from streamswarm_cli.admin.agents import AGENTS
from streamswarm_cli.admin.noun import Json, Noun, Where
from streamswarm_cli.admin.tests import RUN_COLUMNS, TESTS

RUNS: Final = Noun("/runs", "run", "id", RUN_COLUMNS)
app: Final = noun.group("What came of each start of a test.")
noun.USED.add(RUNS.path)


@app.command("list")
def list_runs(
    where: Where = None,
    *,
    test: Annotated[str | None, typer.Option("--test", "-t", help="Only of this test, by key.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", "-a", help="Only of this agent, by name.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="The newest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List run records, newest first; `-w status=running` those under way."""
    query: dict[str, Any] = bodies.assignments(where or (), "--where")
    with noun.connect() as api:
        if test:
            query["test_id"] = api.find(TESTS.path, test, TESTS.by)["id"]
        if agent:
            query["agent_id"] = api.find(AGENTS.path, agent, AGENTS.by)["id"]
        found = list(itertools.islice(api.items(RUNS.path, **query), count))
    output.show_list(found, RUN_COLUMNS, as_json=as_json, nothing="no run")


noun.add_show(app, RUNS)
noun.add_act(app, RUNS, "stop", "End a run.")
