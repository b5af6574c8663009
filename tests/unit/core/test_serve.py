import asyncio
import signal

from starlette.applications import Starlette

from streamswarm_core.serve import QuietServer, uvicorn_config


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
