"""What a token says, and who may call a route: the words that issuer and readers must share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

ISSUER = "labs-auth"
AUDIENCE = "labs"
ALGORITHM = "EdDSA"
LEEWAY_SECONDS = 10

_USER_ID = re.compile(r"[1-9][0-9]{0,18}")
_REQUIRED = ("sub", "exp", "iat", "jti", "sid", "type", "role")

View = TypeVar("View", bound=Callable[..., Any])


class Role(StrEnum):
    """What a user may do beyond owning their own things."""

    STUDENT = "student"  # Everybody starts here.
    MODERATOR = "moderator"  # Sees and hides other people's work.
    ADMIN = "admin"  # Also changes roles and blocks users.


class Policy(StrEnum):
    """Who may call a route. Every route declares one; ownership is checked by the route itself."""

    ANYONE = "anyone"  # No token needed.
    USER = "user"  # A valid access token of any role.
    MODERATOR = "moderator"  # ... of a moderator or an admin.
    ADMIN = "admin"
    REFRESH = "refresh"  # A refresh token, in the body or the cookie.
    SERVICE = "service"  # Another process of ours, by the service token.
    GATEWAY = "gateway"  # nginx's own question; the answer says no more than the token asked about.


def policy(word: str) -> Callable[[View], View]:
    """Declare on a view function who may call it; `routes_without_policy` finds those that forgot."""
    declared = Policy(word)

    def mark(view: View) -> View:
        view.__policy__ = declared  # type: ignore[attr-defined]
        return view

    return mark


@dataclass(frozen=True)
class Caller:
    """Who asks, as a verified access token says."""

    user_id: int
    role: Role
    session_id: str

    @property
    def is_moderator(self) -> bool:
        return self.role in (Role.MODERATOR, Role.ADMIN)


def parse_user_id(text: object) -> int | None:
    """A user id as it stands in `sub` and in X-User-Id: digits only, positive; else None."""
    return int(text) if isinstance(text, str) and _USER_ID.fullmatch(text) else None


def has_required_claims(claims: Mapping[str, Any]) -> bool:
    """True when every claim we rely on is there with the right type.

    flask-jwt-extended accepts tokens without exp, type or jti; we do not.
    """
    return (
        all(name in claims for name in _REQUIRED)
        and parse_user_id(claims["sub"]) is not None
        and claims["type"] in ("access", "refresh")
        and claims["role"] in list(Role)  # Not a set: a claim may be of a type that cannot be hashed.
        and isinstance(claims["jti"], str)
        and bool(claims["jti"])
        and isinstance(claims["sid"], str)
        and bool(claims["sid"])
    )


def caller_from_claims(claims: Mapping[str, Any]) -> Caller:
    """The caller of an already verified access token that passed `has_required_claims`."""
    return Caller(user_id=int(claims["sub"]), role=Role(claims["role"]), session_id=claims["sid"])
