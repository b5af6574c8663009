"""Who somebody from an OpenID provider is here, and what they may do."""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import Actor
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.users.models import User, UserIdentity
from streamswarm_controlplane.users.roles import Role
from streamswarm_controlplane.users.schemas import Identity, UserCreate
from streamswarm_controlplane.users.service import create_user, find_user, link, set_role

_ACTOR = Actor("single sign-on", kind="system")


def user_of(db: Session, settings: ControlPlaneSettings, claims: Mapping[str, Any]) -> User:
    """The user of an ID token: by issuer and subject, and by nothing else; made if they may be.

    Raises:
        ApiError: 403 if they may not come in, 409 if the name they would get is somebody else's.
    """
    identity = Identity(issuer=settings.oidc_issuer, subject=claims["sub"])
    role = role_of(settings, claims)
    row = db.get(UserIdentity, (identity.issuer, identity.subject))
    user = db.get(User, row.user_id, with_for_update=True) if row else None
    if user is None:
        return _provision(db, settings, claims, identity, role)
    if not user.active:
        raise ApiError(403, "single sign-on: this user is deactivated; ask an admin")
    if settings.oidc_role_claim:
        if role is None:
            raise _no_role(settings)
        # Where that would leave no admin, the role stays: the provider can't lock everybody out.
        set_role(db, _ACTOR, user, role)
    return user


def role_of(settings: ControlPlaneSettings, claims: Mapping[str, Any]) -> Role | None:
    """The strongest role that one of the claim's values stands for."""
    value = claims.get(settings.oidc_role_claim) if settings.oidc_role_claim else None
    values = value if isinstance(value, list) else [value]
    found = {settings.oidc_roles[one] for one in values if isinstance(one, str) and one in settings.oidc_roles}
    return next((role for role in Role if role in found), settings.oidc_default_role)


def _provision(
    db: Session, settings: ControlPlaneSettings, claims: Mapping[str, Any], identity: Identity, role: Role | None
) -> User:
    if not settings.oidc_create_users:
        raise ApiError(403, "single sign-on: nobody here is linked to you; ask an admin to link your account")
    if role is None:
        raise _no_role(settings)
    told = str(claims.get(settings.oidc_username_claim) or claims["sub"])
    name = re.sub(r"[\s/\\:]+", "-", told).strip("-")[:64]
    try:
        new = UserCreate(username=name, display_name=_text(claims.get("name"))[:100])
    except ValueError:
        raise ApiError(403, f"single sign-on: {told!r} can't be a user name here; ask an admin") from None
    if find_user(db, new.username):
        raise ApiError(
            409,
            f"single sign-on: there is a user {new.username!r} already; if it is you, ask an admin to link the account",
        )
    user, _ = create_user(
        db, _ACTOR, new.username, role, display_name=new.display_name, email=_email(claims), password=""
    )
    link(db, _ACTOR, user, identity)
    return user


def _email(claims: Mapping[str, Any]) -> str:
    try:
        return UserCreate(username="x", email=_text(claims.get("email"))).email
    except ValueError:
        return ""


def _text(value: object) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", "", value) if isinstance(value, str) else ""


def _no_role(settings: ControlPlaneSettings) -> ApiError:
    claim = settings.oidc_role_claim or "oidc_default_role"
    return ApiError(403, f"single sign-on: you have no role here by {claim}; ask an admin")
