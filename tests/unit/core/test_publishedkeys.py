import json
import time
from pathlib import Path

import pytest

from streamswarm_core.errors import TokenError
from streamswarm_core.publishedkeys import PublishedKeys
from streamswarm_core.tokens import Scope, SigningKey

KEY = SigningKey.generate()
TOKEN = KEY.issue(subject="a1", name="berlin-1", scopes=[Scope.WRITE], lifetime=3600.0)


def test_what_was_published_is_believed_and_kept_for_the_next_start(tmp_path: Path) -> None:
    keys = PublishedKeys(tmp_path / "keys.json")
    assert not keys.know(TOKEN)
    with pytest.raises(TokenError, match="doesn't publish"):
        keys.verify(TOKEN)
    keys.take(KEY.jwks())
    assert keys.know(TOKEN)
    assert PublishedKeys(tmp_path / "keys.json").verify(TOKEN).name == "berlin-1"


NO_KEYS = ["[]", "null", '"login"', '{"keys": 1}', '{"keys": [1]}', '{"keys": [{"kid": "a"}]}']


@pytest.mark.parametrize("content", NO_KEYS)
def test_what_are_no_keys_leaves_those_that_are_known(tmp_path: Path, content: str) -> None:
    keys = PublishedKeys(tmp_path / "keys.json")
    keys.take(KEY.jwks())
    keys.take(json.loads(content))
    assert keys.know(TOKEN)
    assert PublishedKeys(tmp_path / "keys.json").know(TOKEN)


def test_keys_that_the_disk_does_not_take_are_in_force_all_the_same(tmp_path: Path) -> None:
    keys = PublishedKeys(tmp_path / "none/keys.json")
    keys.take(KEY.jwks())
    assert keys.know(TOKEN)


@pytest.mark.parametrize("content", ["", "{", *NO_KEYS])
def test_a_file_that_holds_no_keys_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    assert not PublishedKeys(tmp_path / "keys.json").know(TOKEN)


def test_tokens_that_are_made_up_bring_a_question_every_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, now = PublishedKeys(tmp_path / "keys.json"), time.monotonic()
    asked = []
    for seconds in (0.0, 1.0, 4.9, 5.1, 6.0, 10.2):
        monkeypatch.setattr(time, "monotonic", lambda seconds=seconds: now + seconds)
        asked.append(keys.are_due())
    assert asked == [True, False, False, True, False, True]
