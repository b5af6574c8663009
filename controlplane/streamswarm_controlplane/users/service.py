from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.auth.models import UserSession
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.security import fold_username, generate_password, hash_password
from streamswarm_controlplane.users.models import Role, User
from streamswarm_controlplane.users.schemas import UserUpdate
from streamswarm_core.clock import now


def query_users(*, role: Role | None = None, active: bool | None = None, part: str = "") -> Select[User]:
    """All users, or those with a role, with or without access, or with a part in their name."""
    query = select(User)
    if role is not None:
        query = query.where(User.role == role.value)
    if active is not None:
        query = query.where(User.active.is_(active))
    return query.where(User.username_key.contains(fold_username(part), autoescape=True)) if part else query


def get_user(db: Session, user_id: str, *, lock: bool = False) -> User:
    """One user; locked if they are to be changed.

    Raises:
        ApiError: 404.
    """
    user = db.get(User, user_id, with_for_update=lock or None)
    if user is None:
        raise ApiError(404, f"no user with the id {user_id}")
    return user


def find_user(db: Session, username: str) -> User | None:
    """The user of a name, in any case."""
    return db.scalar(select(User).where(User.username_key == fold_username(username)))


def create_user(db: Session, actor: Actor, username: str, role: Role) -> tuple[User, str]:
    """Add a user with a generated password; returns both.

    Raises:
        ApiError: 409 if the name is taken.
    """
    if find_user(db, username):
        raise ApiError(409, f"the user name {username!r} is taken", field="body.username")
    password = generate_password()
    user = User(
        username=username,
        username_key=fold_username(username),
        role=role.value,
        password_hash=hash_password(password),
        created_at=now(),
    )
    db.add(user)
    db.flush()
    record(db, actor, "user.create", username, after={"role": role.value})
    return user, password


def update_user(db: Session, actor: Actor, user: User, change: UserUpdate) -> User:
    """Change a user's role or whether they are active.

    Raises:
        ApiError: 409 if it is the actor, or the last active admin.
    """
    before = {"role": user.role, "active": user.active}
    weaker = (change.role not in (None, Role.ADMIN)) or change.active is False
    if weaker:
        _keep_an_admin(db, actor, user)
    if change.role is not None:
        user.role = change.role.value
    if change.active is not None:
        user.active = change.active
        if not change.active:
            end_sessions(db, user)
    record(db, actor, "user.update", user.username, before=before, after={"role": user.role, "active": user.active})
    return user


def delete_user(db: Session, actor: Actor, user: User) -> None:
    """Remove a user.

    Raises:
        ApiError: 409 if it is the actor, or the last active admin.
    """
    _keep_an_admin(db, actor, user)
    record(db, actor, "user.delete", user.username, before={"role": user.role})
    db.delete(user)


def reset_password(db: Session, actor: Actor, user: User) -> str:
    """Give a user a generated password that has to be changed at the next login; ends their sessions."""
    password = generate_password()
    user.password_hash = hash_password(password)
    user.must_change_password = True
    end_sessions(db, user)
    record(db, actor, "user.reset_password", user.username)
    return password


def end_sessions(db: Session, user: User, *, but: str = "") -> None:
    """Log a user out everywhere, but for the session with this token hash."""
    db.execute(delete(UserSession).where(UserSession.user_id == user.id, UserSession.token_hash != but))


def _keep_an_admin(db: Session, actor: Actor, user: User) -> None:
    if user.username == actor.name:
        raise ApiError(409, "you can't demote, deactivate or delete yourself; ask another admin")
    if user.role != Role.ADMIN or not user.active:
        return
    # The rows are locked, so that of two requests at the same time the second sees what the first did.
    admins = db.scalars(select(User.id).where(User.role == Role.ADMIN.value, User.active).with_for_update()).all()
    if len(admins) <= 1:
        raise ApiError(409, "this is the last active admin; make another one first")


def count_users(db: Session) -> int:
    """How many users there are."""
    return db.scalar(select(func.count()).select_from(User)) or 0
