from streamswarm_cli.admin import output
from streamswarm_cli.admin.noun import Json, connect

COLUMNS = {
    "test": "test.key",
    "agent": "agent.name",
    "target": "test.target",
    "state": "state",
    "value": "value",
    "unit": "headline.unit",
    "measured": "last_time",
    "error": "error",
}


def results(*, as_json: Json = False) -> None:
    """Show every assignment with its newest value."""
    with connect() as api:
        status = api.get("/status")
    if as_json:
        output.show_json(status)
        return
    output.show_list(status["items"], COLUMNS, as_json=False, nothing="no test is assigned to an agent")
