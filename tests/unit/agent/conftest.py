from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from streamswarm_agent.probes import Context, Engines
from streamswarm_agent.schedule import Scheduler
from tests.lab.servers.certificates import Authority
from tests.unit.agent.occasions import Host
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


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    host = Host(tmp_path)
    host.start()
    yield host
    await host.scheduler.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
