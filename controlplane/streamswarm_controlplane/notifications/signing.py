"""Signatures of webhooks, as Standard Webhooks has them (https://www.standardwebhooks.com, symmetric `v1`)."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Final

PREFIX: Final = "whsec_"
SHORTEST_BYTES: Final = 24
TOLERANCE_SECONDS: Final = 300


def new_signing_secret() -> str:
    """32 random bytes, Base64 with the prefix by which such a secret is known."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The key in a secret.

    Raises:
        ValueError: it is none; the message says what would be.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or len(key) < SHORTEST_BYTES:
        raise ValueError(f"give {PREFIX} and at least {SHORTEST_BYTES} bytes in Base64, or nothing to have one made")
    return key


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a message: HMAC-SHA256 over `id.timestamp.body`.

    Args:
        secret: of the channel.
        message_id: the same at each attempt; receivers drop what they have seen.
        timestamp: of the attempt, seconds since the epoch.
        body: as sent.
    """
    content = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key_of(secret), content, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


def verify(secret: str, headers: Mapping[str, str], body: bytes, at: float) -> bool:
    """What a receiver does; docs/notifications.md shows it."""
    try:
        timestamp = int(headers["webhook-timestamp"])
        expected = sign(secret, headers["webhook-id"], timestamp, body)["webhook-signature"]
    except (KeyError, ValueError):
        return False
    offered = headers.get("webhook-signature", "").split()
    return abs(at - timestamp) <= TOLERANCE_SECONDS and any(hmac.compare_digest(expected, one) for one in offered)
