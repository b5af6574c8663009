from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from streamswarm_collector.app import create_app as create_collector
from streamswarm_collector.settings import CollectorSettings
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.settings import ControlPlaneSettings
from tests.support import serve_app
from tests.unit.controlplane.notifications.tools import Clock, Receiver
from tests.unit.controlplane.notifications.world import DATABASE, Store, World, add_rule


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    app = Starlette(routes=[Route("/{path:path}", made.take, methods=["POST"])])
    with serve_app(app) as url:
        made.url = url
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    settings = CollectorSettings(data=tmp_path_factory.mktemp("store"), auth=False, bucket=DATABASE, flush_seconds=0.01)
    with serve_app(create_collector(settings)) as url:
        yield Store(url)


@pytest.fixture
def world(
    database: Database, settings: ControlPlaneSettings, store: Store, clock: Clock, request: pytest.FixtureRequest
) -> Iterator[World]:
    made = World(database, settings, store, clock, f"{abs(hash(request.node.nodeid)):x}")
    yield made
    made.reader.close()


@pytest.fixture
def rule(world: World) -> World:
    """With a rule that tells everything at once, on one channel."""
    add_rule(world, "all")
    return world
