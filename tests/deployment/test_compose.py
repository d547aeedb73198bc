"""docker-compose.yml: valid, and as strict as we say it is."""

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.files import COMPOSE, ROOT, compose, services, variables

OURS = {"gateway", "auth_service", "main_service", "dispatch", "executor_worker", "runner"}
OTHERS = {"rabbitmq", "db-auth", "db-main"}
ONE_SHOTS = {"secrets", "migrate-auth", "migrate-main"}
RUNNING = sorted(OURS | OTHERS)
ALL = sorted(OURS | OTHERS | ONE_SHOTS)
CAPABILITIES = {"runner": ["SETUID", "SETGID"], "secrets": ["CHOWN"]}


def docker_compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The real Docker Compose, which checks without an engine. Not its console script: that always exits 0."""
    package = importlib.util.find_spec("compose")
    assert package
    assert package.submodule_search_locations
    binary = Path(next(iter(package.submodule_search_locations))) / "docker-compose"
    # No .env of the developer's may decide what is tested.
    command: list[str | Path] = [binary, "--env-file", os.devnull, "--file", COMPOSE, *arguments]
    return subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, cwd=ROOT)


def test_docker_compose_accepts_the_file() -> None:
    checked = docker_compose("config", "--quiet")

    assert (checked.returncode, checked.stderr) == (0, "")


def test_docker_compose_would_refuse_a_bad_file(tmp_path: Path) -> None:
    bad = tmp_path / "docker-compose.yml"
    bad.write_text(COMPOSE.read_text().replace("condition: service_healthy", "condition: service_lucky"))

    assert docker_compose("--file", str(bad), "config", "--quiet").returncode != 0


def test_docker_compose_reads_it_as_we_do() -> None:
    read = json.loads(docker_compose("config", "--format", "json").stdout)["services"]

    assert set(read) == set(ALL) == set(services())
    for name, service in services().items():
        expected = {key: str(value) for key, value in (service.get("environment") or {}).items()}
        assert (read[name].get("environment") or {}) == expected
        assert read[name].get("cap_add", []) == service.get("cap_add", [])


# Least privilege ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_container_is_hardened(name: str) -> None:
    service = services()[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == CAPABILITIES.get(name, [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert service["mem_limit"] == service["memswap_limit"]
    assert service["pids_limit"] <= 512
    assert service["cpus"] <= 2
    assert service["stop_grace_period"]


@pytest.mark.parametrize("name", ALL)
def test_no_container_is_let_near_the_host(name: str) -> None:
    service = services()[name]

    for key in ("privileged", "devices", "pid", "ipc", "userns_mode", "cgroup_parent", "env_file", "extra_hosts"):
        assert key not in service
    assert service.get("network_mode") in (None, "none")
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source in compose()["volumes"], f"{source} is a folder of the host"
    for folder in service.get("tmpfs", []):
        assert "nosuid" in folder
        assert "nodev" in folder
        assert "size=" in folder


def test_only_the_gateway_publishes_a_port_and_only_on_loopback() -> None:
    assert {name: service["ports"] for name, service in services().items() if "ports" in service} == {
        "gateway": ["127.0.0.1:8080:8080"]
    }


def test_only_the_gateway_has_a_way_out() -> None:
    networks = compose()["networks"]
    open_networks = {name for name, network in networks.items() if not network.get("internal")}

    assert open_networks == {"edge"}
    assert [name for name, service in services().items() if "edge" in service.get("networks", [])] == ["gateway"]


def test_who_meets_whom() -> None:
    """A network is a list of those who may knock at each other's doors."""
    meets: dict[str, set[str]] = {name: set() for name in compose()["networks"]}
    for name, service in services().items():
        for network in service.get("networks", []):
            meets[network].add(name)

    assert meets == {
        "edge": {"gateway"},
        "web": {"gateway", "auth_service", "main_service"},
        "workers": {"main_service", "dispatch", "rabbitmq", "executor_worker"},
        "auth-data": {"auth_service", "db-auth", "migrate-auth"},
        "main-data": {"main_service", "dispatch", "db-main", "migrate-main"},
    }


