import asyncio
import signal

import pytest
from starlette.applications import Starlette

from streamswarm_agent.settings import AgentSettings
from streamswarm_core.errors import ConfigError
from streamswarm_core.serve import QuietServer, check_address, uvicorn_config


def test_an_address_that_is_not_this_hosts_is_told_from_a_port_in_use() -> None:
    with pytest.raises(ConfigError, match=r"198\.51\.100\.1 port 8803: Cannot assign .* STREAMSWARM_AGENT_HOST, "):
        check_address("198.51.100.1", 8803, AgentSettings)


async def test_a_signal_ends_a_server_that_sleeps() -> None:
    server = QuietServer(uvicorn_config(Starlette(), "127.0.0.1", 0))
    server.config.load()
    server.look_seconds = 3600
    serving = asyncio.create_task(server.main_loop())
    await asyncio.sleep(0)
    assert not serving.done()
    server.handle_exit(signal.SIGTERM, None)
    async with asyncio.timeout(30):
        await serving
