from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.agents.service import state_of
from streamswarm_controlplane.assignments.service import agents_of
from streamswarm_controlplane.results.answers import FieldInfo, Latest, LatestAgent, LatestSeries
from streamswarm_controlplane.results.fields import Selection, select_fields
from streamswarm_controlplane.results.history import conditions
from streamswarm_controlplane.results.schemas import ResultState
from streamswarm_controlplane.results.service import state_of_test
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.catalogue.common import UP
from streamswarm_core.clock import NANOSECONDS, from_ns, now_ns
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reader import Reader, Select


def latest(
    db: Session,
    reader: Reader,
    settings: ControlPlaneSettings,
    test: TestPlan,
    *,
    since_ns: int,
    names: Sequence[str] = (),
    agents: Sequence[str] = (),
) -> Latest:
    """The newest point of each series of a test, agent by agent; agents that run it and have no point are there too.

    Raises:
        ApiError: 422 for an unknown field.
        Unavailable: the store can't be reached.
        Refused: the store doesn't take the question.
    """
    at = now_ns()
    spec = SPECS[test.probe]
    all_fields = [Selection(one, one.fields) for one in spec.measurements if not one.distribution]
    selections = select_fields(spec, names) if names else all_fields
    found: dict[tuple[str, str], list[LatestSeries]] = defaultdict(list)
    for selection in selections:
        for one in _newest(reader, test, selection, since_ns, at, agents):
            found[one.tags.pop("agent", ""), one.tags.pop("site", "")].append(one)
    known = {agent.name: agent for agent in db.scalars(select(Agent))}
    running = set(agents_of(db, test))
    for agent in known.values():
        measured = any(name == agent.name for name, _ in found)
        if agent.id in running and not measured and (not agents or agent.name in agents):
            found[agent.name, agent.site] = []
    answers = [
        LatestAgent(
            agent=name,
            site=site,
            agent_state=state_of(known[name], settings, from_ns(at)) if name in known else None,
            assigned=name in known and known[name].id in running,
            state=_state(test, series, at),
            series=series,
        )
        for (name, site), series in sorted(found.items())
    ]
    return Latest(
        test=test.key,
        generated_at=from_ns(at),
        since=from_ns(since_ns),
        fields=[FieldInfo.of(one.measurement, field) for one in selections for field in one.fields],
        agents=answers,
    )


def _newest(
    reader: Reader, test: TestPlan, selection: Selection, since_ns: int, at: int, agents: Sequence[str]
) -> list[LatestSeries]:
    wanted = list(selection.fields)
    if UP.name in selection.measurement and UP not in wanted:
        wanted.append(UP)  # whether it is up decides the state, also of one who asks for something else
    statement = Select(
        selection.measurement.name,
        [field.name for field in wanted],
        start_ns=since_ns,
        stop_ns=at + 1,
        where=conditions(test, agents),
        group_by=selection.measurement.tags,
        descending=True,
        limit=1,
    )
    answer = []
    for series in reader.select(statement):
        if not series.rows or (agents and series.tags.get("agent", "") not in agents):
            continue
        record = next(series.records())
        time = int(record.pop("time") or 0)
        answer.append(
            LatestSeries(
                measurement=series.name,
                tags={key: value for key, value in series.tags.items() if value and key != "test"},
                time=from_ns(time),
                age=max(0.0, (at - time) / NANOSECONDS),
                values={key: value for key, value in record.items() if value is not None},
            )
        )
    return answer


def _state(test: TestPlan, series: Sequence[LatestSeries], at: int) -> ResultState:
    """By the newest point of the measurement that says whether the target is up."""
    first = SPECS[test.probe].measurements[0].name
    newest = max((one for one in series if one.measurement == first), key=lambda one: one.time, default=None)
    if newest is None:
        newest = max(series, key=lambda one: one.time, default=None)
    if newest is None:
        return state_of_test(test, None, None, at)
    return state_of_test(test, at - int(newest.age * NANOSECONDS), newest.values.get(UP.name), at)
