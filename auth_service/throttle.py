"""How often one may try to log in or register, decided in the database before any password is hashed.

Three counts for a login try, on what was *submitted*, so that an unknown login behaves like a known one:
  - the login from this address: five failures are free, then 1, 2, 4 … 300 s between tries;
  - the account from everywhere: so many tries an hour. It is a pace, never a lock, and it does not bind
    an address the account is already logged in from: nobody can shut the owner out by failing in their name;
  - the address, over all logins.
A try is counted before it is checked and given back when it succeeds: parallel tries cannot slip through together.
Registrations are counted by address alone, wide enough for a class behind one address.

HTTP is not known here. Every count is one atomic upsert, so all workers and both engines agree.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import math
import time
from typing import Any

from flask import current_app
from sqlalchemy import case, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from auth_service.audit import Visitor, record
from auth_service.config import ThrottleLimits
from auth_service.extensions import db
from auth_service.models import Allowance, AuditKind, LoginDelay, Session, User, utc_now
from service_kit.errors import TooManyRequests

log = logging.getLogger(__name__)

_HOUR = 3_600.0


class LoginAttempt:
    """One try to log in, counted already. `forgive()` takes it back when it succeeded."""

    def __init__(self, identifier: str, visitor: Visitor) -> None:
        self._taken: list[tuple[str, int]] = []
        place = _network(visitor.ip)
        self._delay_key = _key("pair", identifier.lower(), place)
        self._account_key = _key("account", identifier.lower())
        self._address_key = _key("address", place)

    @classmethod
    def begin(cls, identifier: str, visitor: Visitor, account: User | None) -> LoginAttempt:
        """Count a try and commit. Raises TooManyRequests, counting nothing, when it comes too soon."""
        attempt = cls(identifier, visitor)
        limits = _limits()
        if limits.enabled:
            # One order for everybody, or two tries could wait for each other's rows.
            wait = attempt._take_turn(limits, account, visitor)
            wait = wait or attempt._take_from(attempt._address_key, limits.address_per_hour)
            if not _is_known_place(account, visitor):
                wait = wait or attempt._take_from(attempt._account_key, limits.account_per_hour)
            if wait:
                db.session.rollback()
                log.warning("login_throttled", extra={"ip": visitor.ip, "retry_after": wait})
                raise TooManyRequests("too_many_attempts", "Too many attempts. Wait a little.", retry_after=wait)
            db.session.commit()
        return attempt

    def forgive(self) -> None:
        """Forget the failures of this login here, and give the try back. Part of the caller's transaction."""
        db.session.execute(delete(LoginDelay).where(LoginDelay.key == self._delay_key))
        for key, per_hour in self._taken:
            _give_back(key, per_hour)

    def _take_from(self, key: str, per_hour: int) -> int:
        wait = _take(key, per_hour)
        if not wait and per_hour:
            self._taken.append((key, per_hour))
        return wait

    def _take_turn(self, limits: ThrottleLimits, account: User | None, visitor: Visitor) -> int:
        """Count one more failure in a row; the seconds to wait when the last one is too recent, else 0."""
        now = time.time()
        row = LoginDelay.__table__.c
        forgotten = row.forget_at <= now
        failures = case((forgotten, 1), else_=row.failures + 1)
        delay = case(
            (failures < limits.free_failures, 0.0),
            (or_(forgotten, row.delay_seconds == 0.0), 1.0),
            (row.delay_seconds * 2 > limits.max_delay_seconds, float(limits.max_delay_seconds)),
            else_=row.delay_seconds * 2,
        )
        first_delay = 1.0 if limits.free_failures <= 1 else 0.0
        counted = db.session.execute(
            _insert(LoginDelay)
            .values(
                key=self._delay_key,
                failures=1,
                delay_seconds=first_delay,
                blocked_until=now + first_delay if first_delay else 0.0,
                forget_at=now + _HOUR,
            )
            .on_conflict_do_update(
                index_elements=[LoginDelay.key],
                set_={
                    "failures": failures,
                    "delay_seconds": delay,
                    # Without a delay no block at all, not even up to now: a neighbour's clock reading may be older.
                    "blocked_until": case((delay == 0.0, 0.0), else_=now + delay),
                    "forget_at": now + _HOUR + delay,
                },
                where=row.blocked_until <= now,  # Too soon: no row comes back, and nothing has changed.
            )
            .returning(LoginDelay.failures)
        ).scalar_one_or_none()
        if counted is None:
            blocked_until = db.session.execute(
                select(LoginDelay.blocked_until).where(LoginDelay.key == self._delay_key)
            ).scalar_one_or_none()
            return max(1, math.ceil((blocked_until or now) - now))
        if counted == limits.free_failures:
            record(AuditKind.LOGIN_THROTTLED, visitor, user_id=account.id if account else None)
        return 0


def count_registration(visitor: Visitor) -> None:
    """Count one registration and commit. Raises TooManyRequests when this address had its share."""
    limits = _limits()
    if not limits.enabled:
        return
    wait = _take(_key("register", _network(visitor.ip)), limits.register_per_hour)
    if wait:
        db.session.rollback()
        log.warning("registration_throttled", extra={"ip": visitor.ip, "retry_after": wait})
        raise TooManyRequests(
            "too_many_registrations", "Too many registrations from your network. Wait a little.", retry_after=wait
        )
    db.session.commit()


def _take(key: str, per_hour: int) -> int:
    """Take one from the bucket; the seconds until there is one again when it is empty, else 0."""
    if per_hour == 0:
        return 0
    now, one = time.time(), _HOUR / per_hour
    row = Allowance.__table__.c
    taken = db.session.execute(
        _insert(Allowance)
        .values(key=key, full_at=now + one)
        .on_conflict_do_update(
            index_elements=[Allowance.key],
            set_={"full_at": case((row.full_at > now, row.full_at), else_=now) + one},
            where=row.full_at + one <= now + _HOUR,
        )
        .returning(Allowance.full_at)
    ).scalar_one_or_none()
    if taken is not None:
        return 0
    full_at = db.session.execute(select(Allowance.full_at).where(Allowance.key == key)).scalar_one_or_none()
    return max(1, math.ceil((full_at or now) + one - now - _HOUR))


def _give_back(key: str, per_hour: int) -> None:
    db.session.execute(
        update(Allowance).where(Allowance.key == key).values(full_at=Allowance.full_at - _HOUR / per_hour)
    )


def _is_known_place(account: User | None, visitor: Visitor) -> bool:
    """Whether the account is logged in at this very address."""
    live_here = select(Session.id).where(
        Session.user_id == (account.id if account else 0),  # Asked for nobody too: the same work, the same time.
        Session.ip == visitor.ip,
        Session.ended_at.is_(None),
        Session.expires_at > utc_now(),
    )
    return db.session.execute(live_here.limit(1)).first() is not None


def _network(ip: str) -> str:
    """The address itself, or an IPv6 address's /64: that much one customer has, to choose from at will."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)


def _key(*parts: str) -> str:
    """A row's key. Keyed, because people type passwords where a login belongs, and those must not be stored."""
    secret: str = current_app.config["PASSWORD_PEPPER"]
    message = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hmac.digest(secret.encode(), message, hashlib.sha256).hex()


def _insert(model: Any) -> Any:
    """INSERT … ON CONFLICT: both engines have it, SQLAlchemy spells it for each."""
    return {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[db.engine.dialect.name](model)


def _limits() -> ThrottleLimits:
    limits: ThrottleLimits = current_app.config["THROTTLE_LIMITS"]
    return limits
