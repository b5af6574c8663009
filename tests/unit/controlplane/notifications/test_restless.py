"""What comes and goes: one alert, told once, closed once it is steady."""

from datetime import timedelta

import pytest

from tests.unit.controlplane.notifications.world import World, add_rule, decides

pytestmark = decides


@pytest.fixture
def world(world: World) -> World:
    world.settings = world.evaluator._settings = world.settings.model_copy(update={"steady_seconds": 180})
    world.add_agent("a", "ping", "dns")
    world.run(30)
    return world


def flap(world: World, times: int, test: str = "ping") -> None:
    """Down for three runs, up for three."""
    for _ in range(times):
        world.down = {test}
        world.run(30)
        world.down = set()
        world.run(30)


def test_a_link_that_flaps_is_told_three_times_and_closed_once_it_is_steady(world: World) -> None:
    add_rule(world, "all")
    flap(world, 14)
    words = "comes and goes: 3 times within 9 min, closes once all was well for 3 min"
    (alert,) = world.alerts().values()
    assert alert.detail == f"well since {world.clock.at - timedelta(seconds=30):%H:%M:%S} UTC; {words}"
    world.down = {"ping"}
    world.run(20)
    assert world.alerts()["test_down ping"].detail == f"timeout: no reply; {words}"
    world.down = set()
    opened_at = alert.opened_at
    world.run(220)
    assert world.alerts() == {}
    assert [kind for kind, _ in world.told()] == ["opened", "closed"] * 3
    last = world.messages()[-1]["alerts"][0]
    assert last["close_reason"] == "recovered"
    assert world.alerts(opened=False)["test_down ping"].opened_at <= opened_at
    # All that is long ago: the next one is as any other.
    world.run(600)
    flap(world, 1)
    assert world.alerts() == {}


def test_a_link_that_flaps_within_the_wait_is_told_all_the_same(world: World) -> None:
    add_rule(world, "patient", wait=30)
    flap(world, 6)
    assert world.told() == [("opened", ["test_down open"])]


def test_an_agent_that_comes_and_goes_still_has_time_to_send(world: World) -> None:
    for _ in range(3):
        world.silent = {"a"}
        world.run(200)
        world.silent = set()
        world.run(30)
    assert list(world.alerts()) == ["agent_offline a"]
    world.unmeasured, world.silent = {"ping"}, {"a"}
    world.run(200)
    world.silent = set()
    world.run(20)
    assert "agent_offline a" in world.alerts()
    held = world.alerts()["no_data ping"].held_back
    assert held == f"agent {world.own('a')} has just come back"
