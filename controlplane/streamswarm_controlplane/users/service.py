from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.auth.models import UserSession
from streamswarm_controlplane.db import delete_rows
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.security import fold_username, generate_password, hash_password
from streamswarm_controlplane.users.models import User, UserIdentity
from streamswarm_controlplane.users.roles import Role
from streamswarm_controlplane.users.schemas import Identity, ProfileUpdate, UserUpdate
from streamswarm_core.clock import now

_AUDITED = ("username", "display_name", "email", "role", "active")


def query_users(*, role: Role | None = None, active: bool | None = None, part: str = "") -> Select[User]:
    """All users, or those with a role, with or without access, or with a part in their name."""
    query = select(User)
    if role is not None:
        query = query.where(User.role == role.value)
    if active is not None:
        query = query.where(User.active.is_(active))
    return query.where(User.username_key.contains(fold_username(part), autoescape=True)) if part else query


def get_user(db: Session, user_id: str, *, lock: bool = False) -> User:
    """One user; locked, together with the active admins, if they are to be changed.

    All are locked in the order of their ids, so that no two requests wait for each other, and PostgreSQL gives one that
    had to wait the rows as the other one left them. SQLite has one writer at a time from the start.

    Raises:
        ApiError: 404.
    """
    if lock:
        admins = (User.role == Role.ADMIN.value) & User.active
        rows = select(User).where((User.id == user_id) | admins).order_by(User.id).with_for_update()
        db.scalars(rows.execution_options(populate_existing=True)).all()
    user = db.get(User, user_id)
    if user is None:
        raise ApiError(404, f"no user with the id {user_id}")
    return user


def find_user(db: Session, username: str) -> User | None:
    """The user of a name, in any case."""
    return db.scalar(select(User).where(User.username_key == fold_username(username)))


def create_user(
    db: Session,
    actor: Actor,
    username: str,
    role: Role,
    *,
    display_name: str = "",
    email: str = "",
    active: bool = True,
    password: str | None = None,
) -> tuple[User, str]:
    """Add a user with a generated password; returns both.

    Args:
        db: the transaction.
        actor: who adds them.
        username: unique in any case.
        role: what they may do.
        display_name: their full name.
        email: their address.
        active: whether they may log in.
        password: "" for somebody who comes by single sign-on only, and has none.

    Raises:
        ApiError: 409 if the name is taken.
    """
    if password is None:
        password = generate_password()
    user = User(
        username=username,
        username_key=fold_username(username),
        display_name=display_name,
        email=email,
        role=role.value,
        active=active,
        password_hash=hash_password(password) if password else "",
        must_change_password=bool(password),
        created_at=now(),
    )
    _insert(db, user)
    record(db, actor, "user.create", username, after=_audited(user))
    return user, password


def update_user(db: Session, actor: Actor, user: User, change: UserUpdate) -> User:
    """Change a user.

    Raises:
        ApiError: 409 if the name is taken, if it is the actor, or the last active admin.
    """
    if change.role not in {None, Role.ADMIN} or change.active is False:
        keep_an_admin(db, actor, user)
    before = _audited(user)
    values = change.model_dump(exclude_unset=True)
    if "username" in values:
        user.username_key = fold_username(values["username"])
    for name, value in values.items():
        setattr(user, name, value.value if isinstance(value, Role) else value)
    _flush(db, user.username)
    if change.active is False:
        end_sessions(db, user)
    if before != _audited(user):
        record(db, actor, "user.update", before["username"], before=before, after=_audited(user))
    return user


def update_profile(db: Session, actor: Actor, user: User, change: ProfileUpdate) -> User:
    """Change what users may change of themselves."""
    before = _audited(user)
    for name, value in change.model_dump(exclude_unset=True).items():
        setattr(user, name, value)
    if before != _audited(user):
        record(db, actor, "user.profile", user.username, before=before, after=_audited(user))
    return user


