"""The settings of one stack: <state>/labs.env under the environment, which wins.

Only names some part reads are passed on, and each part gets its own and no more.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from local_stack.errors import WRONG_USE, Trouble

COMMON = ("APP_ENV", "LOG_LEVEL")
WEB = (*COMMON, "CORS_ORIGINS", "WEB_WORKERS", "WEB_THREADS")
AUTH_SERVICE = (
    *WEB,
    "BCRYPT_LOG_ROUNDS",
    "PASSWORD_MIN_LENGTH",
    "ACCESS_TOKEN_SECONDS",
    "REFRESH_TOKEN_SECONDS",
    "SESSION_MAX_SECONDS",
    "COOKIE_SECURE",
    "THROTTLE",
    "THROTTLE_FREE_FAILURES",
    "THROTTLE_MAX_DELAY_SECONDS",
    "THROTTLE_ACCOUNT_PER_HOUR",
    "THROTTLE_ADDRESS_PER_HOUR",
    "THROTTLE_REGISTER_PER_HOUR",
    "JWT_KEYS_DIR",
)
MAIN_SERVICE = (
    *WEB,
    "MAX_SOURCE_BYTES",
    "MAX_STDIN_BYTES",
    "MAX_RESULT_BYTES",
    "MAX_WAITING_PER_USER",
    "MAX_UNPUBLISHED",
    "RUN_CPU_MS",
    "RUN_WALL_MS",
    "RUN_MEMORY_MB",
    "RUN_OUTPUT_BYTES",
)
EXECUTOR_WORKER = (*COMMON, "EXECUTOR_SLOTS", "WORKER_ID", "DRAIN_SECONDS")
GATEWAY = (
    "RATE_LOGIN",
    "RATE_SUBMIT",
    "RATE_API",
    "MAX_BODY",
    "GATEWAY_ADDRESS",
    "GATEWAY_WORKERS",
    "GATEWAY_USER",
    "TRUSTED_PROXIES",
    "HSTS_SECONDS",
    "CORS_ORIGINS",
)
# Each also as NAME_FILE, and handed to the parts only so.
SECRETS = ("SERVICE_TOKEN", "PASSWORD_PEPPER", "AMQP_URL", "DATABASE_URL_AUTH", "DATABASE_URL_MAIN")

KNOWN = frozenset(
    {*AUTH_SERVICE, *MAIN_SERVICE, *EXECUTOR_WORKER, *GATEWAY, *SECRETS, *(f"{name}_FILE" for name in SECRETS)}
)


def parse(text: str, source: str) -> dict[str, str]:
    """NAME=value lines; `#` starts a comment line, quotes around a value and a leading `export` fall away."""
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip().removeprefix("export ")
        if not stripped or stripped.startswith("#"):
            continue
        name, separator, value = stripped.partition("=")
        name, value = name.strip(), value.strip()
        if not separator or not name.isidentifier():
            raise Trouble(f"{source}, line {number}: expected NAME=value, found {line.strip()!r}.", WRONG_USE)
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name] = value
    return found


def unknown(names: Mapping[str, str]) -> list[str]:
    """A sentence for each name that no part reads, with the name that was probably meant."""
    sentences = []
    for name in sorted(set(names) - KNOWN):
        close = get_close_matches(name, KNOWN, n=1)
        sentences.append(f"{name} is not a setting of this project" + (f"; {close[0]} is." if close else "."))
    return sentences


def load(settings_file: Path, environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The settings in force, and warnings about labs.env. An empty value counts as not set."""
    written: dict[str, str] = {}
    if settings_file.exists():
        written = parse(settings_file.read_text(encoding="utf-8"), str(settings_file))
    from_environment = {name: environment[name] for name in KNOWN if name in environment}
    merged = {name: value for name, value in {**written, **from_environment}.items() if name in KNOWN and value}
    return merged, [f"{settings_file}: {sentence}" for sentence in unknown(written)]


def chosen(settings: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """The settings among these names that are set."""
    return {name: settings[name] for name in names if name in settings}
