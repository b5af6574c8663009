import json
import logging
import time
from pathlib import Path
from typing import Any, Final

import jwt

from streamswarm_core.ownfiles import write_whole
from streamswarm_core.tokens import AccessClaims, TokenVerifier

log = logging.getLogger(__name__)

_FRESH_SECONDS: Final = 5.0
_NO_KEYS: Final = (jwt.PyJWTError, AttributeError, KeyError, TypeError, ValueError)
"""What reading something else as keys ends in."""


class PublishedKeys:
    """The control plane's keys as it last published them, kept on disk for when it is away.

    Nothing is asked for here: one service does that in its event loop, another in a thread.

    Args:
        path: the file that keeps them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked = float("-inf")
        self._published: Any = None
        try:
            self._published = json.loads(path.read_text(encoding="utf-8"))
            self._verifier = TokenVerifier(self._published)
        except (OSError, *_NO_KEYS):
            self._verifier = TokenVerifier({})

    def know(self, token: str) -> bool:
        """Whether the token names one of them; if not, ask for them before it is verified, when that is due."""
        return self._verifier.knows(token)

    def are_due(self) -> bool:
        """Whether they may be asked for, and will be now: every 5 s at most, since anybody can make up a token."""
        if time.monotonic() - self._asked < _FRESH_SECONDS:
            return False
        self._asked = time.monotonic()
        return True

    def take(self, published: Any) -> None:
        """Go on with what was published; with what was known if those are no keys, as what a portal answers."""
        if published == self._published:
            return
        try:
            self._verifier = TokenVerifier(published)
        except _NO_KEYS as error:
            log.warning("what the control plane publishes are no keys: %s", error)
            return
        self._published = published
        try:
            write_whole(self._path, json.dumps(published).encode())
        except OSError as error:
            log.error("%s: %s; the keys are not kept for a restart", self._path, error.strerror)  # noqa: TRY400

    def verify(self, token: str) -> AccessClaims:
        """Return what the token says.

        Raises:
            TokenError: see `TokenVerifier.verify`.
        """
        return self._verifier.verify(token)
