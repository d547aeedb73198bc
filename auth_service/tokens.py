"""JWTs: how a pair is issued, with which key, and when one that verifies is still refused.

The rows behind them are sessions.py's; how the refresh token travels is transport.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from flask import Flask, current_app, g
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token
from flask_jwt_extended.exceptions import CSRFError
from jwt import InvalidTokenError

from auth_service.keys import KeyRing
from auth_service.models import RefreshToken, User
from auth_service.sessions import is_live
from service_kit.app_frame import install_token_rules, problem_response
from service_kit.claims import caller_from_claims, has_required_claims

_KEY_RING = "labs_key_ring"


@dataclass(frozen=True)
class TokenPair:
    """What a login or a refresh gives."""

    access_token: str
    refresh_token: str
    refresh_seconds: int
    user: User


def issue_pair(user: User, token: RefreshToken) -> TokenPair:
    """The access and the refresh JWT for a refresh token's row."""
    lifetime = token.expires_at - token.issued_at
    claims = {"sid": token.session_id, "role": user.role.value}
    return TokenPair(
        access_token=create_access_token(str(user.id), additional_claims=claims),
        refresh_token=create_refresh_token(
            str(user.id), expires_delta=lifetime, additional_claims=claims | {"jti": token.jti}
        ),
        refresh_seconds=int(lifetime.total_seconds()),
        user=user,
    )


def key_ring() -> KeyRing:
    """The running app's keys."""
    ring: KeyRing = current_app.extensions[_KEY_RING]
    return ring


def install(app: Flask, jwt: JWTManager, ring: KeyRing) -> None:
    """Teach flask-jwt-extended our keys and our refusals."""
    app.extensions[_KEY_RING] = ring
    install_token_rules(jwt)
    jwt.additional_headers_loader(lambda _identity: {"kid": key_ring().signing_kid})
    jwt.encode_key_loader(_signing_key)
    jwt.decode_key_loader(_verifying_key)
    jwt.token_in_blocklist_loader(_is_refused)
    app.register_error_handler(CSRFError, _csrf_failed)


def _signing_key(_identity: str) -> Ed25519PrivateKey:
    return key_ring().signing_key


def _verifying_key(header: Mapping[str, Any], _claims: Mapping[str, Any]) -> Ed25519PublicKey:
    """The published key that the token names. `jku`, `jwk` and `x5u` in the header are never looked at."""
    kid = header.get("kid")
    key = key_ring().public_keys.get(kid) if isinstance(kid, str) else None
    if key is None:
        raise InvalidTokenError("unknown key id")
    return key


def _is_refused(_header: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    """True for an access token whose session has ended. Asked once a request, however often the token is verified."""
    if not has_required_claims(claims) or claims["type"] != "access":
        return False  # Refused right after this for what it lacks; or a refresh token, which `rotate` judges.
    checked: dict[str, bool] = g.setdefault("session_checks", {})
    if claims["jti"] not in checked:
        checked[claims["jti"]] = not is_live(caller_from_claims(claims))
    return checked[claims["jti"]]


def _csrf_failed(_error: CSRFError) -> Any:
    return problem_response(
        401,
        "csrf_token_mismatch",
        "Send the value of the labs_csrf cookie in the header X-CSRF-TOKEN.",
        headers={"WWW-Authenticate": "Bearer"},
    )
