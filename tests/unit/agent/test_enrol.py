import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from pydantic import ValidationError

from streamswarm_agent.enrol import credential_path, enrol, has_credential, load_credential
from streamswarm_agent.settings import AgentSettings
from streamswarm_core.errors import ConfigError
from streamswarm_core.problem import MEDIA_TYPE
from tests.support import find_free_port

GOOD = {"agent_id": "7", "name": "berlin-1", "site": "berlin", "secret": "s3cret"}


class ControlPlane(ThreadingHTTPServer):
    """Answers every enrolment alike, and keeps what it was sent."""

    def __init__(self, status: int, body: bytes, media_type: str) -> None:
        self.status, self.body, self.media_type = status, body, media_type
        self.asked: list[dict[str, object]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, ControlPlane)
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.media_type)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class has it so
        """Say nothing."""


@pytest.fixture
def controlplane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    status, body, media_type = getattr(request, "param", (201, json.dumps(GOOD).encode(), "application/json"))
    with ControlPlane(status, body, media_type) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def settings(server: ControlPlane, folder: Path) -> AgentSettings:
    return AgentSettings(data=folder, controlplane_url=f"http://127.0.0.1:{server.server_address[1]}")


def test_a_credential_is_kept_for_its_owner_only(controlplane: ControlPlane, tmp_path: Path) -> None:
    mine = settings(controlplane, tmp_path)
    assert not has_credential(mine)
    enrol(mine, token=" one-time\n")
    assert controlplane.asked[0]["token"] == "one-time"
    kept = load_credential(mine)
    assert kept is not None
    assert (kept.name, kept.secret.get_secret_value()) == ("berlin-1", "s3cret")
    assert credential_path(mine).stat().st_mode & 0o077 == 0
    assert [path.name for path in mine.folder.iterdir()] == ["credential.json"]


@pytest.mark.parametrize(
    "controlplane",
    [
        (201, b"<html>", "text/html"),
        (201, b"[]", "application/json"),
        (201, b'{"secret": "s3cret"}', "application/json"),
    ],
    indirect=True,
)
def test_an_answer_that_is_no_credential_is_one_line_without_what_it_holds(
    controlplane: ControlPlane, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="answers, but not as a control plane does") as caught:
        enrol(settings(controlplane, tmp_path), token="t")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "controlplane",
    [(404, b'{"detail": "Not Found"}', "application/json"), (200, b"<html>", "text/html")],
    indirect=True,
)
def test_what_is_no_control_plane_names_the_setting_to_check(controlplane: ControlPlane, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no control plane's .* --url or STREAMSWARM_AGENT_CONTROLPLANE_URL$"):
        enrol(settings(controlplane, tmp_path), token="t")


@pytest.mark.parametrize(
    "controlplane",
    [(401, json.dumps({"title": "No", "status": 401, "detail": "the token was used before"}).encode(), MEDIA_TYPE)],
    indirect=True,
)
def test_a_refusal_is_in_the_control_planes_words(controlplane: ControlPlane, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^not enrolled: the token was used before$"):
        enrol(settings(controlplane, tmp_path), token="t")


def test_a_token_is_not_used_up_where_the_credential_could_not_be_kept(
    controlplane: ControlPlane, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Not a directory"):
        enrol(settings(controlplane, tmp_path / "file"), token="t")
    assert not controlplane.asked


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small file system")
def test_a_token_is_not_used_up_on_a_full_disk(controlplane: ControlPlane, tmp_path: Path) -> None:
    mine = settings(controlplane, tmp_path)
    program = """
import sys; from pathlib import Path
from streamswarm_agent.enrol import enrol; from streamswarm_agent.settings import AgentSettings
from streamswarm_core.errors import ConfigError
folder = Path(sys.argv[1])
(folder / "agent").mkdir()
try:
    (folder / "full").write_bytes(bytes(1 << 20))
except OSError:
    pass
try:
    enrol(AgentSettings(data=folder, controlplane_url=sys.argv[2]), token="t")
except ConfigError as error:
    print(error, [path.name for path in (folder / "agent").iterdir()])
"""
    script = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" -c "$3" "$1" "$4"'
    argv = ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable, program, mine.controlplane_url]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert "No space left on device; make room" in done.stdout
    assert done.stdout.endswith(" []\n")
    assert not controlplane.asked


@pytest.mark.parametrize(
    "url", ["", "noc.example", "ftp://noc.example", "http://", "http://[::1", "http://h:0", "http://a b"]
)
def test_a_url_that_can_not_be_used_says_what_can(url: str) -> None:
    with pytest.raises(ValidationError, match=r"such as https://noc\.example:8800"):
        AgentSettings(controlplane_url=url)


def test_a_control_plane_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    nobody = AgentSettings(data=tmp_path, controlplane_url=f"http://127.0.0.1:{find_free_port()}")
    with pytest.raises(ConfigError, match="can't be reached"):
        enrol(nobody, token="t")
    with pytest.raises(ConfigError, match="the enrolment token is empty"):
        enrol(nobody, token=" ")
