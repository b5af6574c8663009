import logging
from pathlib import Path

import httpx
import pytest

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.settings import ControlPlaneSettings
from tests.support import find_free_port


async def test_a_database_that_is_away_is_told_to_everybody_and_where_it_is_to_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = find_free_port()
    url = f"postgresql+psycopg://internal-user:a-password@127.0.0.1:{port}/x"
    settings = ControlPlaneSettings(data=tmp_path, database_url=url)
    transport = httpx.ASGITransport(create_app(settings))  # without its start, which would need the database
    with caplog.at_level(logging.WARNING):
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            answer = await client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "fail")
    assert str(port) not in answer.text
    assert "internal-user" not in answer.text
    assert str(port) in caplog.text
    assert "a-password" not in caplog.text
