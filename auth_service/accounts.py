"""What happens to an account: it is opened, its owner proves to be its owner, changes the name or the password.

HTTP is not known here (see routes.py); neither are tokens (see tokens.py).
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from auth_service import passwords
from auth_service.audit import Visitor, record
from auth_service.extensions import db
from auth_service.models import EMAIL, LOGIN, AuditKind, EndReason, RefreshToken, User
from auth_service.sessions import end_others, start_session
from auth_service.throttle import LoginAttempt, count_registration
from service_kit.claims import Caller
from service_kit.database import begin_reading
from service_kit.errors import Conflict, PreconditionFailed, Unauthorized, Unprocessable


def open_account(login: str, email: str, name: str, password: str, visitor: Visitor) -> User:
    """Make a user and commit. Raises Unprocessable for a weak password, Conflict for a login or e-mail taken."""
    _refuse_weak(password, "/password", login=login, email=email)
    count_registration(visitor)
    _refuse_taken(login, email)  # Before the costly hash; the unique indexes decide a race.
    user = User(login=login, email=email, name=name, password=password)
    db.session.add(user)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        _refuse_taken(login, email)
        raise  # Another constraint than the two we know of.
    record(AuditKind.REGISTERED, visitor, user_id=user.id)
    db.session.commit()
    return user


def log_in(identifier: str, password: str, visitor: Visitor) -> tuple[User, RefreshToken]:
    """Check login (or e-mail) and password, start a session and commit.

    Raises TooManyRequests before any hashing, and Unauthorized in the same words after the same work
    whether the user is unknown or the password is wrong.
    """
    user = _find(identifier)
    attempt = LoginAttempt.begin(identifier, visitor, user)
    if user is None:
        passwords.check_against_nobody(password)
        raise _refusal(None, visitor)
    checked_hash = user.password_hash
    if not user.check_password(password):
        raise _refusal(user, visitor)
    user.renew_hash(password)
    _refuse_if_changed_since(user, checked_hash, visitor)
    attempt.forgive()
    token = start_session(user, visitor)
    record(AuditKind.LOGGED_IN, visitor, user_id=user.id, session_id=token.session_id)
    db.session.commit()
    return user, token


def change_password(caller: Caller, current: str, new: str, visitor: Visitor) -> None:
    """Replace the password, end the caller's other sessions, and commit."""
    user = get_user(caller.user_id)
    _refuse_weak(new, "/new_password", login=user.login, email=user.email)  # Before the try is counted.
    # Whoever found an open screen must not guess the password here without the pace of /login.
    attempt = LoginAttempt.begin(user.login, visitor, user)
    checked_hash = user.password_hash
    if not user.check_password(current):
        record(AuditKind.LOGIN_FAILED, visitor, user_id=user.id, session_id=caller.session_id)
        db.session.commit()
        raise Unprocessable(
            "wrong_password",
            "The current password is not right.",
            errors=[{"pointer": "/current_password", "message": "This is not your current password."}],
        )
    user.change_password(new)
    _refuse_if_changed_since(user, checked_hash, visitor)
    attempt.forgive()
    ended = end_others(caller, EndReason.PASSWORD_CHANGED)
    record(
        AuditKind.PASSWORD_CHANGED, visitor, user_id=user.id, session_id=caller.session_id, other_sessions_ended=ended
    )
    db.session.commit()


def get_user(user_id: int) -> User:
    """The user of a live session; leaves no transaction open."""
    begin_reading(db.session)
    user = db.session.execute(select(User).where(User.id == user_id)).scalar_one_or_none()
    db.session.commit()
    if user is None:
        raise Unauthorized("invalid_token", "The user of this token is gone.")
    return user


def change_profile(caller: Caller, changes: dict[str, Any], seen: str | None, visitor: Visitor) -> User:
    """Apply the changes and commit. Raises PreconditionFailed when the profile is not the one `seen` (an ETag)."""
    mine = User.id == caller.user_id
    if seen is not None:
        mine &= User.revision == (int(seen) if re.fullmatch(r"[0-9]{1,9}", seen) else 0)
    changed = db.session.execute(
        update(User)
        .where(mine)
        .values(**changes, revision=User.revision + 1)
        .execution_options(synchronize_session=False)
    )
    if changed.rowcount == 0:  # type: ignore[attr-defined]
        db.session.rollback()
        raise PreconditionFailed(None, "The profile has changed since you read it. Read it again.")
    record(AuditKind.PROFILE_CHANGED, visitor, user_id=caller.user_id, fields=sorted(changes))
    db.session.commit()
    return get_user(caller.user_id)


def _find(identifier: str) -> User | None:
    """The user with this login or e-mail; leaves no transaction open."""
    if "@" in identifier:
        column, shape = User.email_key, EMAIL
    else:
        column, shape = User.login_key, LOGIN
    # What cannot be anybody's is not asked for: PostgreSQL takes no NUL in a text.
    wanted = identifier.lower() if shape.fullmatch(identifier) else ""
    begin_reading(db.session)
    user = db.session.execute(select(User).where(column == wanted)).scalar_one_or_none()
    db.session.commit()
    return user


def _refusal(user: User | None, visitor: Visitor) -> Unauthorized:
    record(AuditKind.LOGIN_FAILED, visitor, user_id=user.id if user else None)
    db.session.commit()
    return Unauthorized("wrong_credentials", "Login or password is not right.", headers={"WWW-Authenticate": "Bearer"})


def _refuse_if_changed_since(user: User, checked_hash: str, visitor: Visitor) -> None:
    """Lock the user's row, and go on only if the password is still the one that was checked.

    The check took a while outside any transaction; meanwhile the owner may have changed the password because
    somebody else knows it.
    """
    with db.session.no_autoflush:  # The row as it is stored, not as we are about to change it.
        stored = db.session.execute(
            select(User.password_hash).where(User.id == user.id).with_for_update()
        ).scalar_one_or_none()
    if stored != checked_hash:
        db.session.rollback()
        raise _refusal(user, visitor)


def _refuse_weak(password: str, pointer: str, *, login: str, email: str) -> None:
    rules = passwords.broken_rules(password, login=login, email=email)
    if rules:
        errors = [{"pointer": pointer, "message": rule} for rule in rules]
        raise Unprocessable("weak_password", " ".join(rules), errors=errors)


def _refuse_taken(login: str, email: str) -> None:
    """Say which of the two is taken. That tells a stranger whether an e-mail has an account here: without a mail
    to its owner there is no other honest answer, and the limit on registrations keeps the asking slow.
    """
    begin_reading(db.session)
    taken = db.session.execute(
        select(User.login_key, User.email_key).where(
            (User.login_key == login.lower()) | (User.email_key == email.lower())
        )
    ).all()
    db.session.commit()
    errors = []
    if any(row.login_key == login.lower() for row in taken):
        errors.append({"pointer": "/login", "message": "This login is taken."})
    if any(row.email_key == email.lower() for row in taken):
        errors.append({"pointer": "/email", "message": "There is an account with this e-mail."})
    if errors:
        code = "email_taken" if errors[0]["pointer"] == "/email" else "login_taken"
        raise Conflict(code, " ".join(error["message"] for error in errors), errors=errors)
