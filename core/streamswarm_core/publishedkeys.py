import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from streamswarm_core.ownfiles import write_whole
from streamswarm_core.tokens import AccessClaims, TokenVerifier

_FRESH_SECONDS: Final = 5.0


class PublishedKeys:
    """The control plane's keys as it last published them, kept on disk for when it is away.

    Nothing is asked for here: one service does that in its event loop, another in a thread.

    Args:
        path: the file that keeps them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked = float("-inf")
        self._published = self._kept()
        self._verifier = TokenVerifier(self._published)

    def know(self, token: str) -> bool:
        """Whether the token names one of them; if not, ask for them before it is verified, when that is due."""
        return self._verifier.knows(token)

    def are_due(self) -> bool:
        """Whether they may be asked for, and will be now: every 5 s at most, since anybody can make up a token."""
        if time.monotonic() - self._asked < _FRESH_SECONDS:
            return False
        self._asked = time.monotonic()
        return True

    def take(self, published: Mapping[str, Any]) -> None:
        """Go on with what was published.

        Raises:
            OSError: it can't be kept; it is in force all the same.
        """
        if published != self._published:
            self._verifier = TokenVerifier(published)
            self._published = published
            write_whole(self._path, json.dumps(published).encode())

    def verify(self, token: str) -> AccessClaims:
        """Return what the token says.

        Raises:
            TokenError: see `TokenVerifier.verify`.
        """
        return self._verifier.verify(token)

    def _kept(self) -> Mapping[str, Any]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