def test_the_runner_has_nothing_to_steal() -> None:
    runner = services()["runner"]

    assert runner["network_mode"] == "none"
    assert runner["environment"] == {}
    assert runner["volumes"] == ["runner_socket:/run/runner"]
    assert runner["ulimits"] == {"core": 0}
    sharing = [name for name, each in services().items() if "runner_socket:/run/runner" in each.get("volumes", [])]
    assert sharing == ["executor_worker", "runner"]


@pytest.mark.parametrize("name", sorted(set(ALL) - {"runner", "secrets"}))
def test_nobody_else_is_root(name: str) -> None:
    from tests.deployment.files import stages

    service = services()[name]
    if "user" in service:
        assert service["user"] in ("postgres", "rabbitmq")
        return
    image = service["image"]
    build = next(each["build"] for each in services().values() if each["image"] == image and "build" in each)
    user = stages(ROOT / build["dockerfile"])[build.get("target", "0")].last("USER")
    assert user
    assert int(user.split(":")[0]) > 10000


# Secrets ------------------------------------------------------------------------------------------


def test_each_secret_volume_is_for_one_image_and_read_only() -> None:
    readers: dict[str, set[str]] = {}
    for name, service in services().items():
        for volume in service.get("volumes", []):
            source, _, options = volume.partition(":")
            if source.endswith("_secrets") and name != "secrets":
                assert options.endswith(":ro"), (name, volume)
                readers.setdefault(source, set()).add(service["image"] if source[:3] != "db-" else name)

    assert all(len(images) == 1 for images in readers.values()), readers
    mounted = {volume.split(":")[0] for volume in services()["secrets"]["volumes"]}
    assert mounted == {*readers, "secrets_vault"}
    vault = [name for name, each in services().items() if any("secrets_vault" in v for v in each.get("volumes", []))]
    assert vault == ["secrets"]


SECRET_WORDS = ("PASSWORD", "TOKEN", "SECRET", "PEPPER", "AMQP_URL")


def test_no_secret_stands_in_the_file() -> None:
    for name, service in services().items():
        for key, value in (service.get("environment") or {}).items():
            if any(word in key for word in SECRET_WORDS):
                assert key.endswith("_FILE"), f"{name}: {key} holds its value"
                assert str(value).startswith("/run/secrets-of/")
            assert ":" not in str(value).partition("://")[2].rpartition("@")[0], f"{name}: a password in {key}"


# Life ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNNING)
def test_what_runs_is_watched_and_restarted(name: str) -> None:
    service = services()[name]

    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["healthcheck"]["start_period"]


def test_waiting_is_for_what_the_other_is_worth() -> None:
    """One-shots must have succeeded, the rest must be well; and nothing waits in a circle."""
    waits: dict[str, dict[str, Any]] = {name: service.get("depends_on", {}) for name, service in services().items()}
    for others in waits.values():
        for other, how in others.items():
            expected = "service_completed_successfully" if other in ONE_SHOTS else "service_healthy"
            assert how == {"condition": expected}
    settled: set[str] = set()
    while len(settled) < len(waits):
        ready = {name for name, others in waits.items() if name not in settled and settled.issuperset(others)}
        assert ready, f"these wait for each other: {sorted(set(waits) - settled)}"
        settled |= ready


def test_migrations_run_before_their_service() -> None:
    assert "migrate-auth" in services()["auth_service"]["depends_on"]
    assert "migrate-main" in services()["main_service"]["depends_on"]


@pytest.mark.parametrize("name", ALL)
def test_images_are_pinned_or_built_here(name: str) -> None:
    service = services()[name]
    image = service["image"]

    if image.startswith("open-labs-share/"):
        assert any(each["image"] == image and "build" in each for each in services().values())
    else:
        _, _, tag = image.partition(":")
        assert tag not in ("", "latest")


def test_the_worker_takes_no_more_than_the_runner_has_room_for() -> None:
    command = services()["runner"]["command"]

    assert command[command.index("--slots") + 1] == str(services()["executor_worker"]["environment"]["EXECUTOR_SLOTS"])
    worker = services()["executor_worker"]
    assert int(worker["stop_grace_period"].rstrip("s")) > int(worker["environment"]["DRAIN_SECONDS"])


def test_every_setting_is_listed_with_its_default() -> None:
    listed = {}
    for line in (ROOT / ".env.example").read_text().splitlines():
        if line.startswith("#") and "=" in line and " " not in line:
            name, _, default = line[1:].partition("=")
            listed[name] = {default}

    assert variables() == listed
