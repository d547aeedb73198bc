"""Both languages, both colour schemes, a small screen, and no mouse."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.frontend.conftest import log_in
from tests.frontend.platform import Platform, cell, error, submission

WIDE = "x" * 3000
EVERYTHING: dict[str, Any] = {
    "status": "runtime_error",
    "cells": [
        cell(id="a", name="load", outputs=[{"mimetype": "text/html", "data": "<table><tr>" + "<td>123456</td>" * 60}]),
        cell(id="b", name=WIDE[:200], console=[{"channel": "stdout", "text": WIDE}]),
        cell(id="c", status="error", error=error(message=WIDE, traceback=WIDE), code=WIDE),
    ],
    "graph": {"edges": [["a", "b"], ["a", "c"]], "defs": {}, "refs": {}},
}


def run(page: Page, platform: Platform, source: str = "x = 1\n") -> None:
    platform.becomes = [submission(**EVERYTHING)]
    page.get_by_label("Your code").fill(source)
    page.keyboard.press("Control+Enter")
    page.locator(".summary.bad").wait_for()


def overflow(page: Page) -> int:
    pixels: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return pixels


@pytest.mark.parametrize("width", [320, 375, 768, 1024, 1600])
def test_nothing_sticks_out(open_page: Callable[..., Page], platform: Platform, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 700})
    assert overflow(page) <= 0
    page.get_by_role("tab", name="Register").click()
    assert overflow(page) <= 0
    page.get_by_role("tab", name="Log in").click()
    log_in(page)
    assert overflow(page) <= 0

    run(page, platform, f"value = '{WIDE}'\n" * 3)

    assert overflow(page) <= 0


def test_the_browsers_language_is_the_first_guess(open_page: Callable[..., Page], platform: Platform) -> None:
    page = open_page(locale="ru-RU")

    expect(page.locator("html")).to_have_attribute("lang", "ru")
    expect(page.get_by_role("tab", name="Регистрация")).to_be_visible()


def test_a_chosen_language_stays(page: Page, platform: Platform) -> None:
    run(page, platform)
    expect(page.locator(".status")).to_have_text("Runtime error")

    page.get_by_role("button", name="Русский").click()

    expect(page.locator(".status")).to_have_text("Ошибка выполнения")
    expect(page.get_by_role("button", name="Запустить")).to_be_visible()
    expect(page.locator("#environment")).to_contain_text("процессорного времени")
    expect(page.get_by_role("button", name="Русский")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.get_by_label("Ваш код")).to_be_visible()


def test_a_service_speaks_russian_where_we_know_what_it_says(
    open_page: Callable[..., Page], platform: Platform
) -> None:
    page = open_page(locale="ru")
    errors = [{"pointer": "/login", "message": "This login is taken."}]
    platform.refuse("POST /api/auth/register", 409, "login_taken", "This login is taken.", errors=errors)
    page.get_by_role("tab", name="Регистрация").click()
    for field in ("name", "login", "email", "password"):
        page.locator(f"#register [name={field}]").fill("ada-ada-ada")

    page.get_by_role("button", name="Создать аккаунт").click()

    expect(page.locator(".fault")).to_have_text("Этот логин занят.")


def test_everything_works_without_a_mouse(visitor: Page, platform: Platform) -> None:
    page = visitor
    page.get_by_role("tab", name="Log in").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Register")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type("a long walk in the rain")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your code")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("if True:\nprint(1)")
    expect(page.get_by_label("Your code")).to_have_value("if True:\n    print(1)")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".status")).to_have_text("Completed")

    page.keyboard.press("Escape")
    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_tab_indents_and_shift_tab_takes_it_back(page: Page) -> None:
    editor = page.get_by_label("Your code")
    editor.fill("a\n\nb")

    editor.press("Control+a")
    editor.press("Tab")
    expect(editor).to_have_value("    a\n\n    b")
    editor.press("Shift+Tab")
    expect(editor).to_have_value("a\n\nb")
    editor.press("Control+End")
    editor.press("Tab")
    expect(editor).to_have_value("a\n\nb   ")
    editor.press("Control+z")
    expect(editor).to_have_value("a\n\nb")


def test_line_numbers_and_colours_follow_the_text(page: Page) -> None:
    editor = page.get_by_label("Your code")
    source = "def f(x):  # say \"it\"\n    return f\"{x}\" + '''two\nlines'''\n\n\n@cached\n"
    source += "class A: n = 0x1F; переменная = 1.5e3\n"
    editor.fill(source)

    assert page.locator("#line-numbers").inner_text().split() == [str(n) for n in range(1, 9)]
    assert page.locator("#colours").evaluate("pre => pre.textContent") == source + "\n"
    coloured = page.locator("#colours span").evaluate_all("spans => spans.map((s) => [s.className, s.textContent])")
    assert coloured == [
        ["py-keyword", "def"],
        ["py-comment", '# say "it"'],
        ["py-keyword", "return"],
        ["py-string", 'f"{x}"'],
        ["py-string", "'''two\nlines'''"],
        ["py-decorator", "@cached"],
        ["py-keyword", "class"],
        ["py-number", "0x1F"],
        ["py-number", "1.5e3"],
    ]


def test_a_quarter_megabyte_stays_editable(page: Page, platform: Platform) -> None:
    source = "x = 'some text'  # and more\n" * 9000
    editor = page.get_by_label("Your code")
    # Playwright's fill() types line by line, which takes Chromium minutes.
    put = "area.value = text; area.setSelectionRange(0, 0); area.dispatchEvent(new Event('input'))"
    editor.evaluate(f"(area, text) => {{ {put} }}", source)
    assert page.locator("#line-numbers").inner_text().split()[-1] != "9001"  # Only what is seen is drawn.

    editor.press("Control+End")
    expect(page.locator("#line-numbers")).to_contain_text("9001")
    editor.press("Control+Enter")

    expect(page.locator(".status")).to_have_text("Completed")
    assert platform.sources() == [source]


CONTRAST = """(selectors) => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [R, G, B] = [r, g, b].map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * R + 0.7152 * G + 0.0722 * B;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour[3] === undefined || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const seen = (selector) => [...document.querySelectorAll(selector)].filter((each) => each.checkVisibility());
  return selectors.flatMap((selector) => seen(selector).map((element) => {
    const [ink, paper] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    return [selector, element.textContent.slice(0, 20), Math.round(ratio * 100) / 100];
  })).filter(([, , ratio]) => ratio < 4.5);
}"""
TEXTS = [".hint", ".status", ".about", "dt", "dd", ".chip", ".link", ".time", "h2", "h3", "summary", ".console"]
TEXTS += [".stderr", "div.error strong", ".run-status", ".run-about", ".run-id", ".primary", ".quiet", "#who-name"]
TEXTS += [".languages button", ".colours span", "label", "small", ".pitch p", ".tabs button", ".fault", ".notice"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(open_page: Callable[..., Page], platform: Platform, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    page.locator("#log-in").get_by_role("button").click()
    assert page.evaluate(CONTRAST, TEXTS) == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(246, 247, 249)") == (scheme == "light")

    log_in(page)
    run(page, platform, "import os  # why\nprint('text', 12)\n")

    assert page.evaluate(CONTRAST, TEXTS) == []


NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea, iframe, img, summary, [role=link]")]
  .filter((each) => each.checkVisibility())
  .filter((each) => !(each.ariaLabel || each.title || each.alt || each.labels?.length || each.textContent.trim()))
  .map((each) => each.outerHTML)"""


def test_every_control_has_a_name(visitor: Page, platform: Platform) -> None:
    assert visitor.evaluate(NAMELESS) == []
    log_in(visitor)
    run(visitor, platform)

    assert visitor.evaluate(NAMELESS) == []
    assert visitor.evaluate("document.querySelectorAll('h1').length") >= 1
    ids = visitor.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
