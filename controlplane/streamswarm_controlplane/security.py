"""Passwords: Argon2id (RFC 9106), and rules that keep the worst ones out."""

import secrets
import unicodedata
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 256
FEWEST_CHARACTERS: Final = 5
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobody() -> str:
    """A hash that a login of an unknown user is checked against, so that it takes as long as any other."""
    return _hasher().hash(secrets.token_urlsafe())


def hash_password(password: str) -> str:
    """Hash with Argon2id."""
    return _hasher().hash(password)


def verify_password(password: str, stored: str | None) -> bool:
    """Whether the password is right; with no stored hash it works as long and says no."""
    try:
        return _hasher().verify(stored or _nobody(), password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def generate_password() -> str:
    """A password of 100 random bits that can be read out over the telephone."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))
    return "-".join(groups)


def weakness(password: str, username: str) -> str:
    """Why a password is too weak, or ""."""
    folded = password.casefold()
    if len(password) < SHORTEST_PASSWORD:
        return f"too short: at least {SHORTEST_PASSWORD} characters"
    if len(password) > LONGEST_PASSWORD:
        return f"too long: at most {LONGEST_PASSWORD} characters"
    if len(set(folded)) < FEWEST_CHARACTERS:
        return f"too simple: at least {FEWEST_CHARACTERS} different characters"
    if username and fold_username(username) in folded:
        return "it contains the user name"
    return ""


def fold_username(username: str) -> str:
    """The form in which user names are compared: NFKC, case-folded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())
