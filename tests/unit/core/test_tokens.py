import stat
import time
from pathlib import Path

import pytest

from streamswarm_core.errors import ConfigError, TokenError
from streamswarm_core.tokens import LEEWAY_SECONDS, RememberingVerifier, Scope, SigningKey, TokenVerifier


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


def issue(key: SigningKey, now: float | None = None) -> str:
    return key.issue(subject="a1", name="berlin-1", site="berlin", scopes=[Scope.WRITE], lifetime=60.0, now=now)


def test_an_issued_token_is_verified_with_the_published_key_alone(key: SigningKey) -> None:
    claims = TokenVerifier(key.jwks()).verify(issue(key))
    assert (claims.sub, claims.name, claims.site, claims.scopes) == (
        "a1",
        "berlin-1",
        "berlin",
        frozenset({Scope.WRITE}),
    )


def test_the_published_keys_hold_nothing_private(key: SigningKey) -> None:
    assert "d" not in key.jwks()["keys"][0]


def test_another_keys_token_is_refused(key: SigningKey) -> None:
    verifier = TokenVerifier(SigningKey.generate().jwks())
    assert not verifier.knows(issue(key))
    with pytest.raises(TokenError, match="doesn't publish"):
        verifier.verify(issue(key))


def test_an_expired_token_is_refused(key: SigningKey) -> None:
    with pytest.raises(TokenError, match="expired"):
        TokenVerifier(key.jwks()).verify(issue(key, now=time.time() - 3600))


def test_a_token_that_was_checked_before_expires_all_the_same(key: SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier, token = RememberingVerifier(TokenVerifier(key.jwks())), issue(key)
    claims = verifier.verify(token)
    monkeypatch.setattr(time, "time", lambda: claims.exp + LEEWAY_SECONDS - 1)
    assert verifier.verify(token) == claims
    monkeypatch.setattr(time, "time", lambda: claims.exp + LEEWAY_SECONDS)
    with pytest.raises(TokenError, match="expired"):
        verifier.verify(token)


def test_a_token_with_one_changed_character_is_refused(key: SigningKey) -> None:
    token = issue(key)
    middle = token.index(".") + 10
    changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    with pytest.raises(TokenError):
        TokenVerifier(key.jwks()).verify(changed)


def test_an_unsigned_token_is_refused(key: SigningKey) -> None:
    header, payload, _ = issue(key).split(".")
    with pytest.raises(TokenError):
        TokenVerifier(key.jwks()).verify(f"{header}.{payload}.")


def test_a_key_is_made_once_and_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    first = SigningKey.load_or_create(path)
    assert SigningKey.load_or_create(path).kid == first.kid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("nonsense")
    with pytest.raises(ConfigError, match=r"key\.pem: not a PEM private key"):
        SigningKey.load_or_create(tmp_path / "key.pem")
