"""Signing keys: made once, kept private, published, rotated without logging anybody out."""

import base64
import stat
import subprocess
import sys
import threading
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from auth_service import keys
from auth_service.keys import KeyRing, KeysUnusable
from service_kit.settings import SettingsError
from tests.auth_service.people import Person, body_of


def test_the_key_id_is_the_thumbprint_of_rfc_8037():
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "="))

    assert keys.thumbprint(key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    folder = tmp_path / "deep" / "keys"

    first, second = keys.create_signing_key(folder), keys.create_signing_key(folder)

    assert (first, second) == (True, False)
    assert [path.name for path in folder.iterdir()] == ["current.pem"]
    assert stat.S_IMODE((folder / "current.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_many_starts_at_once_make_one_key(tmp_path):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(keys.create_signing_key(tmp_path / "keys"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made) == [False] * 7 + [True]
    assert len(list((tmp_path / "keys").iterdir())) == 1


def test_the_command_makes_a_key_and_says_its_id(tmp_path):
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "auth_service.keys", str(tmp_path / "keys")],
            capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip

        assert done.stdout == f"signing key {KeyRing.load(tmp_path / 'keys').signing_kid}, 1 published\n"


def test_after_a_rotation_old_tokens_stay_good_and_new_ones_use_the_new_key(make_app, tmp_path):
    folder = tmp_path / "keys"
    keys.create_signing_key(folder)
    ann = Person.join(make_app(JWT_KEYS_DIR=str(folder)).test_client(), "ann")

    keys.rotate_keys(folder)
    client = make_app(JWT_KEYS_DIR=str(folder)).test_client()

    later = Person(client, "ann", ann.user, ann.tokens)
    assert later.get("/api/auth/me").status_code == 200
    renewed = body_of(later.refresh())["access_token"]
    assert _kid(renewed) != _kid(ann.tokens["access_token"])
    published = {key["kid"] for key in client.get("/api/auth/.well-known/jwks.json").json["keys"]}
    assert published == {_kid(renewed), _kid(ann.tokens["access_token"])}


def test_a_key_announced_as_next_is_published_and_becomes_the_signing_one(tmp_path):
    keys.create_signing_key(tmp_path)
    keys.create_signing_key(tmp_path / "other")
    (tmp_path / "other" / "current.pem").rename(tmp_path / "next.pem")
    before = KeyRing.load(tmp_path)

    keys.rotate_keys(tmp_path)

    after = KeyRing.load(tmp_path)
    assert set(before.public_keys) == set(after.public_keys)
    assert before.signing_kid != after.signing_kid
    assert not (tmp_path / "next.pem").exists()


def test_of_a_retired_key_the_public_half_is_enough(tmp_path):
    keys.create_signing_key(tmp_path)
    old = KeyRing.load(tmp_path)
    keys.rotate_keys(tmp_path)
    (tmp_path / "previous.pem").write_bytes(
        old.signing_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )

    assert old.signing_kid in KeyRing.load(tmp_path).public_keys


def test_without_a_key_we_do_not_start_and_say_how_to_make_one(make_app, tmp_path):
    with pytest.raises(SettingsError, match=r"python -m auth_service\.keys"):
        make_app(JWT_KEYS_DIR=str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"not a key", "another kind"])
@pytest.mark.parametrize("name", ["current.pem", "previous.pem"])
def test_a_file_that_is_not_an_ed25519_key_is_refused(tmp_path, content, name):
    keys.create_signing_key(tmp_path)
    if content == "another kind":
        content = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    (tmp_path / name).write_bytes(content)

    with pytest.raises(KeysUnusable):
        KeyRing.load(tmp_path)


def _kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])
