"""Take away rows that nobody will ask for again, a bounded number at a time."""

from __future__ import annotations

import logging
import random
import time
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.exc import SQLAlchemyError

from auth_service.extensions import db
from auth_service.models import Allowance, AuditEvent, LoginDelay, RefreshToken, Session, utc_now

log = logging.getLogger(__name__)

# An ended session stays a while, so that the audit trail can still be read beside it.
_SESSION_KEPT = timedelta(days=7)
_AUDIT_KEPT = timedelta(days=365)
_ROWS_AT_LOGIN = 200
_LOGINS_PER_CLEANUP = 50


def clean_up(at_most: int) -> dict[str, int]:
    """Delete up to `at_most` rows of each table that are past their use, and commit; how many went, by table."""
    now, seconds = utc_now(), time.time()
    long_over = now - _SESSION_KEPT
    stale: list[tuple[Any, Any, Any]] = [
        # A used token of a live session stays until it expires: its second use must be noticed.
        (RefreshToken, RefreshToken.jti, RefreshToken.expires_at < now - timedelta(days=1)),
        (Session, Session.id, or_(Session.expires_at < long_over, Session.ended_at < long_over)),
        (LoginDelay, LoginDelay.key, LoginDelay.forget_at < seconds),
        (Allowance, Allowance.key, Allowance.full_at < seconds),
        (AuditEvent, AuditEvent.id, AuditEvent.at < now - _AUDIT_KEPT),
    ]
    removed = {}
    for model, key, is_stale in stale:
        oldest = select(key).where(is_stale).limit(at_most)
        result: Any = db.session.execute(
            delete(model).where(key.in_(oldest)).execution_options(synchronize_session=False)
        )
        db.session.commit()  # Table by table: a login elsewhere should not wait for all five.
        removed[model.__tablename__] = int(result.rowcount)
    return removed


def clean_up_now_and_then() -> None:
    """At one login in fifty take a few rows along, so that no table grows where nobody runs the command."""
    if random.randrange(_LOGINS_PER_CLEANUP) != 0:  # noqa: S311  # Not a secret.
        return
    try:
        removed = clean_up(_ROWS_AT_LOGIN)
    except SQLAlchemyError:  # The login has succeeded and stays so.
        db.session.rollback()
        log.warning("cleanup_failed", exc_info=True)
    else:
        log.info("cleaned_up", extra={"removed": removed})
