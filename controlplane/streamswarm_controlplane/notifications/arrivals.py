"""Whether points arrive: of a test, of an agent that is online, of any agent at all. One cause is one alert."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from streamswarm_controlplane.notifications.events import Event, Severity
from streamswarm_controlplane.notifications.findings import Finding, Look, Subject, Verdict
from streamswarm_core.catalogue.platform import AGENT
from streamswarm_core.clock import NANOSECONDS, from_ns, to_ns
from streamswarm_core.reader import Reader, Select
from streamswarm_core.schedule import is_always, read_schedule
from streamswarm_core.schedule import is_silent as schedule_is_silent
from streamswarm_core.wording import format_length

LONG_SECONDS: Final = 40 * 86_400.0
"""How far back a test of a calendar is looked for: monthly ones are found, of rarer ones nothing is said in between."""
_VERDICTS: Final = {True: Verdict.BAD, False: Verdict.GOOD, None: Verdict.UNKNOWN}
_SEVERAL: Final = 2
"""Agents of which nothing arrives for one reason; a single one has its own alert."""
_LEAST_SECONDS: Final = 30.0
"""Three times as long as agents take to write again how they are themselves."""


class Arrivals:
    """What one evaluation sees of points' arrival.

    Args:
        look: what it saw before.
        heard: names of the agents of which any point came of late.
        complaint: tells what the store says is wrong with itself.
    """

    def __init__(self, look: Look, heard: Collection[str], complaint: Callable[[], str]) -> None:
        self._look = look
        self._complaint = complaint
        self._heard = set(heard)
        self._silent: dict[str, int] = defaultdict(int)

    def take(self, subject: Subject, silent: bool | None) -> Iterator[Finding]:  # noqa: FBT001 - of `is_silent`
        """Whether the newest point of a test is older than it should be."""
        if silent:
            self._silent[subject.agent] += 1
        verdict = _VERDICTS[silent]
        if self._look.matters(Event.NO_DATA, subject, verdict):
            yield _of_test(self._look, subject, verdict)

    def together(self) -> Iterator[Finding]:
        """Agents that are online and of which nothing arrives, once all tests have been seen; their tests then wait."""
        look = self._look
        online = dict.fromkeys(subject.agent for subject in look.subjects.values())
        verdicts = {agent: self._verdict(agent) for agent in online if agent not in look.unreachable}
        missing = [agent for agent, verdict in verdicts.items() if verdict is Verdict.BAD]
        complaint = self._complaint() if missing else ""
        store = complaint and f"; the store says: {complaint}"
        for agent, verdict in verdicts.items():
            if verdict is Verdict.BAD:
                look.undelivered[agent] = f"nothing of agent {agent} arrives"
            if verdict is Verdict.BAD or (Event.NO_DATA, agent, "") in look.opened:
                yield self._of_agent(agent, verdict, store)
        overall = Verdict.UNKNOWN
        if Verdict.GOOD in verdicts.values():
            overall = Verdict.GOOD
        elif len(missing) >= _SEVERAL:
            overall = Verdict.BAD
            look.nothing = "nothing of any agent arrives"
        if overall is Verdict.BAD or (Event.NO_DATA, "", "") in look.opened:
            yield _of_all(look, missing, overall, store)

    def _verdict(self, agent: str) -> Verdict:
        if agent in self._heard:
            return Verdict.GOOD
        return Verdict.BAD if self._silent[agent] else Verdict.UNKNOWN

    def _of_agent(self, agent: str, verdict: Verdict, store: str) -> Finding:
        known = self._look.agents[agent]
        return Finding(
            Event.NO_DATA,
            {"agent": agent, **({"site": known.site} if known.site else {})},
            verdict,
            Severity.CRITICAL,
            summary=f"No data of agent {agent}",
            detail=f"the agent is online, but {known.clock or known.queue}{store}",
            more=known.labels,
        )


def _of_all(look: Look, agents: Sequence[str], verdict: Verdict, store: str) -> Finding:
    waiting = sum(look.agents[agent].queued for agent in agents)
    return Finding(
        Event.NO_DATA,
        {},
        verdict,
        Severity.CRITICAL,
        summary="No data of any agent",
        detail=f"{len(agents)} agents are online, but none of their points arrives, and {waiting:,} wait on them; "
        f"look at the collectors, what lies before them, and their store{store}",
    )


def _of_test(look: Look, subject: Subject, verdict: Verdict) -> Finding:
    since = f"within {format_length(subject.limit)}" if _goes_always(subject) else "since a run was due"
    return Finding(
        Event.NO_DATA,
        subject.labels,
        verdict,
        Severity.WARNING,
        summary=f"No data of {subject.name} on {subject.agent}",
        detail="; ".join(filter(None, (f"no point {since}", look.agents[subject.agent].clock))),
        more=subject.more,
    )


def heard(reader: Reader, late_seconds: float, at: datetime) -> set[str]:
    """Names of the agents of which something came of late: they write every few seconds how they are themselves.

    Raises:
        Unavailable: the store can't be reached.
        Refused: the store doesn't take the question.
    """
    # Less than any test's limit, so that the agent's own alert is there when theirs are.
    seconds = max(1.5 * late_seconds, _LEAST_SECONDS)
    statement = Select(
        AGENT.name,
        ["assignments"],
        start_ns=to_ns(at) - int(seconds * NANOSECONDS),
        stop_ns=to_ns(at) + 1,
        group_by=("agent",),
        descending=True,
        limit=1,
    )
    return {series.tags.get("agent", "") for series in reader.select(statement) if series.rows}


def is_silent(subject: Subject, records: list[Mapping[str, Any]], since: datetime, at: datetime) -> bool | None:
    """Whether the newest point is older than it should be, results being readable `since`.

    None where it can't be said: there is no point and none is due yet, or it is late but could not have been read.
    """
    # What was due before that can't be seen by the question that was asked.
    earliest = max(subject.since, at - timedelta(seconds=LONG_SECONDS))
    last = from_ns(int(records[0]["time"])) if records else earliest
    if not _is_late(subject, last, at):
        return False if records else None
    return True if last >= since or _is_late(subject, since, at) else None


def _is_late(subject: Subject, last: datetime, at: datetime) -> bool:
    plan = subject.test_plan
    if _goes_always(subject):
        return (at - last).total_seconds() > subject.limit
    return schedule_is_silent(read_schedule(plan.schedule), plan.interval, plan.timeout, last=last, at=at)


def _goes_always(subject: Subject) -> bool:
    return is_always(read_schedule(subject.test_plan.schedule))
