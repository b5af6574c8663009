from collections.abc import AsyncIterator

import pytest

from streamswarm_agent.net.icmp import IcmpEngine
from streamswarm_agent.probes import Context


@pytest.fixture
async def context() -> AsyncIterator[Context]:
    engine = IcmpEngine()
    yield Context(engine)
    engine.close()
