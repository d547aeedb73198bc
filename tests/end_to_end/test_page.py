"""The start page, in a real browser, on the whole platform."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import chromium, why_not
from tests.stack import RunningStack

PASSWORD = "a long walk in the rain"
_numbers = itertools.count(1)
RUN_MS = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if reason := why_not():
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, stack: RunningStack) -> Iterator[Page]:
    """A newcomer's browser on the page; nothing may go wrong in it, and nothing be asked of anybody else."""
    complaints: list[str] = []
    context = browser.new_context(locale="en-US")
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("request", lambda asked: complaints.append(asked.url) if not _is_ours(asked.url, stack.url) else None)
    page.goto(stack.url)
    yield page
    context.close()
    assert complaints == []


def _is_ours(address: str, url: str) -> bool:
    return address.startswith((url, "data:", "about:"))


@pytest.fixture
def workshop(page: Page) -> Page:
    """The page of somebody who has just registered."""
    login = f"page-{next(_numbers)}-{uuid.uuid4().hex[:6]}"
    page.get_by_role("tab", name="Register").click()
    account = {"Name": "Ada Lovelace", "Login": login, "E-mail": f"{login}@example.org", "Password": PASSWORD}
    for label, value in account.items():
        page.locator("#register").get_by_label(label).fill(value)
    page.get_by_role("button", name="Create account").click()
    expect(page.locator("#who-name")).to_have_text("Ada Lovelace")
    return page


def run_example(page: Page, label: str) -> None:
    page.get_by_label("Example").select_option(label=label)
    page.locator("#run").click()
    page.locator(".summary:not(.waiting)").wait_for(timeout=RUN_MS)


def test_a_newcomer_runs_the_first_example(workshop: Page) -> None:
    workshop.locator("#source").press("Control+Enter")

    expect(workshop.locator(".status")).to_have_text("Completed", timeout=RUN_MS)
    expect(workshop.locator(".console")).to_contain_text("Primes below 50: 2 3 5")
    expect(workshop.locator(".figures")).to_contain_text("CPU time")
    expect(workshop.locator(".figures")).to_contain_text("Memory")


def test_a_program_reads_its_input(workshop: Page) -> None:
    run_example(workshop, "A script that reads input")

    expect(workshop.locator(".console")).to_have_text("Hello, Ada!\n4 numbers, their sum is 42.\n")


def test_a_notebook_shows_its_cells_its_table_and_its_plot(workshop: Page) -> None:
    run_example(workshop, "A marimo notebook with a plot")

    expect(workshop.locator("article.cell h3")).to_have_text(["Cell 1", "title", "table", "plot"])
    expect(workshop.locator("article.cell .chip")).to_have_text(["ok"] * 4)
    expect(workshop.frame_locator("iframe >> nth=0").get_by_role("heading")).to_have_text("Two waves")
    table = workshop.frame_locator("iframe >> nth=1")
    expect(table.get_by_role("columnheader", name="slow")).to_be_visible()
    expect(table.get_by_role("rowheader", name="mean")).to_be_visible()
    plot = workshop.get_by_role("img", name="Picture made by plot")
    plot.scroll_into_view_if_needed()
    expect(plot).to_have_js_property("complete", True)
    assert plot.evaluate("img => img.naturalWidth") > 300
    expect(workshop.locator(".graph .node")).to_have_count(4)
    expect(workshop.locator(".graph .edge")).to_have_count(4)


def test_an_error_leads_to_its_line(workshop: Page) -> None:
    run_example(workshop, "A notebook with an error")

    expect(workshop.locator(".status")).to_have_text("Runtime error")
    expect(workshop.locator("article.cell .chip")).to_have_text(["ok", "error", "not run", "ok"])
    expect(workshop.locator("div.error strong")).to_have_text(["ZeroDivisionError: division by zero"])
    workshop.locator("div.error").get_by_role("button").click()

    selected = workshop.evaluate(
        "() => { const e = document.activeElement; return e.value.slice(e.selectionStart, e.selectionEnd) }"
    )
    assert selected.strip().startswith("averages = {")


def test_a_syntax_error_is_said_in_plain_words(workshop: Page) -> None:
    workshop.locator("#source").fill("x = 1\nprint(x\n")
    workshop.locator("#run").click()

    expect(workshop.locator(".status")).to_have_text("Cannot be run", timeout=RUN_MS)
    expect(workshop.locator("div.error strong").first).to_contain_text("never closed")
    expect(workshop.locator(".line-numbers b")).to_have_text("2")


def test_an_endless_loop_can_be_cancelled(workshop: Page) -> None:
    workshop.locator("#source").fill("while True:\n    pass\n")
    workshop.locator("#run").click()

    workshop.get_by_role("button", name="Cancel", exact=True).click()

    expect(workshop.locator(".status")).to_have_text("Cancelled")


def test_the_session_survives_a_reload_and_ends_with_logging_out(workshop: Page) -> None:
    run_example(workshop, "A script")
    workshop.locator("#source").fill("print('mine')")

    workshop.reload()
    expect(workshop.locator("#source")).to_have_value("print('mine')")
    workshop.get_by_role("button", name="Open run").click()
    expect(workshop.locator(".status")).to_have_text("Completed")

    workshop.get_by_role("button", name="Log out").click()
    expect(workshop.get_by_label("Login or e-mail")).to_be_visible()
    workshop.reload()
    expect(workshop.get_by_label("Login or e-mail")).to_be_visible()
    assert "labs_refresh" not in {cookie["name"] for cookie in workshop.context.cookies()}


def test_what_can_be_used_here_is_said(workshop: Page) -> None:
    expect(workshop.locator("#environment")).to_contain_text("marimo 0.25.2")
    expect(workshop.locator("#environment")).to_contain_text("of CPU time")
