"""What comes in and what goes out, as marshmallow schemas. Rules that need the database are not here."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import marshmallow as ma
from marshmallow import validate

from auth_service.models import EMAIL, LOGIN
from auth_service.passwords import MAX_CHARACTERS

# How a refresh token may travel; see transport.py.
BODY, COOKIE = "body", "cookie"

# Marks that reorder text would let a name look like another one.
_REORDERING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _is_login(value: str) -> None:
    if not LOGIN.fullmatch(value):
        raise ma.ValidationError("3 to 32 of the letters A-Z, digits, dot, hyphen and underscore.")


def _is_email(value: str) -> None:
    if len(value) > 254 or not EMAIL.fullmatch(value):
        raise ma.ValidationError("Not an e-mail address we can use (international domains: in their xn-- form).")


def _is_text(value: str) -> None:
    """Half a surrogate pair is legal in JSON and in nothing after it."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ma.ValidationError("Not valid Unicode text.") from error


def _is_name(value: str) -> None:
    _is_text(value)
    if not value or any(unicodedata.category(each) == "Cc" for each in value) or _REORDERING.search(value):
        raise ma.ValidationError("Between 1 and 100 characters, without control characters.")


class Name(ma.fields.String):
    """A person's name; blanks around it are dropped."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return str(super()._deserialize(value, attr, data, **kwargs)).strip()


def _password() -> ma.fields.String:
    """Kept exactly as sent. The length is capped before any work is done for it."""
    return ma.fields.String(required=True, validate=[validate.Length(1, MAX_CHARACTERS), _is_text])


class RegisterSchema(ma.Schema):
    """A new account."""

    login = ma.fields.String(required=True, validate=_is_login)
    email = ma.fields.String(required=True, validate=_is_email)
    password = _password()
    name = Name(required=True, validate=[validate.Length(1, 100), _is_name])


class LoginSchema(ma.Schema):
    """Login or e-mail, and the password; how the refresh token should come back."""

    login = ma.fields.String(required=True, validate=validate.Length(1, 254))
    password = _password()
    transport = ma.fields.String(load_default=BODY, validate=validate.OneOf([BODY, COOKIE]))


class RefreshSchema(ma.Schema):
    """The refresh token; left out when it is in the cookie."""

    refresh_token = ma.fields.String(load_default=None)


class PasswordSchema(ma.Schema):
    """A change of password."""

    current_password = _password()
    new_password = _password()


class ProfileSchema(ma.Schema):
    """What one may change about oneself."""

    name = Name(required=True, validate=[validate.Length(1, 100), _is_name])


class UserSchema(ma.Schema):
    """Somebody, as they see themselves."""

    id = ma.fields.Integer()
    login = ma.fields.String()
    email = ma.fields.String()
    name = ma.fields.String()
    role = ma.fields.String()
    created_at = ma.fields.AwareDateTime()


class TokensSchema(ma.Schema):
    """An access token, and the refresh token or (with the cookie) the CSRF token that goes with it."""

    access_token = ma.fields.String()
    refresh_token = ma.fields.String()
    csrf_token = ma.fields.String()
    token_type = ma.fields.String()
    expires_in = ma.fields.Integer(metadata={"description": "Seconds until the access token expires."})
    user = ma.fields.Nested(UserSchema)


class SessionSchema(ma.Schema):
    """A place where one is logged in."""

    id = ma.fields.String()
    created_at = ma.fields.AwareDateTime()
    last_used_at = ma.fields.AwareDateTime()
    expires_at = ma.fields.AwareDateTime()
    ip = ma.fields.String()
    user_agent = ma.fields.String()
    is_current = ma.fields.Boolean()


class SessionsSchema(ma.Schema):
    """Sessions, last used first."""

    items = ma.fields.List(ma.fields.Nested(SessionSchema))


class KeySetSchema(ma.Schema):
    """A JWK set (RFC 7517)."""

    keys = ma.fields.List(ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.String()))
