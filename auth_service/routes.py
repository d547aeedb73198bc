"""The HTTP face of auth_service: register, log in, refresh, log out, who am I, and the gateway's question."""

# mypy: disable-error-code="untyped-decorator"
# flask-smorest's and flask-jwt-extended's decorators carry no types.

from __future__ import annotations

import ipaddress
from typing import Any

from flask import Blueprint as PlainBlueprint
from flask import Response, request
from flask_jwt_extended import get_jwt_identity, jwt_required

from auth_service import sessions, tokens, transport
from auth_service.accounts import change_password, change_profile, get_user, log_in, open_account
from auth_service.audit import Visitor
from auth_service.cleanup import clean_up_now_and_then
from auth_service.models import Session, User
from auth_service.schemas import (
    COOKIE,
    KeySetSchema,
    LoginSchema,
    PasswordSchema,
    ProfileSchema,
    RefreshSchema,
    RegisterSchema,
    SessionsSchema,
    TokensSchema,
    UserSchema,
)
from service_kit.app_frame import ServiceBlueprint, current_caller
from service_kit.claims import caller_from_claims, policy

auth_bp = ServiceBlueprint("auth", __name__, url_prefix="/api/auth", description="Accounts, sessions and tokens.")
# Not in openapi.json: nobody outside can reach it.
gateway_bp = PlainBlueprint("gateway", __name__, url_prefix="/internal")


@auth_bp.route("/register", methods=["POST"])
@policy("anyone")
@auth_bp.arguments(RegisterSchema)
@auth_bp.response(201, UserSchema)
def register(order: dict[str, str]) -> User:
    """Open an account. 409 when the login or the e-mail is taken."""
    return open_account(order["login"], order["email"], order["name"], order["password"], _visitor())


@auth_bp.route("/login", methods=["POST"])
@policy("anyone")
@auth_bp.arguments(LoginSchema)
@auth_bp.response(200, TokensSchema)
def login(order: dict[str, str]) -> dict[str, Any]:
    """Exchange login (or e-mail) and password for an access and a refresh token."""
    if order["transport"] == COOKIE:
        transport.refuse_foreign_page()
    user, token = log_in(order["login"], order["password"], _visitor())
    clean_up_now_and_then()
    return transport.hand_over(tokens.issue_pair(user, token), order["transport"])


@auth_bp.route("/refresh", methods=["POST"])
@policy("refresh")
@auth_bp.arguments(RefreshSchema)
@auth_bp.response(200, TokensSchema)
def refresh(order: dict[str, str | None]) -> dict[str, Any]:
    """Exchange a refresh token for a new pair. Each refresh token is good for one use."""
    claims, way = transport.received_refresh_token(order["refresh_token"])
    user, token = sessions.rotate(claims["jti"], caller_from_claims(claims), _visitor())
    return transport.hand_over(tokens.issue_pair(user, token), way)


@auth_bp.route("/logout", methods=["POST"])
@policy("refresh")
@auth_bp.arguments(RefreshSchema)
@auth_bp.response(204)
def logout(order: dict[str, str | None]) -> None:
    """End this session, by its access token, its refresh token or its cookie."""
    caller = transport.received_caller(order["refresh_token"])
    sessions.log_out(caller, _visitor())
    transport.forget_cookie()


@auth_bp.route("/password", methods=["POST"])
@policy("user")
@jwt_required()
@auth_bp.arguments(PasswordSchema)
@auth_bp.response(204)
@auth_bp.doc(security=[{"bearer": []}])
def password(order: dict[str, str]) -> None:
    """Change the password. All other sessions end."""
    change_password(current_caller(), order["current_password"], order["new_password"], _visitor())


@auth_bp.route("/me", methods=["GET"])
@policy("user")
@jwt_required()
@auth_bp.response(200, UserSchema)
@auth_bp.doc(security=[{"bearer": []}])
def me() -> tuple[User, dict[str, str]]:
    """Who I am."""
    user = get_user(int(get_jwt_identity()))
    return user, {"ETag": f'"{user.etag}"'}


@auth_bp.route("/me", methods=["PATCH"])
@policy("user")
@jwt_required()
@auth_bp.arguments(ProfileSchema)
@auth_bp.response(200, UserSchema)
@auth_bp.doc(security=[{"bearer": []}])
def change_me(changes: dict[str, str]) -> tuple[User, dict[str, str]]:
    """Change my name. With If-Match only if nobody changed it since."""
    user = change_profile(current_caller(), changes, _if_match(), _visitor())
    return user, {"ETag": f'"{user.etag}"'}


@auth_bp.route("/sessions", methods=["GET"])
@policy("user")
@jwt_required()
@auth_bp.response(200, SessionsSchema)
@auth_bp.doc(security=[{"bearer": []}])
def list_sessions() -> dict[str, Any]:
    """Where I am logged in."""
    caller = current_caller()
    return {"items": [_as_listed(each, caller.session_id) for each in sessions.live_sessions(caller.user_id)]}


@auth_bp.route("/sessions", methods=["DELETE"])
@policy("user")
@jwt_required()
@auth_bp.response(204)
@auth_bp.doc(security=[{"bearer": []}])
def revoke_other_sessions() -> None:
    """Log out everywhere else."""
    sessions.revoke_others(current_caller(), _visitor())


@auth_bp.route("/sessions/<uuid:session_id>", methods=["DELETE"])
@policy("user")
@jwt_required()
@auth_bp.response(204)
@auth_bp.doc(security=[{"bearer": []}])
def revoke_session(session_id: object) -> None:
    """Log out there."""
    sessions.revoke(str(session_id), current_caller(), _visitor())


@auth_bp.route("/.well-known/jwks.json", methods=["GET"])
@policy("anyone")
@auth_bp.response(200, KeySetSchema)
def jwks() -> tuple[dict[str, Any], dict[str, str]]:
    """The public keys that our tokens are signed with."""
    return tokens.key_ring().jwks(), {"Cache-Control": "public, max-age=300"}


@gateway_bp.route("/verify", methods=["GET"])
@policy("gateway")
@jwt_required(locations=["headers"])
def verify() -> Response:
    """nginx asks whose access token this is: 204 with the identity in headers, or 401."""
    caller = current_caller()
    identity = {"X-User-Id": get_jwt_identity(), "X-User-Roles": caller.role.value, "X-Session-Id": caller.session_id}
    return Response(status=204, headers=identity)


@auth_bp.after_request
@gateway_bp.after_request
def _never_cache(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _visitor() -> Visitor:
    """Where the request comes from: the address is the one our gateway saw (ProxyFix, one hop)."""
    try:
        ip = str(ipaddress.ip_address(request.remote_addr or ""))
    except ValueError:
        ip = "unknown"
    agent = "".join(each for each in request.headers.get("User-Agent", "") if each.isprintable())
    return Visitor(ip=ip, user_agent=agent[:200])


def _if_match() -> str | None:
    """The revision in If-Match; None without the header, or with `*`."""
    match = request.if_match
    if not match or match.star_tag:
        return None
    return next(iter(match.as_set()), "0")


def _as_listed(session: Session, current: str) -> dict[str, Any]:
    shown = ("id", "created_at", "last_used_at", "expires_at", "ip", "user_agent")
    return {name: getattr(session, name) for name in shown} | {"is_current": session.id == current}
