from collections.abc import AsyncIterator, Callable

import pytest

from streamswarm_agent.probes import Context, Engines
from streamswarm_agent.schedule import Scheduler
from tests.unit.agent.scheduling import Bench


@pytest.fixture
async def context() -> AsyncIterator[Context]:
    engines = Engines()
    yield Context(engines)
    engines.close()


@pytest.fixture
async def schedulers() -> AsyncIterator[Callable[[Bench], Scheduler]]:
    made: list[Scheduler] = []

    def make(bench: Bench) -> Scheduler:
        made.append(bench.make())
        return made[-1]

    yield make
    for scheduler in made:
        await scheduler.close()
