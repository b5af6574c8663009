import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from streamswarm_cli.admin import bodies, noun
from streamswarm_cli.admin.noun import File, Json, Noun, Set
from streamswarm_core.errors import ConfigError

SILENCES: Final = Noun(
    "/silences",
    "silence",
    "id",
    {
        "matchers": "matchers",
        "starts": "starts_at",
        "ends": "ends_at",
        "comment": "comment",
        "made by": "created_by",
        "id": "id",
    },
)
_MATCHER: Final = re.compile(r"([\w.-]+)(!=|=|~)(.*)")
app: Final = noun.group("Alerts that nobody is told of for a while.")
noun.add_list(app, SILENCES)
noun.add_show(app, SILENCES)


@app.command("create")
def create(
    match: Annotated[
        list[str] | None,
        typer.Argument(
            help="What alerts have to be like: LABEL=VALUE, LABEL!=VALUE or LABEL~PATTERN, such as agent=a."
        ),
    ] = None,
    *,
    hours: Annotated[float | None, typer.Option(help="How long, from now.")] = None,
    until: Annotated[str | None, typer.Option(help="Or its end, such as 2030-01-05T22:00:00+01:00.")] = None,
    comment: Annotated[str | None, typer.Option(help="Why.")] = None,
    fields: Set = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """Silence alerts, or add the silences of a file."""
    given: dict[str, Any] = {
        "matchers": [matcher(one) for one in match or ()] or None,
        "ends_at": until or ((datetime.now(UTC) + timedelta(hours=hours)).isoformat() if hours is not None else None),
        "comment": comment,
        **bodies.assignments(fields or ()),
    }
    known = {key: one for key, one in given.items() if one is not None}
    noun.create_from(SILENCES, known, file, as_json=as_json)


def matcher(text: str) -> dict[str, str]:
    """A matcher as the API takes it.

    >>> matcher("agent~berlin*")
    {'label': 'agent', 'operator': '~', 'value': 'berlin*'}

    Raises:
        ConfigError: it is something else.
    """
    found = _MATCHER.fullmatch(text)
    if not found:
        raise ConfigError(f"{text!r}: takes LABEL=VALUE, LABEL!=VALUE or LABEL~PATTERN")
    label, operator, value = found.groups()
    return {"label": label, "operator": operator, "value": value}


noun.add_update(app, SILENCES)
noun.add_delete(app, SILENCES, "end", "End")
