"""Opaque secrets: passwords for programs, shown once and stored hashed."""

import hashlib
import hmac
import secrets
from enum import StrEnum


class SecretKind(StrEnum):
    """The prefix of a secret says what it is, so that a leaked one can be recognised."""

    ENROLMENT = "sse"
    AGENT = "ssa"
    STATIC = "sst"
    SESSION = "sss"


def new_secret(kind: SecretKind) -> str:
    """Make a 256-bit random secret, to be shown once."""
    return f"{kind}_{secrets.token_urlsafe(32)}"


def hash_secret(secret: str) -> str:
    """SHA-256 in hex. A slow hash would add nothing: 256 random bits can't be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def secret_matches(secret: str, stored_hash: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(hash_secret(secret), stored_hash)
