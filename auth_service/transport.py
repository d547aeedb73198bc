"""How a refresh token travels: in the JSON body, or in a cookie that a page's scripts cannot read.

The cookie goes to /api/auth only (a `__Host-` name would need Path=/ and send it everywhere), SameSite=Strict,
and is taken only together with the X-CSRF-TOKEN header and from a page of ours: a notebook on a sibling host is
the same *site*, so SameSite alone would not keep it out.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import Response, after_this_request, current_app, request
from flask_jwt_extended import (
    get_csrf_token,
    get_jwt,
    set_refresh_cookies,
    unset_refresh_cookies,
    verify_jwt_in_request,
)

from auth_service.config import REFRESH_COOKIE
from auth_service.schemas import BODY, COOKIE
from auth_service.tokens import TokenPair
from service_kit.app_frame import current_caller
from service_kit.claims import Caller, caller_from_claims
from service_kit.errors import Forbidden, Unauthorized


def hand_over(pair: TokenPair, transport: str) -> dict[str, Any]:
    """The answer's body; with COOKIE the refresh token goes into the cookie instead."""
    answer = {
        "access_token": pair.access_token,
        "token_type": "Bearer",
        "expires_in": int(current_app.config["JWT_ACCESS_TOKEN_EXPIRES"].total_seconds()),
        "user": pair.user,
    }
    if transport == BODY:
        return answer | {"refresh_token": pair.refresh_token}

    @after_this_request
    def _set_cookies(response: Response) -> Response:
        set_refresh_cookies(response, pair.refresh_token, max_age=pair.refresh_seconds)
        return response

    return answer | {"csrf_token": get_csrf_token(pair.refresh_token)}


def received_refresh_token(offered: str | None) -> tuple[dict[str, Any], str]:
    """The verified claims of the request's refresh token, and how it came. A token in the body goes first."""
    if offered is not None:
        if not offered.isascii():  # PyJWT would crash on half a surrogate pair.
            raise Unauthorized("invalid_token", "The token is not valid. Log in again.")
        verify_jwt_in_request(refresh=True, locations=["json"])
        return get_jwt(), BODY
    if REFRESH_COOKIE not in request.cookies:
        raise Unauthorized(
            "refresh_token_missing",
            "Send the refresh token in the body, or the cookie that the login set.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    refuse_foreign_page()
    verify_jwt_in_request(refresh=True, locations=["cookies"])
    return get_jwt(), COOKIE


def received_caller(offered: str | None) -> Caller:
    """Whose session the request is about: by access token, or by refresh token in body or cookie."""
    if "Authorization" in request.headers and offered is None:
        # Of an ended session too: logging out twice is logging out.
        verify_jwt_in_request(locations=["headers"], skip_revocation_check=True)
        return current_caller()
    claims, _ = received_refresh_token(offered)
    return caller_from_claims(claims)


def refuse_foreign_page() -> None:
    """Raise Forbidden when a browser says that a page of somebody else's asks. Programs send no Origin."""
    origin = request.headers.get("Origin")
    if origin is None or origin in current_app.config["CORS_ALLOWED"]:
        return
    # Behind a gateway that ends TLS we may not know our own scheme, so hosts are compared.
    if urlsplit(origin).netloc != request.host:
        raise Forbidden("foreign_origin", "Cookies are not taken from this page's origin.")


def forget_cookie() -> None:
    """Delete the cookies in this request's answer, if it came with one."""
    if REFRESH_COOKIE not in request.cookies:
        return

    @after_this_request
    def _unset_cookies(response: Response) -> Response:
        unset_refresh_cookies(response)
        return response
