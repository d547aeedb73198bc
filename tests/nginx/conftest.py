"""One gateway for the tests of a module that leave it as it is; tests about settings start their own."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.nginx.gateway import Answer, Gateway, Upstream, environment, running, verifier


@pytest.fixture(scope="session", autouse=True)
def _nginx_is_installed() -> None:
    if shutil.which("nginx"):
        return
    missing = "nginx is not installed (apt-get install nginx-light)"
    if os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


@pytest.fixture(scope="module")
def _auth() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="module")
def _main() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture
def auth(_auth: Upstream) -> Upstream:
    """In auth_service's place: verifies tokens such as `user-7-student`. Remembers nothing of earlier tests."""
    _auth.answers = verifier
    _auth.asked.clear()
    return _auth


@pytest.fixture
def main(_main: Upstream) -> Upstream:
    """In main_service's place: answers 200 {} until a test says otherwise."""
    _main.answers = lambda _asked: Answer()
    _main.asked.clear()
    return _main


@pytest.fixture(scope="module")
def _gateway(_auth: Upstream, _main: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("gateway")
    with running(home, environment(home, _auth.address, _main.address)) as gateway:
        yield gateway


@pytest.fixture
def gateway(_gateway: Gateway, auth: Upstream, main: Upstream) -> Gateway:
    """A running gateway without rate limits, in front of `auth` and `main`."""
    return _gateway
