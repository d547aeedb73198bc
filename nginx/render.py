"""Write the gateway's nginx configuration: the template beside this file, filled in from the environment.

    python nginx/render.py --out DIR            write it, and print the command that starts nginx on it
    python nginx/render.py --out DIR --start    write it, and become that nginx (what the container does)

Standard library only: it runs in the gateway's image, where nothing of ours is installed.
Every value is checked before it is written, since a configuration is code to nginx.
"""

from __future__ import annotations

import argparse
import grp
import hashlib
import ipaddress
import os
import pwd
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

TEMPLATE = "nginx.conf"
INCLUDES = ("errors.conf", "problem.conf", "proxy.conf", "security.conf", "verify.conf")
HERE = Path(__file__).resolve().parent
STANDARD_STREAMS = "stdout"  # LOG_DIR of a container: its log is its output.
DEFAULT_CORS_ORIGINS = "http://localhost:3000,https://my-learning-app.com"
_STAGE = Path("/run")

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])"
_HOST_AND_PORT = re.compile(rf"{_HOST}:(\d{{1,5}})")
_LISTEN = re.compile(rf"(?:(?:{_HOST}|\*):)?(\d{{1,5}})")
_RATE = re.compile(r"(\d{1,6})r/([sm]):(\d{1,6})")
_SIZE = re.compile(r"([1-9]\d{0,8})([kKmM]?)")
_ORIGIN = re.compile(rf"https?://{_HOST}(?::\d{{1,5}})?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_UNSAFE_IN_PATH = re.compile(r"[\"\\$;{}\x00-\x1f\x7f]")  # What means something to nginx, even inside quotes.

T = TypeVar("T")


class SettingsError(ValueError):
    """Names every value that is missing or wrong, in one message."""


@dataclass(frozen=True)
class Rate:
    """`20r/m:20`: so many requests in a second or minute, and so many more at once before the first is refused."""

    count: int
    per: str
    burst: int

    @property
    def slot_seconds(self) -> int:
        """After how many seconds the next request is let in once the burst is used up."""
        return max(1, -(-(60 if self.per == "m" else 1) // self.count))


@dataclass(frozen=True)
class Settings:
    """What differs from one gateway to the next."""

    listen: tuple[str, ...]
    auth_upstream: str
    main_upstream: str
    site_root: Path
    run_dir: Path
    log_dir: Path | None  # None: standard output and standard error.
    pidfile: Path
    rate_login: Rate | None = Rate(20, "m", 20)
    rate_submit: Rate | None = Rate(5, "s", 60)
    rate_api: Rate | None = Rate(50, "s", 200)
    max_body: str = "2m"  # 256 KiB of source and 64 of input, each byte spelled \u0000 in JSON, and some.
    workers: int = 2
    worker_user: str | None = None  # Only root may name one; None: the workers are whoever starts nginx.
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = tuple(DEFAULT_CORS_ORIGINS.split(","))
    hsts_seconds: int = 0
    resolver: str | None = None

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Settings:
        """Read and check every name.

        GATEWAY_LISTEN (`8080`, `127.0.0.1:8080`, a comma list) or GATEWAY_PORT; AUTH_UPSTREAM, MAIN_UPSTREAM
        (host:port); SITE_ROOT, RUN_DIR (absolute folders); LOG_DIR (a folder, or `stdout`; default RUN_DIR);
        PIDFILE (default RUN_DIR/nginx.pid); RATE_LOGIN, RATE_SUBMIT, RATE_API (`20r/m:20`, or `off`); MAX_BODY;
        GATEWAY_WORKERS; GATEWAY_USER (root only; default www-data, else nobody); TRUSTED_PROXIES (addresses whose
        X-Forwarded-For and -Proto are believed; default none); CORS_ORIGINS; HSTS_SECONDS (0: no such header);
        RESOLVER (address of a name server to ask for the upstreams again and again, as in Docker; default: asked
        once, at start). Raises SettingsError with all that is wrong.
        """
        form = _Form(environment)
        run_dir = form.value("RUN_DIR", _folder) or Path("/")  # Missing: complained of below, once.
        settings = cls(
            listen=form.value("GATEWAY_LISTEN", _listen, environment.get("GATEWAY_PORT") or "8080"),
            auth_upstream=form.value("AUTH_UPSTREAM", _host_and_port),
            main_upstream=form.value("MAIN_UPSTREAM", _host_and_port),
            site_root=form.value("SITE_ROOT", _existing_folder),
            run_dir=run_dir,
            log_dir=form.value("LOG_DIR", _log_folder, str(run_dir)),
            pidfile=form.value("PIDFILE", _folder, str(run_dir / "nginx.pid")),
            rate_login=form.value("RATE_LOGIN", _rate, "20r/m:20"),
            rate_submit=form.value("RATE_SUBMIT", _rate, "5r/s:60"),
            rate_api=form.value("RATE_API", _rate, "50r/s:200"),
            max_body=form.value("MAX_BODY", _size, "2m"),
            workers=form.value("GATEWAY_WORKERS", _number(1, 64), "2"),
            worker_user=form.value("GATEWAY_USER", _worker_user, ""),
            trusted_proxies=form.value("TRUSTED_PROXIES", _networks, ""),
            cors_origins=form.value("CORS_ORIGINS", _origins, DEFAULT_CORS_ORIGINS),
            hsts_seconds=form.value("HSTS_SECONDS", _number(0, 2**31 - 1), "0"),
            resolver=form.value("RESOLVER", _resolver, ""),
        )
        form.complain()
        return settings


def render(settings: Settings) -> dict[str, str]:
    """The configuration as {file name: text}: nginx.conf and the includes that stand beside it."""
    files = {name: (HERE / name).read_text() for name in INCLUDES}
    files[TEMPLATE] = _fill((HERE / TEMPLATE).read_text(), _values(settings))
    return files


def write(settings: Settings, out: Path) -> list[str]:
    """Make the folders, write the configuration into `out`, and return the command that starts nginx on it."""
    settings = within_reach_of_workers(settings)
    for folder in (settings.run_dir, settings.pidfile.parent, settings.log_dir, out):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    for name, text in render(settings).items():
        (out / name).write_text(text)
    return nginx_command(settings, out)


def nginx_command(settings: Settings, out: Path) -> list[str]:
    """-e: without it nginx opens its compiled-in error log first, which an ordinary user may not write."""
    return ["nginx", "-p", str(settings.run_dir), "-e", _error_log(settings), "-c", str(out.resolve() / TEMPLATE)]


def within_reach_of_workers(settings: Settings) -> Settings:
    """Where root starts nginx from a folder that is closed to others, give the workers a place of their own.

    Its workers give root up, so a checkout under /root (0700), or one made with umask 077, is closed to them:
    every page would be a 403. The page is then copied to a folder under /run, remade at each start, and nginx's
    temporary files live there too. Logs and the pid file stay: root opens those.
    """
    if settings.worker_user is None or (_open_to_others(settings.site_root) and _may_be_entered(settings.run_dir)):
        return settings
    stage = stage_of(settings.run_dir)
    site = stage / "site"
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(settings.site_root, site)
    for path in (stage, site, *site.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return replace(settings, site_root=site, run_dir=stage)


def stage_of(run_dir: Path) -> Path:
    """Where within_reach_of_workers() puts what a gateway with this run folder needs; its user's to delete."""
    return _STAGE / f"labs-gateway-{hashlib.sha256(str(run_dir).encode()).hexdigest()[:12]}"


def main(arguments: list[str] | None = None) -> int:
    """Command line; 78 (EX_CONFIG) when a setting is wrong."""
    parser = argparse.ArgumentParser(description="Write the gateway's nginx configuration from the environment.")
    parser.add_argument("--out", type=Path, required=True, help="folder for nginx.conf and its includes")
    parser.add_argument("--start", action="store_true", help="become nginx afterwards")
    options = parser.parse_args(arguments)
    try:
        command = write(Settings.from_env(os.environ), options.out)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 78
    if options.start:
        os.execvp(command[0], command)  # noqa: S606  # The same process, so that signals reach nginx.
    print(" ".join(command))  # noqa: T201
    return 0


# The template ------------------------------------------------------------------------------------


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Put the values in. A name that only one side knows is a KeyError here, not a hole in the configuration."""
    left = dict(values)

    def put(match: re.Match[str]) -> str:
        indent, name = match["indent"], match["name"]
        left.pop(name, None)
        return indent + f"\n{indent}".join(values[name].splitlines())

    filled = re.sub(r"(?P<indent>(?m:^ *)|)\{\{ (?P<name>\w+) \}\}", put, template)
    if left:
        raise KeyError(f"nginx.conf has no place for {', '.join(sorted(left))}")
    return filled


def _values(settings: Settings) -> dict[str, str]:
    return {
        "user_line": _user_line(settings.worker_user),
        "workers": str(settings.workers),
        "pidfile": str(settings.pidfile),
        "error_log": f'"{_error_log(settings)}"',
        "access_log": f'"{settings.log_dir / "nginx_access.log" if settings.log_dir else "/dev/stdout"}"',
        "run_dir": str(settings.run_dir),
        "site_root": str(settings.site_root),
        "max_body": settings.max_body,
        "listen": "\n".join(f"listen {address};" for address in settings.listen),
        "trusted_proxies": _trusted_proxies(settings.trusted_proxies),
        "cors_origins": "\n".join(f'"{origin}" $http_origin;' for origin in settings.cors_origins),
        "strict_transport": f"max-age={settings.hsts_seconds}" if settings.hsts_seconds else "",
        "limit_zones": "\n".join(
            f"limit_req_zone {key} zone={zone}:{size} rate={rate.count}r/{rate.per};"
            for zone, key, size, rate in (
                ("login", "$login_key", "2m", settings.rate_login),
                ("submit", "$submit_key", "10m", settings.rate_submit),
                ("api", "$binary_remote_addr", "10m", settings.rate_api),
            )
            if rate
        ),
        "limit_login": _limit("login", settings.rate_login, slow=True),
        "limit_submit": _limit("submit", settings.rate_submit, slow=True),
        "limit_api": _limit("api", settings.rate_api),
        **_upstreams(settings),
    }


def _error_log(settings: Settings) -> str:
    return str(settings.log_dir / "nginx_error.log") if settings.log_dir else "stderr"


def _user_line(user: str | None) -> str:
    if user is None:
        return "# Not root: the workers are whoever started us."
    return f"user {user} {grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name};"


def _limit(zone: str, rate: Rate | None, *, slow: bool = False) -> str:
    if rate is None:
        return f"# No {zone} limit: switched off."
    burst = f" burst={rate.burst} nodelay" if rate.burst else ""
    wait = f"\nset $slot_seconds {rate.slot_seconds};" if slow else ""
    return f"limit_req zone={zone}{burst};{wait}"


def _trusted_proxies(networks: Iterable[str]) -> str:
    networks = list(networks)
    lines = [f"set_real_ip_from {network};" for network in networks]
    if lines:
        lines += ["real_ip_header X-Forwarded-For;", "real_ip_recursive on;"]
    else:
        lines.append("# TRUSTED_PROXIES is empty: whoever connects is the client, whatever X-Forwarded-For says.")
    trusted = "".join(f" {network} 1;" for network in networks)
    return "\n".join([*lines, f"geo $realip_remote_addr $from_trusted_proxy {{ default 0;{trusted} }}"])


def _upstreams(settings: Settings) -> dict[str, str]:
    """How both services are reached: by an address found once (and kept connections), or by asking a resolver.

    A container that is made anew may come back under another address. nginx without the paid `resolve` looks names
    up once, so it would answer 502 until somebody reloads it; names in a variable are asked for again.
    """
    if settings.resolver is None:
        blocks = [
            f"upstream {name} {{\n    server {address};\n    keepalive 16;\n"
            "    keepalive_timeout 30s;  # Shorter than gunicorn's, so that we are the one to close.\n}"
            for name, address in (("auth_service", settings.auth_upstream), ("main_service", settings.main_upstream))
        ]
        return {"upstreams": "\n".join(blocks), "auth": "auth_service", "main": "main_service"}
    return {
        "upstreams": f"resolver {settings.resolver} valid=5s;\nresolver_timeout 2s;\n"
        f"map $host $auth_address {{ default {settings.auth_upstream}; }}\n"
        f"map $host $main_address {{ default {settings.main_upstream}; }}",
        "auth": "$auth_address",
        "main": "$main_address",
    }


# The environment ---------------------------------------------------------------------------------


class _Form:
    """Reads values one by one and keeps every complaint, so that all are said at once."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._complaints: list[str] = []

    def value(self, name: str, parse: Callable[[str], T], default: str | None = None) -> T:
        text = self._environment.get(name, "").strip()
        if not text and default is None:
            self._complaints.append(f"{name} is missing")
        else:
            try:
                return parse(text or default or "")
            except ValueError as error:
                self._complaints.append(f"{name}: {error}")
        return None  # type: ignore[return-value]  # Never seen: complain() raises first.

    def complain(self) -> None:
        if self._complaints:
            raise SettingsError("The gateway cannot be configured:\n  " + "\n  ".join(self._complaints))


def _port(text: str) -> None:
    if not 1 <= int(text) <= 65535:
        raise ValueError(f"{text} is not a port")


def _host_and_port(text: str) -> str:
    match = _HOST_AND_PORT.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not host:port")
    _port(match[1])
    return text


def _listen(text: str) -> tuple[str, ...]:
    addresses = _words(text)
    for address in addresses:
        match = _LISTEN.fullmatch(address)
        if not match:
            raise ValueError(f"{address!r} is neither a port nor address:port")
        _port(match[1])
    return addresses


def _folder(text: str) -> Path:
    if not text.startswith("/") or _UNSAFE_IN_PATH.search(text):
        raise ValueError(f"{text!r} is not an absolute path that nginx can read")
    return Path(text)


def _existing_folder(text: str) -> Path:
    folder = _folder(text)
    if not (folder / "index.html").is_file():
        raise ValueError(f"{text!r} holds no index.html")
    return folder


def _log_folder(text: str) -> Path | None:
    return None if text == STANDARD_STREAMS else _folder(text)


def _rate(text: str) -> Rate | None:
    if text == "off":
        return None
    match = _RATE.fullmatch(text)
    if not match or not int(match[1]):
        raise ValueError(f"{text!r} is not a rate such as 20r/m:20 (burst after the colon), nor off")
    return Rate(int(match[1]), match[2], int(match[3]))


def _size(text: str) -> str:
    if not _SIZE.fullmatch(text):
        raise ValueError(f"{text!r} is not a size such as 512k or 1m")
    return text


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return parse


def _worker_user(text: str) -> str | None:
    if os.geteuid() != 0:
        if text:
            raise ValueError("only root can give the workers another user")
        return None
    for name in (text,) if text else ("www-data", "nobody"):
        if _USER.fullmatch(name):
            try:
                pwd.getpwnam(name)
            except KeyError:
                continue
            return name
    raise ValueError(f"there is no user {text or 'www-data or nobody'!r}")


def _networks(text: str) -> tuple[str, ...]:
    return tuple(str(ipaddress.ip_network(word, strict=False)) for word in _words(text))


def _origins(text: str) -> tuple[str, ...]:
    origins = _words(text)
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin!r} is not an origin such as https://labs.example.edu")
    return origins


def _resolver(text: str) -> str | None:
    if not text:
        return None
    host, _, port = text.partition(":")
    ipaddress.IPv4Address(host)
    if port:
        _port(port)
    return text


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (word.strip() for word in text.split(","))))


# Reach -------------------------------------------------------------------------------------------


def _open_to_others(folder: Path) -> bool:
    """Any user may read every file in here."""
    return _may_be_entered(folder) and all(
        path.stat().st_mode & stat.S_IROTH and (not path.is_dir() or path.stat().st_mode & stat.S_IXOTH)
        for path in folder.rglob("*")
    )


def _may_be_entered(folder: Path) -> bool:
    """Any user may pass through this folder and all above it; what does not exist yet is made by us, and may."""
    return all(
        parent.stat().st_mode & stat.S_IXOTH
        for parent in (folder.absolute(), *folder.absolute().parents)
        if parent.exists()
    )


if __name__ == "__main__":
    sys.exit(main())
