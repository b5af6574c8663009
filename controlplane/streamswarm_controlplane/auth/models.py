from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base, new_id


class UserSession(Base):
    """A browser that is logged in. The cookie's secret is stored hashed; `id` is for lists.

    `method` says how: `password` or `oidc`.
    """

    __tablename__ = "sessions"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True, index=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    csrf_token: Mapped[str]
    method: Mapped[str] = mapped_column(default="password")
    address: Mapped[str] = mapped_column(default="")
    user_agent: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class LoginThrottle(Base):
    """Failed logins of one account or one address, in the database so that all workers count together."""

    __tablename__ = "login_throttles"

    key: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    blocked_until: Mapped[datetime]
    last_failure_at: Mapped[datetime | None]


class KnownAddress(Base):
    """Where a user has logged in from before: strangers' failures don't block the account there."""

    __tablename__ = "known_addresses"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    last_login_at: Mapped[datetime]


class OidcLogin(Base):
    """A login at an OpenID provider that is under way; used once, by the browser that began it.

    `state_hash` covers the state that goes over the provider, `browser_hash` the cookie that doesn't.
    """

    __tablename__ = "oidc_logins"

    state_hash: Mapped[str] = mapped_column(primary_key=True)
    browser_hash: Mapped[str]
    nonce: Mapped[str]
    code_verifier: Mapped[str]
    next_path: Mapped[str]
    expires_at: Mapped[datetime]
