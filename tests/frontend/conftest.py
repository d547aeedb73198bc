"""A real browser on the real page, served by the real gateway; behind it, services that answer from memory."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser import chromium, why_not
from tests.frontend.platform import PASSWORD, Platform
from tests.nginx.gateway import Upstream, environment, running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if reason := why_not():
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def _services() -> Iterator[tuple[Upstream, Upstream]]:
    auth, main = Upstream(), Upstream()
    yield auth, main
    auth.close()
    main.close()


@pytest.fixture(scope="session")
def base_url(_services: tuple[Upstream, Upstream], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is."""
    auth, main = _services
    home: Path = tmp_path_factory.mktemp("page")
    variables = environment(home, auth.address, main.address)

    def without_memory(rendered: str) -> str:
        """Tests end tokens from one moment to the next; nginx would believe in them for five seconds more."""
        return rendered.replace("proxy_cache_valid 204 5s;", "proxy_cache_valid 204 0s;")

    with running(home, variables, edit=without_memory) as gateway:
        yield gateway.url


@pytest.fixture
def platform(_services: tuple[Upstream, Upstream]) -> Platform:
    """What stands behind the page in this test."""
    auth, main = _services
    fresh = Platform()
    auth.answers, main.answers = fresh.auth, fresh.main
    return fresh


@pytest.fixture
def complaints() -> list[str]:
    """What the browser found wrong with the page, policy violations among it. Empty at the end of every test."""
    return []


@pytest.fixture
def open_page(browser: Browser, base_url: str, complaints: list[str]) -> Iterator[Callable[..., Page]]:
    """Open the page in a new browser profile: `open_page(locale="ru-RU")`. Requests elsewhere fail the test."""
    contexts: list[BrowserContext] = []

    def open_it(**options: Any) -> Page:
        context = browser.new_context(**{"locale": "en-US", **options})
        contexts.append(context)
        context.set_default_timeout(5000)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if _is_complaint(said.text, said.type) else None)
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith((base_url, "data:", "about:")) else complaints.append(f"asked {asked.url}")
            ),
        )
        page.goto(base_url)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []


def _is_complaint(text: str, kind: str) -> bool:
    """Chromium writes a line for every 4xx; those are the page's daily bread."""
    return kind in ("error", "warning") and not text.startswith("Failed to load resource")


@pytest.fixture
def visitor(open_page: Callable[..., Page], platform: Platform) -> Page:
    """The page before logging in."""
    return open_page()


@pytest.fixture
def page(visitor: Page) -> Page:
    """The page, logged in."""
    log_in(visitor)
    return visitor


def try_to_log_in(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("Login or e-mail").fill("ada")
    page.locator("#log-in [name=password]").fill(password)
    page.locator("#log-in [name=password]").press("Enter")


def log_in(page: Page) -> None:
    try_to_log_in(page)
    page.locator("#workshop").wait_for()
