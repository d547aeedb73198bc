"""Debian's Chromium, driven by Playwright: nothing is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def _program() -> str | None:
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def why_not() -> str | None:
    """Why there is no browser here; None when there is one."""
    return None if _program() else "no browser is installed (apt-get install --no-install-recommends chromium)"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser. --no-sandbox: Chromium refuses its own sandbox to root, and only our page is opened."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_program(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
