"""Short-lived access tokens, which collectors verify offline.

An access token is a JWT (RFC 7519) signed with Ed25519 (RFC 8037, `alg: EdDSA`); the control plane publishes its keys
as a JWK set (RFC 7517).
"""

import hashlib
import json
import time
import uuid
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import BaseModel, ConfigDict

from streamswarm_core.errors import ConfigError, TokenError
from streamswarm_core.ownfiles import write_once

ALGORITHM: Final = "EdDSA"
AUDIENCE: Final = "streamswarm"
LEEWAY_SECONDS: Final = 30.0
"""How far a collector's clock may differ from the control plane's."""
_MOST_REMEMBERED: Final = 10_000
"""Tokens whose signature isn't checked again, about 2 kB each."""


class Scope(StrEnum):
    """What a token may do."""

    WRITE = "write"
    READ = "read"
    ADMIN = "admin"
    INTROSPECT = "introspect"
    AGENT = "agent"


class AccessClaims(BaseModel):
    """What an access token says of its bearer.

    Attributes:
        sub: id of the agent or service account.
        name: the `agent` tag's value.
        site: the `site` tag's value; empty for none.
        scopes: what it may do.
        iat: issued at, seconds since the epoch.
        exp: expires at, seconds since the epoch.
        jti: unique id.
    """

    model_config = ConfigDict(frozen=True)

    sub: str
    name: str
    site: str = ""
    scopes: frozenset[Scope]
    iat: float
    exp: float
    jti: str


class SigningKey:
    """The control plane's private key."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.kid: Final = hashlib.sha256(public).hexdigest()[:16]

    @classmethod
    def generate(cls) -> Self:
        """Make a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Read the key from a PEM file, or make one that only its owner can read.

        Raises:
            ConfigError: the file is there and holds no Ed25519 key.
        """
        if not path.exists():
            private = Ed25519PrivateKey.generate()
            write_once(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return cls._load(path)

    @classmethod
    def _load(cls, path: Path) -> Self:
        try:
            private = load_pem_private_key(path.read_bytes(), password=None)
        except ValueError:
            raise ConfigError(f"{path}: not a PEM private key; remove it to have a new one made") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigError(f"{path}: not an Ed25519 key; remove it to have a new one made")
        return cls(private)

    def issue(
        self,
        *,
        subject: str,
        name: str,
        scopes: Iterable[Scope],
        lifetime: float,
        site: str = "",
        now: float | None = None,
    ) -> str:
        """Sign an access token.

        Args:
            subject: id of the bearer.
            name: becomes the `agent` tag.
            scopes: what the bearer may do.
            lifetime: seconds until it expires.
            site: becomes the `site` tag.
            now: seconds since the epoch; the current time unless given.
        """
        issued = time.time() if now is None else now
        claims = {
            "aud": AUDIENCE,
            "sub": subject,
            "name": name,
            "site": site,
            "scopes": sorted(scopes),
            "iat": issued,
            "exp": issued + lifetime,
            "jti": uuid.uuid4().hex,
        }
        return jwt.encode(claims, self._private, algorithm=ALGORITHM, headers={"kid": self.kid})

    def jwks(self) -> dict[str, Any]:
        """The public half as a JWK set."""
        jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(self._private.public_key()))
        return {"keys": [{**jwk, "kid": self.kid, "use": "sig", "alg": ALGORITHM}]}


class TokenVerifier:
    """Checks access tokens against published keys, without asking anybody."""

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._keys = {key["kid"]: jwt.PyJWK(key) for key in jwks.get("keys", []) if key.get("kid")}

    def knows(self, token: str) -> bool:
        """Whether the token names one of these keys (false calls for fetching them afresh)."""
        try:
            return jwt.get_unverified_header(token).get("kid") in self._keys
        except jwt.PyJWTError:
            return False

    def verify(self, token: str) -> AccessClaims:
        """Return what the token says.

        Raises:
            TokenError: it is malformed, expired, or signed with another key.
        """
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(str(kid))
            if key is None:
                raise TokenError("access token is signed with a key that the control plane doesn't publish")
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "sub"]},
            )
            return AccessClaims.model_validate(claims)
        except jwt.ExpiredSignatureError:
            raise _expired() from None
        except (jwt.PyJWTError, ValueError) as error:
            raise TokenError(f"not a valid access token: {error}") from None


class RememberingVerifier:
    """Checks a token's signature once, and its expiry every time; for who is sent the same tokens again and again.

    Args:
        verifier: checks what isn't remembered.
    """

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verify = lru_cache(_MOST_REMEMBERED)(verifier.verify)

    def verify(self, token: str) -> AccessClaims:
        """Return what the token says.

        Raises:
            TokenError: see `TokenVerifier.verify`.
        """
        claims = self._verify(token)
        if claims.exp + LEEWAY_SECONDS <= time.time():
            raise _expired()
        return claims


def _expired() -> TokenError:
    return TokenError("access token has expired; ask the control plane for a new one")
