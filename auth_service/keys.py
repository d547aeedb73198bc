"""The Ed25519 keys that sign tokens: made, loaded, published as a JWK set, rotated.

A folder holds `current.pem` (signs), and perhaps `previous.pem` and `next.pem` (only published, so that
tokens signed before a rotation stay good and readers know the coming key). A key's id is its RFC 7638 thumbprint.

    python -m auth_service.keys DIR             make current.pem unless it is there
    python -m auth_service.keys DIR --rotate    current → previous, next (or a new key) → current; then restart
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

CURRENT, PREVIOUS, NEXT = "current.pem", "previous.pem", "next.pem"


class KeysUnusable(Exception):
    """The folder does not hold what is needed to sign; the text says what to do."""


@dataclass(frozen=True)
class KeyRing:
    """The key that signs, and every key whose signatures are good, by key id."""

    signing_kid: str
    signing_key: Ed25519PrivateKey
    public_keys: dict[str, Ed25519PublicKey]

    @classmethod
    def load(cls, folder: Path) -> KeyRing:
        """Read the folder. Raises KeysUnusable when current.pem is missing or a file is not an Ed25519 key."""
        if not (folder / CURRENT).is_file():
            raise KeysUnusable(f"{folder} has no {CURRENT}; make one with: python -m auth_service.keys {folder}")
        signing_key = _read_private(folder / CURRENT)
        public_keys = [signing_key.public_key()]
        public_keys += [_read_public(folder / name) for name in (PREVIOUS, NEXT) if (folder / name).is_file()]
        return cls(
            signing_kid=thumbprint(public_keys[0]),
            signing_key=signing_key,
            public_keys={thumbprint(key): key for key in public_keys},
        )

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public halves as a JWK set (RFC 7517)."""
        return {
            "keys": [
                _public_members(key) | {"kid": kid, "use": "sig", "alg": "EdDSA"}
                for kid, key in self.public_keys.items()
            ]
        }


def thumbprint(key: Ed25519PublicKey) -> str:
    """The key's RFC 7638 thumbprint: the same everywhere, with nothing to configure."""
    canonical = json.dumps(_public_members(key), sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def create_signing_key(folder: Path) -> bool:
    """Make current.pem, readable by its owner alone; True when it was made, False when it was there already."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = _write_new_key(folder)
    try:
        os.link(fresh, folder / CURRENT)  # Unlike rename it fails when the name is taken: two starts at once are fine.
    except FileExistsError:
        return False
    finally:
        fresh.unlink()
    return True


def rotate_keys(folder: Path) -> None:
    """Let another key sign from the next start on; the old one stays published as previous.pem.

    Keep previous.pem for as long as a refresh token lives, then delete it.
    """
    if not (folder / CURRENT).is_file():
        raise KeysUnusable(f"{folder} has no {CURRENT} to rotate")
    successor = folder / NEXT if (folder / NEXT).is_file() else _write_new_key(folder)
    # current.pem exists at every moment: first a second name for the old key, then the new one over it.
    spare = folder / f".{PREVIOUS}"
    spare.unlink(missing_ok=True)
    os.link(folder / CURRENT, spare)
    spare.replace(folder / PREVIOUS)
    successor.replace(folder / CURRENT)


def _write_new_key(folder: Path) -> Path:
    """A new key in a file of its own name, whole on disk before anybody can see it under its real name."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    handle, name = tempfile.mkstemp(prefix=".new-", suffix=".pem", dir=folder)  # mkstemp gives mode 0600.
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _read_private(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeysUnusable(f"{path} cannot be read as a private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysUnusable(f"{path} is not an Ed25519 key")
    return key


def _read_public(path: Path) -> Ed25519PublicKey:
    """From a private or a public PEM: of a retired key only the public half need be kept."""
    try:
        key: Any = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm):
        return _read_private(path).public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise KeysUnusable(f"{path} is not an Ed25519 key")
    return key


def _public_members(key: Ed25519PublicKey) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": _base64url(key.public_bytes_raw())}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def main() -> None:
    """The command line described at the top of this file."""
    parser = argparse.ArgumentParser(prog="python -m auth_service.keys", description="Make or rotate signing keys.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rotate", action="store_true", help="let another key sign; restart auth_service after it")
    arguments = parser.parse_args()
    try:
        if arguments.rotate:
            rotate_keys(arguments.folder)
        else:
            create_signing_key(arguments.folder)
        ring = KeyRing.load(arguments.folder)
    except KeysUnusable as error:
        parser.exit(1, f"{error}\n")
    sys.stdout.write(f"signing key {ring.signing_kid}, {len(ring.public_keys)} published\n")


if __name__ == "__main__":
    main()
