"""An assignment made ready, and what its runs leave in the spool."""

from pathlib import Path

from streamswarm_agent.budget import Budget
from streamswarm_agent.latest import LatestPoints
from streamswarm_agent.planner import Planner
from streamswarm_agent.probes import Context
from streamswarm_agent.runbook import RunBook
from streamswarm_agent.schedule import Scheduler
from streamswarm_agent.spool import Flush, Spool
from streamswarm_core.clock import now_ns
from streamswarm_core.lineprotocol import parse_line, split_lines
from tests.support import until
from tests.unit.agent.scheduling import LIMITS, assignment, quiet


async def test_each_ping_that_is_given_up_is_a_failed_run_of_its_own_time(tmp_path: Path, context: Context) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=10_000_000)
    flush, latest = Flush(spool), LatestPoints()
    planner = Planner(spool, flush, latest, RunBook(tmp_path / "records.json"), context.engines)
    scheduler = Scheduler(planner.plan, budget=Budget(1e9, 1e12), limits=LIMITS, link_busy=quiet)
    planned_ns = now_ns()
    # The second request is due long after the time is up.
    endless = {"count": 2, "spacing": 10}
    scheduler.update([assignment(1, 0.2, target="127.0.0.1", params=endless, timeout=0.05)])
    await until(lambda: spool.points >= 3, 10)
    await scheduler.close()
    flush.cancel()
    spool.seal()
    segment = spool.oldest()
    assert segment is not None
    points = [parse_line(line) for _, line in split_lines(segment[1].decode())]
    spool.close()
    assert {(one.fields["up"], one.fields["error"]) for one in points} == {(0, "timeout")}
    times = {one.time_ns or 0 for one in points}
    assert len(times) == len(points) >= 3
    assert planned_ns < min(times)
