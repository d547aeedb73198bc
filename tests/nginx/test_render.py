"""A wrong setting is named before nginx ever sees it; a right one gives a configuration nginx accepts."""

import os
import pwd
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nginx.render import HERE, INCLUDES, TEMPLATE, Rate, Settings, SettingsError, render, within_reach_of_workers, write
from tests.nginx.gateway import SITE, Gateway, Upstream, environment, running

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give the workers another user")


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path, "127.0.0.1:1", "127.0.0.1:2")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"RATE_LOGIN": "20r/m:20", "RATE_SUBMIT": "5r/s:60", "RATE_API": "50r/s:0"},
        {"GATEWAY_PORT": "18080", "GATEWAY_WORKERS": "1", "MAX_BODY": "512k"},
        {"GATEWAY_LISTEN": "127.0.0.1:18080,127.0.0.1:18081"},
        {"TRUSTED_PROXIES": "10.0.0.0/8, 192.168.1.7, fd00::/8", "HSTS_SECONDS": "31536000"},
        {"RESOLVER": "127.0.0.11", "AUTH_UPSTREAM": "auth_service:8000", "MAIN_UPSTREAM": "main_service:8000"},
        {"LOG_DIR": "stdout", "CORS_ORIGINS": ""},
        {"MAIN_UPSTREAM": "[::1]:8000", "CORS_ORIGINS": "https://labs.example.edu:8443"},
    ],
    ids=lambda changes: ",".join(changes) or "defaults",
)
def test_nginx_accepts_the_configuration(variables: dict[str, str], tmp_path: Path, changes: dict[str, str]) -> None:
    settings = Settings.from_env({"GATEWAY_PORT": "18080", **variables, **changes})
    command = write(settings, tmp_path / "conf")

    tried = subprocess.run([*command, "-t"], capture_output=True, text=True)

    shutil.rmtree(command[command.index("-p") + 1])
    assert tried.returncode == 0, tried.stderr
    assert "[warn]" not in tried.stderr


