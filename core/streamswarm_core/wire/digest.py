"""Digest authentication as a client (RFC 7616, for SIP RFC 3261 section 22 and RFC 8760): MD5 and SHA-256."""

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

_HASHES: Final = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
"""Best first. MD5 is what most SIP servers still ask for."""
_PARAMETER: Final = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s,"]+))')
_SESSION: Final = "-SESS"


class DigestError(ValueError):
    """The challenge can't be met."""


@dataclass(slots=True)
class Challenge:
    """What a server asks for.

    Attributes:
        realm: of which the password is.
        nonce: the server's word of the day.
        algorithm: `MD5` or `SHA-256`.
        session: whether it is the `-sess` variant.
        qop: whether the server understands `auth`; without it the answer is that of RFC 2069.
        opaque: to be sent back; None for none.
        stale: the password was right, only the nonce is too old.
        written: the algorithm as the server wrote it; empty if it didn't.
        count: answers given with this nonce.
    """

    realm: str
    nonce: str
    algorithm: str
    session: bool
    qop: bool
    opaque: str | None
    stale: bool
    written: str
    count: int = field(default=0)


def choose(challenges: Sequence[str]) -> Challenge:
    """The best of several challenges, each the value of a WWW-Authenticate or Proxy-Authenticate field.

    Raises:
        DigestError: none of them can be met.
    """
    found = [challenge for challenge in map(_read, challenges) if challenge is not None]
    if not found:
        asked = "; ".join(text[:80] for text in challenges) or "nothing"
        raise DigestError(f"asks for {asked}; known are Digest with MD5 or SHA-256, and qop auth")
    return min(found, key=lambda challenge: list(_HASHES).index(challenge.algorithm))


def _read(text: str) -> Challenge | None:
    scheme, _, rest = text.strip().partition(" ")
    found = {name.lower(): _unescaped(quoted) or plain for name, quoted, plain in _PARAMETER.findall(rest)}
    written = found.get("algorithm", "")
    algorithm = written.upper() or "MD5"
    session = algorithm.endswith(_SESSION)
    algorithm = algorithm.removesuffix(_SESSION)
    offered = [one.strip().lower() for one in found.get("qop", "").split(",") if one.strip()]
    known = algorithm in _HASHES and (not offered or "auth" in offered)
    if scheme.lower() != "digest" or not known or "nonce" not in found or "realm" not in found:
        return None
    return Challenge(
        found["realm"],
        found["nonce"],
        algorithm,
        session,
        bool(offered),
        found.get("opaque"),
        found.get("stale", "").lower() == "true",
        written,
    )


def answer(
    challenge: Challenge,
    *,
    username: str,
    password: str,
    method: str,
    uri: str,
    cnonce: Callable[[], str] = lambda: secrets.token_hex(16),
) -> str:
    """The value of the Authorization or Proxy-Authorization field; counts the use of the nonce.

    Args:
        challenge: what was asked.
        username: whose password it is.
        password: never part of the answer.
        method: of the request.
        uri: of the request.
        cnonce: makes this client's own random text.
    """
    digest = _HASHES[challenge.algorithm]

    def hashed(*parts: str) -> str:
        return digest(":".join(parts).encode(), usedforsecurity=False).hexdigest()

    challenge.count += 1
    ours, count = cnonce(), f"{challenge.count:08x}"
    secret = hashed(username, challenge.realm, password)
    if challenge.session:
        secret = hashed(secret, challenge.nonce, ours)
    asked = hashed(method, uri)
    used = (challenge.nonce, count, ours, "auth") if challenge.qop else (challenge.nonce,)
    fields = [
        f"username={_quoted(username)}",
        f"realm={_quoted(challenge.realm)}",
        f"nonce={_quoted(challenge.nonce)}",
        f"uri={_quoted(uri)}",
        f'response="{hashed(secret, *used, asked)}"',
    ]
    if challenge.written:
        fields.append(f"algorithm={challenge.written}")
    if challenge.qop:
        fields += [f'cnonce="{ours}"', "qop=auth", f"nc={count}"]
    elif challenge.session:
        fields.append(f'cnonce="{ours}"')
    if challenge.opaque is not None:
        fields.append(f"opaque={_quoted(challenge.opaque)}")
    return "Digest " + ", ".join(fields)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
