"""Digest authentication against the examples of its RFCs."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from streamswarm_core.wire.digest import DigestError, answer, choose

REALM = 'realm="http-auth@example.org"'
NONCE = 'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"'
OPAQUE = 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def response(challenge: str, *, cnonce: str = CNONCE, password: str = "Circle of Life", **more: str) -> str:
    given = {"username": "Mufasa", "method": "GET", "uri": "/dir/index.html", **more}
    text = answer(choose([challenge]), password=password, cnonce=lambda: cnonce, **given)
    assert password not in text
    (found,) = re.findall(r'response="([0-9a-f]+)"', text)
    return str(found)


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616_come_out(algorithm: str, expected: str) -> None:
    challenge = f'Digest {REALM}, qop="auth, auth-int", algorithm={algorithm}, {NONCE}, {OPAQUE}'
    assert response(challenge) == expected


def test_the_example_of_rfc_2617_comes_out() -> None:
    challenge = (
        f'Digest realm="testrealm{"@"}host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    found = response(challenge, cnonce="0a4f113b", password="Circle Of Life")
    assert found == "6629fae49393a05397450978507c4ef1"


def test_without_qop_the_answer_is_that_of_rfc_2069() -> None:
    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 - the algorithm that was asked for

    expected = md5(f"{md5('Mufasa:r:secret')}:n:{md5('REGISTER:sip:r')}")
    challenge = 'Digest realm="r", nonce="n"'
    assert response(challenge, password="secret", method="REGISTER", uri="sip:r") == expected


def test_a_session_key_hashes_the_nonces_too() -> None:
    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    secret = sha(f"{sha('Mufasa:r:secret')}:n:c")
    expected = sha(f"{secret}:n:00000001:c:auth:{sha('INVITE:sip:a@r')}")
    challenge = 'Digest realm="r", nonce="n", qop=auth, algorithm=SHA-256-sess'
    assert response(challenge, cnonce="c", password="secret", method="INVITE", uri="sip:a@r") == expected


def test_each_use_of_a_nonce_has_its_number_and_all_comes_back() -> None:
    challenge = choose([f"Digest {REALM}, {NONCE}, {OPAQUE}, qop=auth, algorithm=md5"])
    first, second = (answer(challenge, username='a"b', password="p", method="INVITE", uri="sip:x") for _ in range(2))
    assert "nc=00000001" in first
    assert "nc=00000002" in second
    assert OPAQUE in first
    assert "algorithm=md5" in first
    assert 'username="a\\"b"' in first
    assert first.partition("cnonce=")[2] != second.partition("cnonce=")[2]


def test_the_stronger_of_two_challenges_is_met() -> None:
    both = [f"Digest {REALM}, {NONCE}, algorithm=MD5", f"Digest {REALM}, {NONCE}, algorithm=SHA-256, stale=TRUE"]
    chosen = choose(both)
    assert (chosen.algorithm, chosen.stale) == ("SHA-256", True)


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Basic realm=x",
        f"Digest {REALM}, {NONCE}, algorithm=SHA-512-256",
        f"Digest {REALM}, {NONCE}, qop=auth-int",
        f"Digest {REALM}",
        f"Digest {NONCE}",
    ],
)
def test_what_cant_be_met_says_what_could(challenge: str) -> None:
    with pytest.raises(DigestError, match="Digest with MD5 or SHA-256"):
        choose([challenge])


@given(some.text(max_size=80))
def test_garbage_is_refused_and_nothing_worse(text: str) -> None:
    for challenge in (text, f"Digest {text}", f"Digest {REALM}, {NONCE}, {text}"):
        try:
            answer(choose([challenge]), username="u", password="p", method="M", uri="sip:u")
        except DigestError:
            continue
