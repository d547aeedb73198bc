"""What compose hands to a container is what the program in it reads: each service's own settings say so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from auth_service.config import Config as AuthConfig
from auth_service.keys import KeyRing
from executor_worker.config import Config as WorkerConfig
from main_service.config import Config as MainConfig
from nginx.render import Settings as GatewaySettings
from tests.deployment.files import ROOT, services

VOLUMES = ("vault", "auth_service", "main_service", "executor_worker", "rabbitmq", "db-auth", "db-main")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def make_secrets(root: Path, *options: str) -> None:
    subprocess.run(
        [sys.executable, ROOT / "docker" / "make_secrets.py", root, *options], cwd=ROOT, check=True, capture_output=True
    )


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What the `secrets` container leaves, one folder for each volume."""
    for name in VOLUMES:
        (tmp_path / name).mkdir()
    make_secrets(tmp_path)
    return tmp_path


def environment_of(service: str, secrets: Path) -> dict[str, str]:
    given = {name: str(value) for name, value in services()[service]["environment"].items()}
    return {name: value.replace("/run/secrets-of", str(secrets)) for name, value in given.items()}


@as_root
@pytest.mark.parametrize("service", ["auth_service", "migrate-auth"])
def test_auth_service_can_start(secrets: Path, service: str) -> None:
    config = AuthConfig.from_env(environment_of(service, secrets))

    assert config.cookie_secure
    assert config.database_url == "postgresql+psycopg://labs@db-auth:5432/labs"
    assert KeyRing.load(config.keys_dir).signing_kid


@as_root
@pytest.mark.parametrize("service", ["main_service", "dispatch", "migrate-main"])
def test_main_service_can_start(secrets: Path, service: str) -> None:
    config = MainConfig.from_env(environment_of(service, secrets))

    assert config.app_env == "production"
    assert config.amqp_url.endswith("@rabbitmq:5672/labs")


@as_root
def test_the_worker_can_start(secrets: Path) -> None:
    config = WorkerConfig.from_env(environment_of("executor_worker", secrets))

    assert config.slots == 2
    assert config.main_service_url == "http://main-service:8000"


def test_the_gateway_can_start() -> None:
    given = {name: str(value) for name, value in services()["gateway"]["environment"].items()}

    settings = GatewaySettings.from_env({**given, "SITE_ROOT": str(ROOT / "frontend"), "RUN_DIR": "/run/gateway"})

    assert settings.resolver == "127.0.0.11"
    assert settings == GatewaySettings.from_env(
        {
            "SITE_ROOT": str(ROOT / "frontend"),
            "RUN_DIR": "/run/gateway",
            "RESOLVER": "127.0.0.11",
            "AUTH_UPSTREAM": "auth-service:8000",
            "MAIN_UPSTREAM": "main-service:8000",
        }
    ), "compose's defaults are the gateway's own"


@as_root
def test_all_services_got_the_same_secrets(secrets: Path) -> None:
    tokens = {(secrets / name / "service_token").read_text() for name in VOLUMES[1:4]}

    assert len(tokens) == 1
    for service in ("auth", "main"):
        password = (secrets / f"db-{service}" / "password").read_text()
        assert (secrets / f"{service}_service" / "pgpass").read_text() == f"db-{service}:5432:*:labs:{password}\n"
    amqp_url = (secrets / "main_service" / "amqp_url").read_text()
    assert amqp_url == (secrets / "executor_worker" / "amqp_url").read_text()
    password = amqp_url.removeprefix("amqp://labs:").partition("@")[0]
    assert f"default_pass = {password}\n" in (secrets / "rabbitmq" / "rabbitmq.conf").read_text()


@as_root
def test_every_secret_belongs_to_its_one_reader(secrets: Path) -> None:
    users = {"auth_service": 10002, "main_service": 10003, "executor_worker": 10001}
    for volume in VOLUMES[1:]:
        for path in (secrets / volume).rglob("*"):
            if path.is_file():
                status = path.stat()
                owner = (status.st_uid, status.st_gid, status.st_mode & 0o777)
                user = users.get(volume)
                assert owner == ((user, user, 0o400) if user else (0, 10010, 0o440)), path


@as_root
def test_a_second_start_makes_nothing_new(secrets: Path) -> None:
    before = {path: path.read_bytes() for path in secrets.rglob("*") if path.is_file()}

    make_secrets(secrets)

    assert {path: path.read_bytes() for path in secrets.rglob("*") if path.is_file()} == before


@as_root
def test_a_rotated_key_is_handed_out_and_the_old_one_still_published(secrets: Path) -> None:
    before = KeyRing.load(secrets / "auth_service" / "jwt")

    make_secrets(secrets, "--rotate-signing-key")

    after = KeyRing.load(secrets / "auth_service" / "jwt")
    assert after.signing_kid != before.signing_kid
    assert before.signing_kid in after.public_keys