def set_role(db: Session, actor: Actor, user: User, role: Role) -> bool:
    """Give a user the role that somebody else decides on; returns False where that would leave no admin.

    The last active admin stays one, whatever an OpenID provider says.
    """
    if user.role == role.value:
        return True
    if role is not Role.ADMIN and not _lock_other_admins(db, user):
        return False
    before = {"role": user.role}
    user.role = role.value
    record(db, actor, "user.update", user.username, before=before, after={"role": user.role})
    return True


def delete_user(db: Session, actor: Actor, user: User) -> None:
    """Remove a user, with their sessions and personal tokens.

    Raises:
        ApiError: 409 if it is the actor, or the last active admin.
    """
    keep_an_admin(db, actor, user)
    record(db, actor, "user.delete", user.username, before=_audited(user))
    db.delete(user)


def reset_password(db: Session, actor: Actor, user: User) -> str:
    """Give a user a generated password that has to be changed at the next login; ends their sessions."""
    password = generate_password()
    user.password_hash = hash_password(password)
    user.must_change_password = True
    user.password_changed_at = now()
    end_sessions(db, user)
    record(db, actor, "user.reset_password", user.username)
    return password


def end_sessions(db: Session, user: User, *, but: str = "") -> int:
    """Log a user out everywhere, but for the session with this token hash; returns how many have ended."""
    return delete_rows(db, delete(UserSession).where(UserSession.user_id == user.id, UserSession.token_hash != but))


def count_users(db: Session) -> int:
    """How many users there are."""
    return db.scalar(select(func.count()).select_from(User)) or 0


def keep_an_admin(db: Session, actor: Actor, user: User) -> None:
    """Make sure that what is about to be done to a user leaves an active admin, whoever else is doing the same now.

    Raises:
        ApiError: 409 if it is the actor, or the last active admin; 403 if the actor has just stopped being an admin.
    """
    if user.id == actor.user_id:
        raise ApiError(409, "you can't demote, deactivate or delete yourself; ask another admin")
    others = _lock_other_admins(db, user)
    if not others:
        raise ApiError(409, "this is the last active admin; make another one first")
    if actor.user_id and actor.user_id not in others:
        raise ApiError(403, "you aren't an admin any more")


def query_identities(user: User) -> Select[UserIdentity]:
    """Who a user is to OpenID providers."""
    return select(UserIdentity).where(UserIdentity.user_id == user.id)


def link(db: Session, actor: Actor, user: User, identity: Identity) -> UserIdentity:
    """Say that somebody at an OpenID provider is this user.

    Raises:
        ApiError: 409 if they are somebody's already.
    """
    row = UserIdentity(issuer=identity.issuer, subject=identity.subject, user_id=user.id, created_at=now())
    try:
        with db.begin_nested():
            db.add(row)
    except IntegrityError:
        raise ApiError(409, "this identity is linked to a user already; unlink it there first") from None
    record(db, actor, "user.link", user.username, after=identity.model_dump())
    return row


def unlink(db: Session, actor: Actor, user: User, identity: Identity) -> None:
    """Undo `link`.

    Raises:
        ApiError: 404.
    """
    row = db.get(UserIdentity, (identity.issuer, identity.subject))
    if row is None or row.user_id != user.id:
        raise ApiError(404, f"{user.username} has no such identity")
    db.delete(row)
    record(db, actor, "user.unlink", user.username, before=identity.model_dump())


def _lock_other_admins(db: Session, user: User) -> set[str]:
    """Ids of the active admins but for one user, locked until the transaction ends."""
    get_user(db, user.id, lock=True)
    admins = select(User.id).where(User.role == Role.ADMIN.value, User.active, User.id != user.id)
    return set(db.scalars(admins))


def _audited(user: User) -> dict[str, Any]:
    return {name: getattr(user, name) for name in _AUDITED}


def _insert(db: Session, user: User) -> None:
    try:
        with db.begin_nested():
            db.add(user)
    except IntegrityError:
        raise _taken(user.username) from None


def _flush(db: Session, username: str) -> None:
    try:
        db.flush()
    except IntegrityError:
        db.rollback()
        raise _taken(username) from None


def _taken(username: str) -> ApiError:
    return ApiError(409, f"the user name {username!r} is taken", field="body.username")
