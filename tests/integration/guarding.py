"""Collectors that ask for tokens, and tokens that they take."""

import json
from pathlib import Path
from typing import Any

from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.tokens import Scope, SigningKey

KEY = SigningKey.generate()


def bearer(name: str, *scopes: Scope) -> dict[str, str]:
    token = KEY.issue(subject=f"id-{name}", name=name, scopes=frozenset(scopes), lifetime=3600)
    return {"Authorization": f"Bearer {token}"}


ADMIN = bearer("admin", Scope.READ, Scope.ADMIN)


def guarded(folder: Path, **changes: Any) -> CollectorSettings:
    """Settings of a collector that asks for tokens and knows who signs them."""
    settings = CollectorSettings(data=folder, **changes)
    settings.folder.mkdir(parents=True, exist_ok=True)
    (settings.folder / "keys.json").write_text(json.dumps(KEY.jwks()))
    return settings
