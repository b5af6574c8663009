import csv
import io
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from streamswarm_cli.admin import bodies, noun, output
from streamswarm_cli.admin.api import Api
from streamswarm_cli.admin.noun import Json, Noun, Set
from streamswarm_core.errors import ConfigError, StreamSwarmError

SITES: Final = Noun(
    "/sites",
    "site",
    "name",
    {
        "name": "name",
        "latitude": "latitude",
        "longitude": "longitude",
        "time zone": "time_zone",
        "address": "address",
        "agents": "agents",
        "offline": "offline",
    },
)
_FIELDS: Final = ("name", "latitude", "longitude", "time_zone", "address")
app: Final = noun.group("Where agents are.")
noun.add_list(app, SITES)
noun.add_show(app, SITES)


@app.command("unlisted")
def unlisted(*, as_json: Json = False) -> None:
    """List the sites that agents name and nobody has added.

    They have no place and no time zone.
    """
    with noun.connect() as api:
        found = list(api.items("/sites/unlisted"))
    columns = {"name": "name", "agents": "agents", "offline": "offline"}
    output.show_list(found, columns, as_json=as_json, nothing="no site that isn't added")


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="As agents have it for their site.")],
    *,
    latitude: Annotated[float | None, typer.Option(help="Degrees, north positive: --latitude=-33.9 is south.")] = None,
    longitude: Annotated[float | None, typer.Option(help="Degrees, east positive.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="IANA name, such as Europe/Berlin.")] = None,
    address: Annotated[str | None, typer.Option(help="Street and town, or whatever leads there.")] = None,
    fields: Set = None,
    as_json: Json = False,
) -> None:
    """Add a site."""
    given: dict[str, Any] = {
        "name": name,
        "latitude": latitude,
        "longitude": longitude,
        "time_zone": time_zone,
        "address": address,
        **bodies.assignments(fields or ()),
    }
    known = {field: one for field, one in given.items() if one is not None}
    noun.create_from(SITES, known, None, as_json=as_json)


@app.command("import")
def import_sites(
    file: Annotated[
        str,
        typer.Argument(help=f"CSV with the header {','.join(_FIELDS)}, or YAML or JSON; - is YAML or JSON."),
    ],
    *,
    as_json: Json = False,
) -> None:
    """Add the sites of a file, and change those that are there.

    Others stay as they are.
    """
    wanted = list(_rows(file))
    done: list[dict[str, Any]] = []
    with noun.connect() as api:
        present = {site["name"]: site for site in api.items(SITES.path)}
        for place, site in wanted:
            try:
                done.append({"site": site["name"], "done": _bring(api, present.get(site["name"]), site)})
            except StreamSwarmError as error:
                raise ConfigError(f"{place}: {error}; the {len(done)} before it are done, and none behind it") from None
    output.show_list(done, {"site": "site", "": "done"}, as_json=as_json)


def _bring(api: Api, present: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> str:
    if present is None:
        api.send("POST", SITES.path, body=wanted)
        return "added"
    change = {name: one for name, one in wanted.items() if one != present.get(name)}
    if not change:
        return "unchanged"
    api.send("PATCH", f"{SITES.path}/{present['id']}", body=change)
    return "changed"


def _rows(file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each site with its place in the file, for whoever has to find what is wrong with it."""
    named = Path(file).suffix.lower() == ".csv"
    found = (
        _csv_rows(Path(file)) if named else ((f"number {n}", one) for n, one in enumerate(bodies.documents(file), 1))
    )
    seen: set[str] = set()
    for place, site in found:
        site["name"] = str(site.get("name") or "").strip()
        unknown = sorted(map(str, site.keys() - set(_FIELDS)))
        if unknown:
            raise ConfigError(f"{file}, {place}: {', '.join(unknown)}: isn't known here; takes {', '.join(_FIELDS)}")
        if not site["name"]:
            raise ConfigError(f"{file}, {place}: has no name")
        if site["name"] in seen:
            raise ConfigError(f"{file}, {place}: {site['name']} is in the file twice")
        seen.add(site["name"])
        yield f"{file}, {place}, {site['name']}", site


def _csv_rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a CSV file as a spreadsheet writes it: with `,`, `;` or tabs, and perhaps a byte order mark.

    Raises:
        ConfigError: it can't be read, or a coordinate is no number.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:  # the csv module's own ends of lines
            text = opened.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, restkey="more", restval="")
    for place, row in _read(file, reader):
        if row.pop("more", None):
            raise ConfigError(f"{file}, {place}: has more columns than the first line")
        site: dict[str, Any] = {name: value.strip() for name, value in row.items()}
        for name in ("latitude", "longitude"):
            if name in site:
                site[name] = _degrees(f"{file}, {place}: {name}", site[name])
        if "time_zone" in site:
            site["time_zone"] = site["time_zone"] or None
        yield place, site


def _read(file: Path, reader: "csv.DictReader[str]") -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        columns = [name.strip().lower() for name in reader.fieldnames or ()]
        if "name" not in columns or len(set(columns)) < len(columns):
            raise ConfigError(f"{file}: the first line has to name the columns, each once: {','.join(_FIELDS)}")
        reader.fieldnames = columns
        for row in reader:
            yield f"line {reader.line_num}", row
    except csv.Error as error:
        raise ConfigError(f"{file}, line {reader.line_num}: {error}") from None


def _degrees(place: str, text: str) -> float | None:
    if not text:
        return None
    found = math.nan
    with suppress(ValueError):
        found = float(text.replace(",", "."))  # as half of the world's spreadsheets write it
    if not math.isfinite(found):
        raise ConfigError(f"{place}: {text!r} is no number of degrees, such as 52.52 or -33.9")
    return found


noun.add_update(app, SITES)
noun.add_delete(app, SITES)
noun.USED.add("/sites/unlisted")
