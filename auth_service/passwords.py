"""Passwords: how one is stored and checked, and which ones are refused.

Stored as `p1$` + bcrypt(base64(HMAC-SHA384(pepper, password))). The keyed hash first, so that every character of
any length counts (bcrypt alone stops at 72 bytes) and a stolen table is useless without the pepper, which is not
in the database. The prefix names the scheme: a later one can live beside it and replace it at each login.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import logging
from pathlib import Path

import bcrypt as raw_bcrypt
from flask import current_app

from auth_service.extensions import bcrypt

log = logging.getLogger(__name__)

MAX_CHARACTERS = 256
_SCHEME = "p1$"
_COMMON_FILE = Path(__file__).with_name("common_passwords.txt")
# What must be left of a password when the login and the e-mail are taken out of it.
_LEAST_OWN_CHARACTERS = 4


def hash_password(password: str) -> str:
    """What may be stored for a password, at the configured cost."""
    digest: bytes = bcrypt.generate_password_hash(_seasoned(password), current_app.config["BCRYPT_LOG_ROUNDS"])
    return _SCHEME + digest.decode()


def password_matches(stored: str, password: str) -> bool:
    """Whether the password belongs to the stored hash. A hash nobody can read matches nothing and is logged."""
    if not stored.startswith(_SCHEME):
        log.error("password_hash_unreadable")
        return False
    try:
        return bool(bcrypt.check_password_hash(stored.removeprefix(_SCHEME), _seasoned(password)))
    except ValueError:
        log.error("password_hash_unreadable")
        return False


def is_outdated(stored: str) -> bool:
    """True when the hash was made in another scheme or at another cost than today's."""
    cost = f"$2b${current_app.config['BCRYPT_LOG_ROUNDS']:02d}$"
    return not stored.removeprefix(_SCHEME).startswith(cost) or not stored.startswith(_SCHEME)


def check_against_nobody(password: str) -> None:
    """Spend the time a real check would: an unknown login must not answer sooner than a known one."""
    password_matches(_decoy(current_app.config["BCRYPT_LOG_ROUNDS"]), password)


def broken_rules(password: str, *, login: str, email: str) -> list[str]:
    """Why this password is refused, in sentences for its owner; empty when it is fine.

    Length and well-known passwords only. Rules about kinds of characters make passwords worse, not better.
    """
    least = current_app.config["PASSWORD_MIN_LENGTH"]
    rules = []
    if len(password) < least:
        rules.append(f"Use at least {least} characters.")
    if password.casefold() in _common_passwords():
        rules.append("This password is on the list of the most common ones; choose another.")
    if _own_part(password, login, email) < _LEAST_OWN_CHARACTERS:
        rules.append("This password is little more than your login or e-mail; choose another.")
    return rules


def _seasoned(password: str) -> bytes:
    # Imported passwords keep every byte: no stripping, no Unicode normalisation (ASVS 6.2.8).
    pepper: str = current_app.config["PASSWORD_PEPPER"]
    return base64.b64encode(hmac.digest(pepper.encode(), password.encode(), hashlib.sha384))


def _own_part(password: str, login: str, email: str) -> int:
    left = password.casefold()
    # The longest first, or the login inside an e-mail would hide the e-mail.
    for known in sorted({login, email, email.partition("@")[0]}, key=len, reverse=True):
        left = left.replace(known.casefold(), "") if known else left
    return len(left)


@functools.cache
def _decoy(rounds: int) -> str:
    """A hash of the right cost that no password has, made without hashing anything."""
    return _SCHEME + raw_bcrypt.gensalt(rounds).decode() + "." * 31


@functools.cache
def _common_passwords() -> frozenset[str]:
    lines = _COMMON_FILE.read_text(encoding="utf-8").splitlines()
    return frozenset(line.casefold() for line in lines if line and not line.startswith("#"))
