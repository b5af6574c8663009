"""The device of these tests, asked by a client that isn't ours: pygnmi's."""

import asyncio
from typing import Any

from pygnmi.client import gNMIclient

from tests.gnmidevice import Device, running

MEMORY = "/system/memory/state/used"


def ask(port: int) -> tuple[Any, Any, list[Any]]:
    once = {"mode": "once", "encoding": "proto", "subscription": [{"path": MEMORY}]}
    with gNMIclient(target=("127.0.0.1", port), username="monitor", password="pw", insecure=True) as client:
        return client.capabilities(), client.get(path=[MEMORY]), list(client.subscribe(subscribe=once))


async def test_another_client_understands_it() -> None:
    async with running(Device(user=("monitor", "pw"))) as port:
        capabilities, got, (update, synced) = await asyncio.to_thread(ask, port)
    assert capabilities["gnmi_version"] == "0.8.0"
    (notification,) = got["notification"]
    assert notification["update"] == [{"path": "state/used", "val": "2000000000"}]
    assert update.update.update[0].val.uint_val == 2_000_000_000
    assert synced.sync_response
