"""Make every secret of docker-compose.yml, and give each service those it needs and no others.

    docker compose run --rm secrets                         as `docker compose up` does by itself
    docker compose run --rm secrets --rotate-signing-key    then: docker compose restart auth_service

A secret is made once and kept in /secrets/vault, which no service mounts; from there it is handed out again at each
start. Each of the other folders is a volume of one service alone.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# The users of our own images (see the Dockerfiles).
EXECUTOR_WORKER, AUTH_SERVICE, MAIN_SERVICE = 10001, 10002, 10003
# Images of others have users of their own; compose puts them into this group.
READERS = 10010


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make_secrets")
    parser.add_argument("root", type=Path, help="the folder under which all volumes are mounted")
    parser.add_argument("--rotate-signing-key", action="store_true", help="let another key sign access tokens")
    options = parser.parse_args(arguments)
    vault = options.root / "vault"
    vault.mkdir(mode=0o700, exist_ok=True)
    _signing_keys(vault / "jwt", rotate=options.rotate_signing_key)
    for volume, name, text, user, group in _handed_out(vault):
        _write(options.root / volume / name, text, user, group)
    _forget_old_keys(vault / "jwt", options.root / "auth_service" / "jwt")
    return 0


def _handed_out(vault: Path) -> Iterator[tuple[str, str, str, int, int]]:
    """(volume, file, content, user, group): who gets what."""
    token = _kept(vault / "service_token")
    pepper = _kept(vault / "password_pepper")
    broker = _kept(vault / "broker_password")
    auth_database, main_database = _kept(vault / "db_auth_password"), _kept(vault / "db_main_password")
    amqp_url = f"amqp://labs:{broker}@rabbitmq:5672/labs"

    yield "auth_service", "service_token", token, AUTH_SERVICE, AUTH_SERVICE
    yield "auth_service", "password_pepper", pepper, AUTH_SERVICE, AUTH_SERVICE
    yield "auth_service", "pgpass", f"db-auth:5432:*:labs:{auth_database}\n", AUTH_SERVICE, AUTH_SERVICE
    for key in sorted((vault / "jwt").glob("*.pem")):
        yield "auth_service", f"jwt/{key.name}", key.read_text(), AUTH_SERVICE, AUTH_SERVICE

    yield "main_service", "service_token", token, MAIN_SERVICE, MAIN_SERVICE
    yield "main_service", "amqp_url", amqp_url, MAIN_SERVICE, MAIN_SERVICE
    yield "main_service", "pgpass", f"db-main:5432:*:labs:{main_database}\n", MAIN_SERVICE, MAIN_SERVICE

    yield "executor_worker", "service_token", token, EXECUTOR_WORKER, EXECUTOR_WORKER
    yield "executor_worker", "amqp_url", amqp_url, EXECUTOR_WORKER, EXECUTOR_WORKER

    yield "db-auth", "password", auth_database, 0, READERS
    yield "db-main", "password", main_database, 0, READERS
    yield "rabbitmq", "rabbitmq.conf", _broker_settings(broker), 0, READERS


def _broker_settings(password: str) -> str:
    """The first start makes this one user, in a vhost of its own; there is no guest."""
    return (
        f"default_user = labs\ndefault_pass = {password}\ndefault_vhost = labs\n"
        "default_permissions.configure = .*\ndefault_permissions.read = .*\ndefault_permissions.write = .*\n"
        "log.console = true\nlog.console.level = warning\n"
    )


def _kept(path: Path) -> str:
    """The secret of that name, made now if there is none yet."""
    if not path.exists():
        _write(path, secrets.token_urlsafe(32), os.geteuid(), os.getegid())
    return path.read_text()


def _signing_keys(folder: Path, *, rotate: bool) -> None:
    command = [sys.executable, "-m", "auth_service.keys", str(folder)]
    subprocess.run(command, check=True)
    if rotate:
        subprocess.run([*command, "--rotate"], check=True)


def _forget_old_keys(ours: Path, theirs: Path) -> None:
    """After a rotation a key may be gone, or be there under another name."""
    for key in theirs.glob("*.pem"):
        if not (ours / key.name).exists():
            key.unlink()


def _write(path: Path, text: str, user: int, group: int) -> None:
    """Replace a file in one step. It is never there half written, nor open to anybody else."""
    path.parent.mkdir(mode=0o755, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.chmod(0o400 if user else 0o440)
    os.chown(fresh, user, group)
    fresh.replace(path)


if __name__ == "__main__":
    sys.exit(main())
