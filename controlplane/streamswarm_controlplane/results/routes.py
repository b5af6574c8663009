from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Path, Query
from fastapi.responses import StreamingResponse

from streamswarm_controlplane.deps import ReaderDep, SessionDep, SettingsDep, Viewer
from streamswarm_controlplane.idempotency import ApiRoute
from streamswarm_controlplane.results import service
from streamswarm_controlplane.results.answers import History, Latest, Runs
from streamswarm_controlplane.results.export.answer import Format, export
from streamswarm_controlplane.results.export.extract import Extract, make_columns
from streamswarm_controlplane.results.fields import select_measurement, without_text
from streamswarm_controlplane.results.history import conditions, history
from streamswarm_controlplane.results.latest import latest
from streamswarm_controlplane.results.runs import runs
from streamswarm_controlplane.results.schemas import Status
from streamswarm_controlplane.results.times import (
    MOMENT_HELP,
    TimeRange,
    last_day,
    last_hour,
    parse_duration,
    parse_moment,
)
from streamswarm_controlplane.results.windows import MOST_WINDOWS, fitting_window
from streamswarm_controlplane.testplans.service import get_test
from streamswarm_core.clock import NANOSECONDS, now_ns
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reader.select import Function

router = APIRouter(tags=["results"], route_class=ApiRoute)

TestId = Annotated[str, Path(description="Id of the test.")]
LastHour = Annotated[TimeRange, Depends(last_hour)]
LastDay = Annotated[TimeRange, Depends(last_day)]
Agents = Annotated[list[str], Query(alias="agent", max_length=50, description="Only these agents, by name.")]
FieldNames = Annotated[
    list[str],
    Query(alias="field", max_length=100, description="Fields, as `rtt_mean` or `icmp.rtt_mean`; may be repeated."),
]
AggregateName = Annotated[
    Literal["mean", "min", "max", "sum", "count"] | None,
    Query(
        description="What is made of a window; if not given the sum for distributions, the maximum for counters, "
        "otherwise the mean."
    ),
]
Every = Annotated[
    str | None,
    Query(max_length=20, description="Length of a window, such as `30s`, `5m`, `1h`, or `raw` for single points."),
]


@router.get("/status", summary="Every assignment with its newest value")
def status(db: SessionDep, reader: ReaderDep, settings: SettingsDep, _viewer: Viewer) -> Status:
    """What the console's table shows, in one answer."""
    return service.status(db, reader, settings)


@router.get("/tests/{test_id}/results/latest", summary="The newest values of a test")
def latest_results(
    test_id: TestId,
    db: SessionDep,
    reader: ReaderDep,
    settings: SettingsDep,
    _viewer: Viewer,
    since: Annotated[str, Query(max_length=60, description=f"How far back to look. {MOMENT_HELP}")] = "-24h",
    field: FieldNames = [],  # noqa: B006 - FastAPI copies it
    agent: Agents = [],  # noqa: B006
) -> Latest:
    """Agent by agent, with its state; agents that run the test and have no point are there too."""
    since_ns = parse_moment(since, now_ns(), "query.since")
    return latest(db, reader, settings, get_test(db, test_id), since_ns=since_ns, names=field, agents=agent)


@router.get("/tests/{test_id}/results", summary="What a test measured over time")
def results(
    test_id: TestId,
    db: SessionDep,
    reader: ReaderDep,
    _viewer: Viewer,
    span: LastHour,
    every: Every = None,
    points: Annotated[int, Query(ge=1, le=MOST_WINDOWS, description="Windows at most, if `every` isn't given.")] = 300,
    aggregate: AggregateName = None,
    field: FieldNames = [],  # noqa: B006
    agent: Agents = [],  # noqa: B006
) -> History:
    """Windows begin at multiples of their length; empty ones are null. One series for each combination of tags."""
    test = get_test(db, test_id)
    return history(
        reader,
        test,
        span,
        every_ns=_window(every) if every else fitting_window(span, points, test.interval),
        aggregate=Function(aggregate) if aggregate else None,
        names=field,
        agents=agent,
    )


@router.get("/tests/{test_id}/results/runs", summary="The executions of a test")
def result_runs(
    test_id: TestId,
    db: SessionDep,
    reader: ReaderDep,
    _viewer: Viewer,
    span: LastDay,
    limit: Annotated[int, Query(ge=1, le=1000, description="Runs a page.")] = 100,
    agent: Agents = [],  # noqa: B006
) -> Runs:
    """Newest first, with everything that each wrote. The next page is asked for with `stop` = `next`."""
    return runs(reader, get_test(db, test_id), span, limit=limit, agents=agent)


@router.get(
    "/tests/{test_id}/results/export",
    summary="The results of a test as a file",
    response_class=StreamingResponse,
    responses={200: {"description": "The file, in the format asked for.", "content": {"text/csv": {}}}},
)
def export_results(
    test_id: TestId,
    db: SessionDep,
    reader: ReaderDep,
    _viewer: Viewer,
    span: LastDay,
    form: Annotated[Format, Query(alias="format", description="`json` is one array, `ndjson` an object a line.")] = (
        Format.CSV
    ),
    measurement: Annotated[str | None, Query(description="Which of the probe's; its first if not given.")] = None,
    every: Every = "raw",
    aggregate: AggregateName = None,
    field: FieldNames = [],  # noqa: B006
    agent: Agents = [],  # noqa: B006
    units: Annotated[bool, Query(description="For CSV: units in the header, as `rtt_mean [seconds]`.")] = False,  # noqa: FBT002
    accept_encoding: Annotated[str, Header(max_length=1000, description="`gzip` compresses text.")] = "",
) -> StreamingResponse:
    """A stream in order of time, of any length. If the store fails on the way the connection breaks off."""
    test = get_test(db, test_id)
    every_ns = _window(every or "raw")
    selection = select_measurement(SPECS[test.probe], measurement, field)
    if every_ns is not None:
        selection = without_text(selection, field)
    extract = Extract(
        selection=selection,
        columns=make_columns(
            selection, windows=every_ns is not None, aggregate=Function(aggregate) if aggregate else None
        ),
        where=tuple(conditions(test, agent)),
        agents=tuple(agent),
        span=span,
        every_ns=every_ns,
        first_ns=int((every_ns or test.interval * NANOSECONDS) * _RUNS_AT_FIRST),
    )
    return export(reader, extract, form, test=test.key, accept_encoding=accept_encoding, units=units)


_RUNS_AT_FIRST = 1_000


def _window(every: str) -> int | None:
    return None if every == "raw" else parse_duration(every, "query.every")
