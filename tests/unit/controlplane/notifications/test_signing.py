import base64
import hashlib
import hmac
import time
from pathlib import Path
from typing import Any

import pytest

from streamswarm_controlplane.notifications.signing import key_of, new_signing_secret, sign, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_signature_is_the_one_of_the_standards_own_example() -> None:
    # The example of the Standard Webhooks specification's reference libraries.
    headers = sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_message_is_good_only_as_it_was_sent_and_for_a_while() -> None:
    secret, body = new_signing_secret(), b'{"a": 1}'
    headers = sign(secret, "m1", 1000, body)
    assert verify(secret, headers, body, at=1200)
    assert not verify(secret, headers, body + b" ", at=1200)
    assert not verify(secret, {**headers, "webhook-id": "m2"}, body, at=1200)
    assert not verify(secret, {**headers, "webhook-timestamp": "1100"}, body, at=1200)
    assert not verify(secret, headers, body, at=1301)
    assert not verify(new_signing_secret(), headers, body, at=1200)
    assert not verify(secret, {}, body, at=1200)
    rotated = {**headers, "webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}
    assert verify(secret, rotated, body, at=1200)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "x" * 44, "whsec_not base64!"])
def test_a_weak_or_misspelt_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="at least 24 bytes"):
        key_of(secret)


def test_the_key_is_the_decoded_secret() -> None:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, b"i.1.b", hashlib.sha256).digest()).decode()
    assert sign(SECRET, "i", 1, b"b")["webhook-signature"] == f"v1,{expected}"


def test_the_example_in_the_docs_verifies_what_is_sent() -> None:
    text = (Path(__file__).parents[4] / "docs" / "notifications.md").read_text(encoding="utf-8")
    found: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0], found)  # noqa: S102 - our own docs
    secret, body = new_signing_secret(), b'{"a": 1}'
    headers = sign(secret, "m1", int(time.time()), body)
    assert found["is_genuine"](secret, headers, body)
    assert not found["is_genuine"](secret, headers, body + b" ")
    assert not found["is_genuine"](secret, sign(secret, "m1", int(time.time()) - 301, body), body)
