from collections.abc import AsyncIterator

import pytest

from streamswarm_agent.probes import Context, Engines


@pytest.fixture
async def context() -> AsyncIterator[Context]:
    engines = Engines()
    yield Context(engines)
    engines.close()
