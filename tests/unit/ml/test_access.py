import json
from pathlib import Path

import httpx
import pytest

from streamswarm_core.errors import ScopeError, TokenError
from streamswarm_core.tokens import Scope, SigningKey
from streamswarm_ml.access import Gatekeeper

KEY = SigningKey.generate()


class ControlPlane:
    """Answers as the real one does; may be away."""

    def __init__(self) -> None:
        self.away = False
        self.revoked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("refused", request=request)
        if request.url.path == "/api/v1/keys":
            return httpx.Response(200, json=KEY.jwks())
        return httpx.Response(200, json={"revoked": self.revoked})


def gatekeeper(folder: Path, controlplane: ControlPlane, own: str = "") -> Gatekeeper:
    client = httpx.Client(transport=httpx.MockTransport(controlplane))
    return Gatekeeper("http://cp", lambda: own, folder / "keys.json", client)


def token(*scopes: Scope, lifetime: float = 60.0, subject: str = "u") -> str:
    return "Bearer " + KEY.issue(subject=subject, name="x", scopes=scopes, lifetime=lifetime)


def test_a_token_of_the_control_plane_opens_what_its_scopes_say(tmp_path: Path) -> None:
    gate = gatekeeper(tmp_path, ControlPlane())
    gate.check(token(Scope.READ), Scope.READ)
    with pytest.raises(ScopeError, match="may not admin"):
        gate.check(token(Scope.READ), Scope.ADMIN)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic eDp5", "Bearer nonsense", "Bearer a.b.c"])
def test_without_a_good_token_nothing_opens(tmp_path: Path, header: str) -> None:
    with pytest.raises(TokenError):
        gatekeeper(tmp_path, ControlPlane()).check(header, Scope.READ)


def test_an_own_token_that_is_missing_is_not_matched_by_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(TokenError):
        gatekeeper(tmp_path, ControlPlane(), own="").check("Bearer ", Scope.READ)


def test_the_services_own_token_opens_everything_while_the_control_plane_is_away(tmp_path: Path) -> None:
    controlplane = ControlPlane()
    controlplane.away = True
    gatekeeper(tmp_path, controlplane, own="sst_own").check("Bearer sst_own", Scope.ADMIN)


def test_an_expired_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="expired"):
        gatekeeper(tmp_path, ControlPlane()).check(token(Scope.READ, lifetime=-100), Scope.READ)


def test_an_agents_token_opens_nothing_whatever_else_it_may(tmp_path: Path) -> None:
    with pytest.raises(ScopeError, match="may not write here"):
        gatekeeper(tmp_path, ControlPlane()).check(token(Scope.AGENT, Scope.WRITE), Scope.WRITE)


def test_a_revoked_bearer_is_refused(tmp_path: Path) -> None:
    controlplane = ControlPlane()
    controlplane.revoked = ["gone"]
    with pytest.raises(TokenError, match="revoked"):
        gatekeeper(tmp_path, controlplane).check(token(Scope.READ, subject="gone"), Scope.READ)


def test_keys_are_kept_for_when_the_control_plane_is_away(tmp_path: Path) -> None:
    controlplane = ControlPlane()
    gatekeeper(tmp_path, controlplane).check(token(Scope.READ), Scope.READ)
    controlplane.away = True
    gatekeeper(tmp_path, controlplane).check(token(Scope.READ), Scope.READ)
    assert "d" not in json.loads((tmp_path / "keys.json").read_text())["keys"][0]


def test_without_keys_and_control_plane_no_token_is_believed(tmp_path: Path) -> None:
    controlplane = ControlPlane()
    controlplane.away = True
    with pytest.raises(TokenError, match="doesn't publish"):
        gatekeeper(tmp_path, controlplane).check(token(Scope.READ), Scope.READ)
