from streamswarm_agent.probes import Engines

closed: list[str] = []


class Listener:
    def close(self) -> None:
        closed.append("listener")


class Names:
    def __init__(self, path: str) -> None:
        self.path = path

    def close(self) -> None:
        closed.append("names")


def test_all_runs_get_the_same_engine_and_two_agents_do_not_share_it() -> None:
    engines = Engines()
    assert engines.get(Listener) is engines.get(Listener)
    assert engines.get(Listener) is not Engines().get(Listener)


def test_an_engine_that_needs_a_setting_is_handed_over_ready() -> None:
    assert Engines(Names("cities")).get(Names).path == "cities"


def test_they_are_closed_once_the_last_made_first() -> None:
    closed.clear()
    engines = Engines(Names("cities"))
    engines.get(Listener)
    engines.close()
    engines.close()
    assert closed == ["listener", "names"]
