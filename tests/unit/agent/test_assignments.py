from pathlib import Path

import pytest

from streamswarm_agent.assignments import AssignmentStore
from streamswarm_agent.enrol import credential_path, enrol, load_credential
from streamswarm_agent.settings import AgentSettings
from streamswarm_core.assignment import Assignment, AssignmentSet
from streamswarm_core.errors import ConfigError
from tests.support import find_free_port

ONE = Assignment(id="1", test="t", probe="icmp", target="x", interval=5, timeout=1)


def test_the_newest_set_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "assignments.json"
    store = AssignmentStore(path, "me")
    assert store.current.version == 0
    assert store.take(AssignmentSet(agent_id="me", version=3, assignments=(ONE,)))
    assert AssignmentStore(path, "me").current.assignments == (ONE,)
    # Nobody else reads the passwords among its options.
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("stale", [AssignmentSet(agent_id="me", version=2), AssignmentSet(agent_id="other", version=9)])
def test_an_older_set_or_another_agents_is_not_taken(tmp_path: Path, stale: AssignmentSet) -> None:
    store = AssignmentStore(tmp_path / "a.json", "me")
    store.take(AssignmentSet(agent_id="me", version=3, assignments=(ONE,)))
    assert not store.take(stale)
    assert store.current.version == 3


def test_a_disk_that_takes_nothing_is_no_reason_to_stay_with_older_ones(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = AssignmentStore(tmp_path / "file" / "a.json", "me")
    assert store.take(AssignmentSet(agent_id="me", version=3, assignments=(ONE,)))
    assert store.current.version == 3


def test_a_damaged_file_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    assert AssignmentStore(tmp_path / "a.json", "me").current.version == 0


def test_a_set_has_room_for_a_signature() -> None:
    signed = AssignmentSet(agent_id="me", version=1, signature="abc", key_id="k")
    assert AssignmentSet.model_validate_json(signed.model_dump_json()) == signed


def test_a_control_plane_that_is_away_is_named(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{find_free_port()}"
    with pytest.raises(ConfigError, match=f"{url} can't be reached"):
        enrol(AgentSettings(data=tmp_path, controlplane_url=url), token="x")
    assert load_credential(AgentSettings(data=tmp_path)) is None


def test_a_damaged_credential_says_what_to_do(tmp_path: Path) -> None:
    settings = AgentSettings(data=tmp_path)
    settings.folder.mkdir()
    credential_path(settings).write_text("{}")
    with pytest.raises(ConfigError, match="enrol --force"):
        load_credential(settings)
