"""Passwords: Argon2id (RFC 9106), and rules that keep the worst ones out."""

import re
import secrets
import threading
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 256
FEWEST_CHARACTERS: Final = 5
SHORTEST_WORD: Final = 3
FEWEST_OTHERS: Final = 6
"""Characters that must be left when what is known of the user is taken out of a password."""
LEAST_SCORE: Final = 3
"""Of zxcvbn's 0 to 4: 3 is at least 10⁸ guesses of somebody who knows the usual lists."""
_JUDGED_CHARACTERS: Final = 72
"""zxcvbn's time grows with the square of the length; what is as good as this so far stays as good."""
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_judging: Final = threading.Lock()


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


def verify_password(password: str, stored: str) -> bool:
    """Whether the password is right; without a stored hash it works as long and says no."""
    try:
        return _hasher().verify(stored or _nobody(), password) and bool(stored)
    except (VerificationError, InvalidHashError):
        return False


def generate_password() -> str:
    """A password of 100 random bits that can be read out over the telephone."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))
    return "-".join(groups)


def weakness(password: str, username: str, about: Iterable[str] = (), *, shortest: int = SHORTEST_PASSWORD) -> str:
    """Why a password is too weak, or "".

    Args:
        password: the password.
        username: must not be in it.
        about: what an attacker would try first for this user: full name, e-mail address.
        shortest: fewest characters.
    """
    folded = password.casefold()
    if len(password) < shortest:
        return f"too short: at least {shortest} characters"
    if len(password) > LONGEST_PASSWORD:
        return f"too long: at most {LONGEST_PASSWORD} characters"
    if len(set(folded)) < FEWEST_CHARACTERS:
        return f"too simple: at least {FEWEST_CHARACTERS} different characters"
    if len(username) >= SHORTEST_WORD and fold_username(username) in folded:
        return "it contains the user name"
    known = [word for text in (username, *about, "streamswarm") for word in (text, *re.split(r"[\W_]+", text)) if word]
    rest = folded
    for word in sorted((word.casefold() for word in known if len(word) >= SHORTEST_WORD), key=len, reverse=True):
        rest = rest.replace(word, "")
    if len(rest) < FEWEST_OTHERS:
        return "too easy to guess: it is little more than your own name or address"
    with _judging:  # zxcvbn keeps the words of one call where the next one's go
        judged = zxcvbn(password[:_JUDGED_CHARACTERS], user_inputs=known)
    if judged["score"] < LEAST_SCORE:
        why = judged["feedback"]["warning"] or "It is among the first that are tried."
        return f"too easy to guess: {why} Three or four unrelated words are a good password."
    return ""


def fold_username(username: str) -> str:
    """The form in which user names are compared: NFKC, case-folded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())