BAD = [
    ("AUTH_UPSTREAM", "127.0.0.1"),
    ("AUTH_UPSTREAM", "127.0.0.1:70000"),
    ("MAIN_UPSTREAM", "x:80; } evil {"),
    ("MAIN_UPSTREAM", "http://x:80"),
    ("SITE_ROOT", "/nowhere"),
    ("SITE_ROOT", "frontend"),
    ("RUN_DIR", "relative"),
    ("RUN_DIR", '/tmp/a"; daemon on; #'),
    ("RUN_DIR", "/tmp/$host"),
    ("LOG_DIR", "logs"),
    ("PIDFILE", "nginx.pid"),
    ("RATE_LOGIN", "20"),
    ("RATE_LOGIN", "0r/m:5"),
    ("RATE_SUBMIT", "5r/h:60"),
    ("RATE_API", "none"),
    ("MAX_BODY", "0"),
    ("MAX_BODY", "1 m"),
    ("GATEWAY_LISTEN", "0"),
    ("GATEWAY_LISTEN", "8080 default_server"),
    ("GATEWAY_PORT", "http"),
    ("GATEWAY_WORKERS", "0"),
    ("GATEWAY_USER", "no such user"),
    ("TRUSTED_PROXIES", "proxy.example"),
    ("CORS_ORIGINS", "*"),
    ("CORS_ORIGINS", "https://a.example/path"),
    ("CORS_ORIGINS", "null"),
    ("HSTS_SECONDS", "-1"),
    ("HSTS_SECONDS", "1 year"),
    ("RESOLVER", "dns.example"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_by_name(variables: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(SettingsError, match="GATEWAY_LISTEN" if name == "GATEWAY_PORT" else name):
        Settings.from_env({**variables, name: value})


def test_all_complaints_come_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({"RATE_API": "often"})

    complaints = str(refused.value).splitlines()[1:]
    assert [line.split()[0].strip(":") for line in complaints] == [
        "RUN_DIR",
        "AUTH_UPSTREAM",
        "MAIN_UPSTREAM",
        "SITE_ROOT",
        "RATE_API",
    ]


def test_the_command_line_says_what_is_wrong_and_ends_with_78(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, HERE / "render.py", "--out", tmp_path / "conf"], env={}, capture_output=True, text=True
    )

    assert told.returncode == 78
    assert "AUTH_UPSTREAM is missing" in told.stderr
    assert not (tmp_path / "conf").exists()


def test_the_command_line_prints_how_to_start(variables: dict[str, str], tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-I", HERE / "render.py", "--out", tmp_path / "conf"],
        env={**variables, "GATEWAY_PORT": "18080"},
        capture_output=True,
        text=True,
    )

    assert told.stdout.split()[0] == "nginx"
    assert told.stdout.split()[-1] == str(tmp_path / "conf" / "nginx.conf")
    _forget(Path(told.stdout.split()[2]))


def test_rendering_touches_nothing_and_leaves_no_hole(variables: dict[str, str]) -> None:
    files = render(Settings.from_env(variables))

    assert set(files) == {TEMPLATE, *INCLUDES}
    assert not [name for name, text in files.items() if "{{" in text]
    assert not Path(variables["RUN_DIR"]).exists()


def test_every_conf_file_is_used() -> None:
    text = "".join((HERE / name).read_text() for name in (TEMPLATE, *INCLUDES))

    assert {path.name for path in HERE.glob("*.conf")} == {TEMPLATE, *INCLUDES}
    assert all(f"include {name};" in text for name in INCLUDES)


@pytest.mark.parametrize(
    ("rate", "seconds"), [(Rate(20, "m", 20), 3), (Rate(7, "m", 1), 9), (Rate(90, "m", 1), 1), (Rate(5, "s", 60), 1)]
)
def test_the_time_to_wait_is_that_of_one_free_slot(rate: Rate, seconds: int) -> None:
    assert rate.slot_seconds == seconds


# Whose workers -----------------------------------------------------------------------------------


def _forget(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _worker_users(gateway: Gateway) -> set[str]:
    children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
    return {pwd.getpwuid(Path(f"/proc/{child}").stat().st_uid).pw_name for child in children}


@as_root
def test_workers_of_root_are_not_root(gateway: Gateway) -> None:
    # A worker is root for the moment between its fork and its first act.
    deadline = time.monotonic() + 10
    while _worker_users(gateway) != {"www-data"}:
        assert time.monotonic() < deadline, _worker_users(gateway)


@as_root
def test_a_checkout_closed_to_others_is_served_all_the_same(tmp_path: Path, auth: Upstream, main: Upstream) -> None:
    site = tmp_path / "site"
    shutil.copytree(SITE, site)
    (site / "index.html").chmod(0o600)
    tmp_path.chmod(0o700)

    variables = environment(tmp_path, auth.address, main.address, SITE_ROOT=str(site))
    with running(tmp_path, variables) as gateway:
        page = gateway.get("/")
        answer = gateway.post("/api/submissions", data=b"x" * 500_000)  # Large enough for a temporary file.

    assert (page.status_code, page.content) == (200, (SITE / "index.html").read_bytes())
    assert answer.status_code == 200
    assert len(main.asked[0].body) == 500_000


@as_root
def test_what_the_workers_reach_is_used_where_it_lies(variables: dict[str, str], tmp_path: Path) -> None:
    open_run = Path("/tmp") / f"labs-{os.getpid()}"  # pytest's own folder is closed to others.
    settings = Settings.from_env({**variables, "RUN_DIR": str(open_run / "run")})
    reached = within_reach_of_workers(settings)
    _forget(reached.run_dir)

    checkout_is_open = all(folder.stat().st_mode & 0o001 for folder in (SITE, *SITE.parents))
    assert (reached == settings) == checkout_is_open


@as_root
def test_an_ordinary_user_can_run_it(tmp_path_factory: pytest.TempPathFactory, auth: Upstream, main: Upstream) -> None:
    """Rendered by that user, too: no `user` line, no folder of root's, no port below 1024."""
    home = Path("/tmp") / f"labs-ordinary-{os.getpid()}"
    home.mkdir()
    try:
        shutil.copytree(HERE, home / "nginx", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(SITE, home / "site")
        for path in (home, *home.rglob("*")):
            shutil.chown(path, "nobody")
        variables = environment(home, auth.address, main.address, SITE_ROOT=str(home / "site"))
        rendered = subprocess.run(
            ["/usr/bin/python3", "-I", home / "nginx" / "render.py", "--out", home / "conf"],
            env={**variables, "GATEWAY_LISTEN": "127.0.0.1:18080"},
            user="nobody",
            capture_output=True,
            text=True,
        )
        assert rendered.returncode == 0, rendered.stderr
        tried = subprocess.run([*rendered.stdout.split(), "-t"], user="nobody", capture_output=True, text=True)
        assert tried.returncode == 0, tried.stderr
        assert "user nobody" not in (home / "conf" / "nginx.conf").read_text()
        assert "[warn]" not in tried.stderr
    finally:
        shutil.rmtree(home)
