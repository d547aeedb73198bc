"""What happens to a login session: it starts, its refresh token is rotated, it ends.

A session is a family of refresh tokens. Each is good for one use; a second use means that two hold a copy,
and since nobody can tell which one is the thief, the whole family ends. HTTP and JWTs are not known here.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import select, update

from auth_service.audit import Visitor, record
from auth_service.extensions import db
from auth_service.models import AuditKind, EndReason, RefreshToken, Session, User, utc_now
from service_kit.claims import Caller
from service_kit.database import begin_reading
from service_kit.errors import Conflict, NotFound, Unauthorized

# Two tabs may refresh at once, and only one can win. Within this time the loser is told so, and tries again with
# the winner's cookie; later the same token counts as stolen.
REUSE_GRACE = timedelta(seconds=10)
_LISTED_AT_MOST = 100


def start_session(user: User, visitor: Visitor) -> RefreshToken:
    """A new session and its first refresh token, in the caller's transaction."""
    now = utc_now()
    ends = now + timedelta(seconds=current_app.config["SESSION_MAX_SECONDS"])
    session = Session(
        user_id=user.id,
        created_at=now,
        last_used_at=now,
        expires_at=_idle_end(now, ends),
        absolute_expires_at=ends,
        ip=visitor.ip,
        user_agent=visitor.user_agent,
    )
    db.session.add(session)
    db.session.flush()  # The token needs session.id.
    token = RefreshToken(session_id=session.id, issued_at=now, expires_at=session.expires_at)
    db.session.add(token)
    db.session.flush()  # The JWT needs token.jti.
    return token


def rotate(jti: str, caller: Caller, visitor: Visitor) -> tuple[User, RefreshToken]:
    """Spend a refresh token and commit; returns its user and the token that replaces it.

    Raises Conflict when it was spent a moment ago (another tab won; use what that one got), Unauthorized when it
    is no longer good. A token spent longer ago ends its whole session.
    """
    now = utc_now()
    session = _spend(jti, caller, now)
    if session is None:
        raise _explain_refusal(jti, caller, visitor, now)
    user = db.session.execute(select(User).where(User.id == caller.user_id)).scalar_one()
    spent = db.session.execute(select(RefreshToken).where(RefreshToken.jti == jti)).scalar_one()
    session.last_used_at = now
    session.expires_at = _idle_end(now, session.absolute_expires_at)
    token = RefreshToken(
        session_id=session.id, generation=spent.generation + 1, issued_at=now, expires_at=session.expires_at
    )
    db.session.add(token)
    db.session.flush()
    spent.replaced_by = token.jti
    db.session.commit()
    return user, token


def _spend(jti: str, caller: Caller, now: datetime) -> Session | None:
    """Mark the token used if that is still to be done and its session is live. The database decides who was first.

    The session's row is locked first: whoever ends the session at this moment comes wholly before or wholly after.
    """
    session = db.session.execute(
        select(Session)
        .where(
            Session.id == caller.session_id,
            Session.user_id == caller.user_id,
            Session.ended_at.is_(None),
            Session.expires_at > now,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if session is None:
        return None
    spent = db.session.execute(
        update(RefreshToken)
        .where(
            RefreshToken.jti == jti,
            RefreshToken.session_id == session.id,
            RefreshToken.used_at.is_(None),
            RefreshToken.expires_at > now,
        )
        .values(used_at=now)
        .execution_options(synchronize_session=False)
    )
    return session if spent.rowcount == 1 else None  # type: ignore[attr-defined]


def _explain_refusal(jti: str, caller: Caller, visitor: Visitor, now: datetime) -> Conflict | Unauthorized:
    token = db.session.execute(
        select(RefreshToken)
        .join(Session)
        .where(RefreshToken.jti == jti, Session.id == caller.session_id, Session.user_id == caller.user_id)
    ).scalar_one_or_none()
    session = db.session.get(Session, caller.session_id) if token else None
    if token is None or session is None or session.ended_at is not None or session.expires_at <= now:
        db.session.rollback()
        return Unauthorized("session_ended", "This session has ended. Log in again.")
    if token.used_at is not None and token.used_at > now - REUSE_GRACE:
        db.session.rollback()
        return Conflict("refresh_already_rotated", "This refresh token was used a moment ago; use the newer one.")
    if token.used_at is None:
        db.session.rollback()
        return Unauthorized("token_expired", "The refresh token has expired. Log in again.")
    _end(Session.id == session.id, EndReason.REFRESH_REUSED)
    record(
        AuditKind.REFRESH_REUSED,
        visitor,
        user_id=caller.user_id,
        session_id=session.id,
        generation=token.generation,
    )
    db.session.commit()
    return Unauthorized("refresh_token_reused", "This refresh token was used before. The session has been ended.")


def is_live(caller: Caller) -> bool:
    """Whether the session goes on, its user exists and still has the role the token names. One indexed query.

    A changed role makes the token useless at once; a refresh brings one with the new role.
    """
    begin_reading(db.session)
    role = db.session.execute(
        select(User.role)
        .join(Session, Session.user_id == User.id)
        .where(
            Session.id == caller.session_id,
            User.id == caller.user_id,
            Session.ended_at.is_(None),
            Session.expires_at > utc_now(),
        )
    ).scalar_one_or_none()
    db.session.commit()
    return role is caller.role


def live_sessions(user_id: int) -> list[Session]:
    """Where the user is logged in, last used first."""
    begin_reading(db.session)
    sessions = db.session.execute(
        select(Session)
        .where(Session.user_id == user_id, Session.ended_at.is_(None), Session.expires_at > utc_now())
        .order_by(Session.last_used_at.desc(), Session.id)
        .limit(_LISTED_AT_MOST)
    )
    return list(sessions.scalars())


def log_out(caller: Caller, visitor: Visitor) -> None:
    """End the caller's own session and commit. Doing it twice is fine."""
    if _end(
        (Session.id == caller.session_id) & (Session.user_id == caller.user_id),
        EndReason.LOGOUT,
    ):
        record(AuditKind.LOGGED_OUT, visitor, user_id=caller.user_id, session_id=caller.session_id)
    db.session.commit()


def revoke(session_id: str, caller: Caller, visitor: Visitor) -> None:
    """End one of the caller's sessions and commit. Raises NotFound when it is not a live one of theirs."""
    if not _end((Session.id == session_id) & (Session.user_id == caller.user_id), EndReason.REVOKED):
        raise NotFound("session_not_found", "You have no such session.")
    record(AuditKind.SESSION_REVOKED, visitor, user_id=caller.user_id, session_id=session_id)
    db.session.commit()


def revoke_others(caller: Caller, visitor: Visitor) -> None:
    """End all the caller's sessions but this one, and commit."""
    ended = end_others(caller, EndReason.REVOKED)
    record(AuditKind.SESSION_REVOKED, visitor, user_id=caller.user_id, others=ended)
    db.session.commit()


def end_others(caller: Caller, reason: EndReason) -> int:
    """End all the caller's sessions but this one, in the caller's transaction; how many it were."""
    return _end((Session.user_id == caller.user_id) & (Session.id != caller.session_id), reason)


def _end(which: object, reason: EndReason) -> int:
    result = db.session.execute(
        update(Session)
        .where(which, Session.ended_at.is_(None), Session.expires_at > utc_now())  # type: ignore[arg-type]
        .values(ended_at=utc_now(), end_reason=reason)
        .execution_options(synchronize_session=False)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


def _idle_end(now: datetime, absolute_end: datetime) -> datetime:
    return min(now + timedelta(seconds=current_app.config["REFRESH_TOKEN_SECONDS"]), absolute_end)
