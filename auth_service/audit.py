"""Write down what happened to an account: a row that is never changed, and a log line with the same word.

Neither ever holds a token, a password, or the text somebody typed as a login.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from auth_service.extensions import db
from auth_service.models import AuditEvent, AuditKind
from service_kit.request_id import current_request_id

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Visitor:
    """Where a request comes from, as far as we can tell."""

    ip: str
    user_agent: str


def record(
    kind: AuditKind, visitor: Visitor, *, user_id: int | None = None, session_id: str | None = None, **details: Any
) -> None:
    """Add an event to the caller's transaction: it is kept exactly when what it tells of is kept."""
    db.session.add(
        AuditEvent(
            kind=kind,
            user_id=user_id,
            session_id=session_id,
            request_id=current_request_id(),
            ip=visitor.ip,
            user_agent=visitor.user_agent,
            details=details,
        )
    )
    log.info(kind.value, extra={"user_id": user_id, "session_id": session_id, "ip": visitor.ip, **details})
