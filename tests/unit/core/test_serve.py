import asyncio
import signal
import sys
from pathlib import Path

import pytest
from starlette.applications import Starlette

from streamswarm_agent.settings import AgentSettings
from streamswarm_core.errors import ConfigError
from streamswarm_core.serve import QuietServer, check_address, uvicorn_config
from tests.support import find_free_port, run_server


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


def test_workers_that_are_slow_to_start_are_waited_for(tmp_path: Path) -> None:
    port, root = find_free_port(), Path(__file__).parents[3]
    command = [sys.executable, "-m", "tests.unit.core.slow_workers", str(port)]
    with run_server(command, f"http://127.0.0.1:{port}", tmp_path / "log", seconds=90, cwd=root):
        assert "died" not in (tmp_path / "log").read_text()
