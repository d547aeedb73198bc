"""Who asks. The one door to auth_service: tokens are verified here with its public keys.

The gateway puts the user's id into X-User-Id after auth_service accepted the token. We believe that header
only where the token, verified once more, says the same: a forgotten line in the gateway must not become an identity.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

import jwt as pyjwt
import requests
from flask import Flask, request
from flask_jwt_extended import JWTManager

from service_kit.app_frame import current_caller, install_token_rules
from service_kit.claims import ALGORITHM, AUDIENCE, ISSUER, LEEWAY_SECONDS, Caller, parse_user_id
from service_kit.errors import Unauthorized, Unavailable

log = logging.getLogger(__name__)

HEADER = "X-User-Id"
_KEYS_PATH = "/api/auth/.well-known/jwks.json"
_ASK_AGAIN_SECONDS = 30  # A stranger's made-up key id must not make us knock at auth_service each time.
_FIRST_KEY_SECONDS = 1  # ... but without any key we serve nobody, so ask more often.
_KEYS_GROW_OLD_SECONDS = 600  # A retired key stops being accepted after this long.


def get_user_id_from_request() -> int:
    """The caller's user id: the gateway's X-User-Id, which the verified token must confirm. Else 401."""
    return get_caller_from_request().user_id


def get_caller_from_request() -> Caller:
    """The caller with role, confirmed by header and token alike."""
    caller = current_caller()
    # Two headers arrive joined by a comma, and then this is not a user id.
    if parse_user_id(request.headers.get(HEADER)) != caller.user_id:
        log.warning("identity_mismatch", extra={"user_id": caller.user_id})
        raise Unauthorized("identity_mismatch", f"{HEADER} and the token do not name the same user.")
    return caller


class PublicKeys:
    """auth_service's public keys, fetched when needed and kept while it is away.

    A token names its key by `kid`; where a token says the key could be fetched from (jku, x5u, jwk) is never looked at.
    """

    def __init__(self, auth_service_url: str) -> None:
        self._url = auth_service_url + _KEYS_PATH
        self._keys: dict[str, Any] = {}
        self._asked_at = float("-inf")
        self._fetched_at = float("-inf")
        self._fetching = threading.Lock()

    def find(self, kid: object) -> Any:
        """The key of that id. Raises InvalidTokenError for an unknown one, Unavailable when no key is known at all."""
        known = self._keys.get(kid) if isinstance(kid, str) else None
        if known is None or time.monotonic() - self._fetched_at > _KEYS_GROW_OLD_SECONDS:
            # Who holds a known key does not wait for another thread's fetch.
            self._refresh(wait=known is None)
            known = self._keys.get(kid) if isinstance(kid, str) else None
        if not self._keys:
            raise Unavailable("auth_service_unreachable", "Tokens cannot be checked just now. Try again shortly.")
        if known is None:
            raise pyjwt.InvalidTokenError("unknown key id")
        return known

    def _refresh(self, *, wait: bool) -> None:
        if not self._fetching.acquire(blocking=wait):
            return
        try:
            pause = _ASK_AGAIN_SECONDS if self._keys else _FIRST_KEY_SECONDS
            if time.monotonic() - self._asked_at < pause:
                return  # Also the way of a thread that waited while another one fetched.
            self._asked_at = time.monotonic()
            answer = requests.get(self._url, timeout=(2, 3), allow_redirects=False)
            answer.raise_for_status()
            self._keys = _signing_keys(answer.json())  # As a whole: a key that is gone is gone.
            self._fetched_at = time.monotonic()
        except (requests.RequestException, ValueError) as error:
            log.warning("public_keys_not_fetched", extra={"error": str(error), "keys_known": len(self._keys)})
        finally:
            self._fetching.release()


def _signing_keys(document: Any) -> dict[str, Any]:
    """kid → key for every Ed25519 signing key of a JWKS; other kinds are left out. ValueError when none is left."""
    listed = document.get("keys") if isinstance(document, dict) else None
    keys = {}
    for entry in listed if isinstance(listed, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
            continue
        if (entry.get("kty"), entry.get("crv")) != ("OKP", "Ed25519") or entry.get("use", "sig") != "sig":
            continue
        try:
            keys[entry["kid"]] = pyjwt.PyJWK(entry, algorithm=ALGORITHM).key
        except pyjwt.PyJWTError:
            log.warning("public_key_unreadable", extra={"kid": entry["kid"]})
    if not keys:
        raise ValueError("no Ed25519 signing key in the key set")
    return keys


def install_identity(app: Flask, auth_service_url: str) -> None:
    """Verify access tokens in the Authorization header with auth_service's keys, and nothing else as a login."""
    app.config.update(
        JWT_TOKEN_LOCATION=["headers"],
        JWT_ALGORITHM=ALGORITHM,
        JWT_DECODE_ALGORITHMS=[ALGORITHM],
        JWT_DECODE_ISSUER=ISSUER,
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_LEEWAY=LEEWAY_SECONDS,
    )
    jwt = JWTManager(app)
    install_token_rules(jwt)
    keys = PublicKeys(auth_service_url)

    @jwt.decode_key_loader
    def _key_of(header: Mapping[str, Any], _claims: Mapping[str, Any]) -> Any:
        return keys.find(header.get("kid"))
