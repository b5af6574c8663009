"""Channels' secrets in the database: sealed with a key that is in the data folder and not in the database."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from cryptography.fernet import Fernet, InvalidToken

from streamswarm_core.errors import ConfigError, StreamSwarmError
from streamswarm_core.ownfiles import write_once

KEY_FILE: Final = "channel-key"


class SealedError(StreamSwarmError):
    """A secret was sealed with another key than the one in the data folder."""


class SecretBox:
    """Seals with Fernet: AES-128 in CBC mode, HMAC-SHA256 (https://github.com/fernet/spec)."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Read the key from a file, or make one that only its owner can read.

        Raises:
            ConfigError: the file is there and holds no key.
        """
        if not path.exists():
            write_once(path, Fernet.generate_key())
        return cls._load(path)

    @classmethod
    def _load(cls, path: Path) -> Self:
        try:
            return cls(path.read_bytes().strip())
        except ValueError:
            raise ConfigError(
                f"{path}: no Fernet key; put the backup back, or remove the file to have a new key made "
                "and enter the channels' secrets again"
            ) from None

    def seal(self, secrets: Mapping[str, Any]) -> str:
        """Encrypt; nothing for nothing."""
        return self._fernet.encrypt(json.dumps(secrets).encode()).decode() if secrets else ""

    def open(self, sealed: str) -> dict[str, Any]:
        """Decrypt.

        Raises:
            SealedError: another key was used.
        """
        if not sealed:
            return {}
        try:
            found: dict[str, Any] = json.loads(self._fernet.decrypt(sealed.encode()))
        except InvalidToken:
            raise SealedError(
                f"the channel's secrets were sealed with another key than {KEY_FILE}; enter them again"
            ) from None
        return found
