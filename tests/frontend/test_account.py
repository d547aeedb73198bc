"""Coming, staying and leaving."""

import json
from collections.abc import Callable

from playwright.sync_api import Page, expect

from service_kit.errors import problem_body
from tests.frontend.conftest import log_in, try_to_log_in
from tests.frontend.platform import PASSWORD, Platform
from tests.nginx.gateway import Answer


def register(page: Page, **changes: str) -> None:
    page.get_by_role("tab", name="Register").click()
    account = {"Name": "Ada", "Login": "ada", "E-mail": "ada@example.org", "Password": PASSWORD, **changes}
    for label, value in account.items():
        page.locator("#register").get_by_label(label).fill(value)
    page.get_by_role("button", name="Create account").click()


def test_a_stranger_registers_and_is_in(visitor: Page, platform: Platform) -> None:
    register(visitor)

    expect(visitor.get_by_role("button", name="Run")).to_be_visible()
    expect(visitor.locator("#who-name")).to_have_text("Ada Lovelace")
    sent = json.loads(next(asked.body for asked in platform.asked if asked.path == "/api/auth/register"))
    assert sent == {"login": "ada", "email": "ada@example.org", "name": "Ada", "password": PASSWORD}


def test_an_empty_field_is_named_before_anything_is_sent(visitor: Page, platform: Platform) -> None:
    register(visitor, Login=" ")

    expect(visitor.locator("#register [name=login]")).to_be_focused()
    expect(visitor.locator("#register .fault")).to_have_text("Fill this in.")
    assert platform.asked == []


def test_a_services_complaint_stands_beside_its_field(visitor: Page, platform: Platform) -> None:
    errors = [{"pointer": "/login", "message": "This login is taken."}]
    platform.refuse("POST /api/auth/register", 409, "login_taken", "This login is taken.", errors=errors)

    register(visitor)

    field = visitor.locator("#register [name=login]")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(visitor.locator(".fault")).to_have_text("This login is taken.")


def test_a_wrong_password_is_said_in_the_services_words(visitor: Page) -> None:
    try_to_log_in(visitor, "wrong")

    expect(visitor.get_by_role("alert")).to_have_text("The login or the password is wrong.")
    expect(visitor.locator("#log-in [name=password]")).to_be_focused()


def test_too_many_log_ins_say_how_long_to_wait(visitor: Page, platform: Platform) -> None:
    platform.refuse(
        "POST /api/auth/login", 429, "too_many_requests", "Too many requests.", headers={"Retry-After": "30"}
    )

    try_to_log_in(visitor, "wrong")

    expect(visitor.get_by_role("alert")).to_have_text("Too many requests. Try again in 30 sec.")


def test_a_reload_keeps_the_session_and_the_code(page: Page, platform: Platform) -> None:
    page.get_by_label("Your code").fill("print('kept')")

    page.reload()

    expect(page.get_by_label("Your code")).to_have_value("print('kept')")
    assert platform.times("POST /api/auth/refresh") == 1
    assert platform.times("POST /api/auth/login") == 1


def test_no_script_of_the_page_can_read_a_token_later(page: Page) -> None:
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")

    assert "access-" not in kept
    assert "refresh-" not in kept
    assert "csrf-" in kept  # Made to be read: it goes back in a header.


def test_an_expired_token_is_renewed_once_for_all(page: Page, platform: Platform) -> None:
    platform.let_access_expire()

    page.evaluate(
        """import("/modules/api.js").then(({ request }) => Promise.all(
             Array.from({ length: 6 }, (_, n) => request("GET", `/api/submissions?limit=${n + 1}`))))"""
    )

    assert platform.times("POST /api/auth/refresh") == 1


def test_two_tabs_renew_one_after_the_other(open_page: Callable[..., Page], platform: Platform) -> None:
    first = open_page()
    log_in(first)
    second = first.context.new_page()
    second.goto(first.url)
    second.locator("#workshop").wait_for()
    platform.let_access_expire()

    ask = """() => import("/modules/api.js").then(({ request }) => request("GET", "/api/submissions?limit=9"))"""
    for tab in (first, second):
        tab.evaluate(f"() => {{ window.asking = ({ask})(); }}")
    statuses = [tab.evaluate("() => window.asking.then((answer) => answer.status)") for tab in (first, second)]

    assert statuses == [200, 200]


def test_a_cookie_that_another_tab_just_used_is_tried_again(page: Page, platform: Platform) -> None:
    platform.refuse("POST /api/auth/refresh", 409, "refresh_already_rotated", "Use the newer one.")

    page.reload()

    expect(page.locator("#workshop")).to_be_visible()
    assert platform.times("POST /api/auth/refresh") == 2


def test_a_session_that_ended_asks_to_log_in_and_keeps_the_code(page: Page, platform: Platform) -> None:
    page.get_by_label("Your code").fill("print('precious')")
    platform.signed_in = False

    page.locator("#run").click()

    expect(page.get_by_role("status")).to_contain_text(["Your session has ended"])
    log_in(page)
    expect(page.get_by_label("Your code")).to_have_value("print('precious')")


def test_a_stranger_asks_nothing_before_logging_in(visitor: Page, platform: Platform) -> None:
    expect(visitor.get_by_label("Login or e-mail")).to_be_visible()

    assert platform.asked == []


def test_a_refresh_that_fails_on_our_side_logs_nobody_out(page: Page, platform: Platform) -> None:
    platform.refuse("POST /api/auth/refresh", 503, "service_unavailable", "Try again in a moment.")

    page.reload()

    expect(page.locator("#account-notice")).to_have_text("Try again in a moment.")
    page.reload()
    expect(page.locator("#workshop")).to_be_visible()


def test_logging_out_leaves_nothing_behind(page: Page, platform: Platform) -> None:
    page.get_by_label("Your code").fill("print('private')")

    page.get_by_role("button", name="Log out").click()

    expect(page.get_by_label("Login or e-mail")).to_be_visible()
    assert not platform.signed_in
    assert "private" not in page.evaluate("JSON.stringify({...localStorage})")
    page.reload()
    expect(page.get_by_label("Login or e-mail")).to_be_visible()


def test_an_answer_that_is_no_problem_body_is_put_into_words(visitor: Page, platform: Platform) -> None:
    platform.refusals["POST /api/auth/login"] = [Answer(500, b"<h1>oops</h1>", {"Content-Type": "text/html"})]

    try_to_log_in(visitor, "wrong")

    expect(visitor.get_by_role("alert")).to_have_text("The server gave no usable answer. Try again in a moment.")


def test_a_problems_detail_is_text_and_nothing_else(visitor: Page, platform: Platform) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    body = json.dumps(problem_body(403, "forbidden", hostile, "request-id-1")).encode()
    platform.refusals["POST /api/auth/login"] = [Answer(403, body, {"Content-Type": "application/problem+json"})]

    try_to_log_in(visitor, "wrong")

    expect(visitor.get_by_role("alert")).to_have_text(hostile)
