"""Write, run, wait, read."""

import json

from playwright.sync_api import Page, Route, expect

from tests.frontend.platform import Platform, cell, error, submission


def run(page: Page, source: str = "x = 1\n") -> None:
    page.get_by_label("Your code").fill(source)
    page.locator("#run").click()


def test_a_run_is_followed_to_its_end(page: Page, platform: Platform) -> None:
    running = submission(status="running", run_time=None, wall_time=None, memory_used=None, cells=[])
    finished = submission(run_time=14, wall_time=35, memory_used=12 * 1024)
    platform.becomes = [running, finished]

    run(page)

    expect(page.locator(".status")).to_have_text("Completed")
    expect(page.locator(".figures")).to_contain_text("14 ms")
    expect(page.locator(".figures")).to_contain_text("35 ms")
    expect(page.locator(".figures")).to_contain_text("12 MB")
    expect(page.locator("#announcer")).to_have_text("Completed")


def test_waiting_asks_only_for_news(page: Page, platform: Platform) -> None:
    platform.becomes = []  # It stays in the queue.
    run(page)
    expect(page.locator(".status")).to_have_text("In the queue")
    with page.expect_response(lambda answer: answer.status == 304 and answer.url.endswith("/submissions/1")):
        pass

    platform.submissions[0]["future"] = [submission()]

    expect(page.locator(".status")).to_have_text("Completed")
    polls = [asked for asked in platform.asked if asked.path == "/api/submissions/1"]
    assert [asked.header("If-None-Match") for asked in polls][:1] == [None]
    assert all(asked.header("If-None-Match") for asked in polls[1:])


def test_the_press_of_the_button_shows_at_once(page: Page, platform: Platform) -> None:
    run(page)
    expect(page.locator(".status")).to_have_text("Completed")
    page.route("**/api/submissions", lambda route: route.abort("connectionreset"))
    page.evaluate(
        """() => {
             window.seen = [];
             const note = () => seen.push(document.querySelector(".status").textContent);
             new MutationObserver(note).observe(document.getElementById("result"), { childList: true });
           }"""
    )

    page.locator("#run").click()

    expect(page.locator("#run-problem")).to_contain_text("cannot be reached")
    assert page.evaluate("window.seen") == ["Sending…", "Completed"]  # And what was there comes back.


def test_control_enter_runs(page: Page, platform: Platform) -> None:
    page.get_by_label("Your code").fill("print(1)")

    page.keyboard.press("Control+Enter")

    expect(page.locator(".status")).to_have_text("Completed")
    assert platform.sources() == ["print(1)"]


def test_input_goes_along(page: Page, platform: Platform) -> None:
    page.get_by_label("Example").select_option(label="A script that reads input")

    page.locator("#run").click()

    expect(page.locator(".status")).to_have_text("Completed")
    assert platform.submissions[0]["stdin"].startswith("Ada\n")
    assert "input()" in platform.submissions[0]["source"]


def test_no_code_is_no_run(page: Page, platform: Platform) -> None:
    run(page, "  \n")

    expect(page.locator("#run-problem")).to_have_text("There is no code to run yet.")
    assert platform.sources() == []


def test_a_double_click_is_one_run(page: Page, platform: Platform) -> None:
    page.get_by_label("Your code").fill("print(1)")
    page.locator("#run").dblclick()

    expect(page.locator(".status")).to_have_text("Completed")
    assert len(platform.sources()) == 1


def test_a_lost_answer_is_asked_for_again_under_the_same_key(page: Page, platform: Platform) -> None:
    keys = []

    def lose_the_first(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/api/submissions", lose_the_first)

    run(page)

    expect(page.locator(".status")).to_have_text("Completed")
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_without_a_connection_the_page_says_so_and_keeps_the_code(page: Page) -> None:
    page.context.set_offline(True)

    run(page, "print('still here')")

    expect(page.locator("#run-problem")).to_have_text(
        "The server cannot be reached. Check your connection and try again."
    )
    page.context.set_offline(False)
    page.locator("#run").click()
    expect(page.locator(".status")).to_have_text("Completed")


def test_trouble_while_waiting_passes(page: Page, platform: Platform) -> None:
    platform.becomes = []
    platform.refuse("GET /api/submissions/1", 502, "service_unavailable", "No answer.")

    run(page)

    expect(page.locator(".about")).to_have_text("The connection is interrupted. Trying again…")
    platform.submissions[0]["future"] = [submission()]
    expect(page.locator(".status")).to_have_text("Completed")
    expect(page.locator(".about")).to_have_text("The program ran to its end.")


def test_a_refusal_is_said_with_its_places(page: Page, platform: Platform) -> None:
    errors = [{"pointer": "/source", "message": "Longer than 262144 bytes."}]
    platform.refuse("POST /api/submissions", 413, "payload_too_large", "The source is too large.", errors=errors)

    run(page)

    expect(page.get_by_role("alert")).to_have_text("The source is too large. Longer than 262144 bytes.")


def test_a_run_can_be_cancelled(page: Page, platform: Platform) -> None:
    platform.becomes = []
    run(page)

    page.get_by_role("button", name="Cancel", exact=True).click()

    expect(page.locator(".status")).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_have_count(0)


def test_a_new_run_is_not_disturbed_by_the_one_before(page: Page, platform: Platform) -> None:
    platform.becomes = []
    run(page, "while True: pass")
    expect(page.locator(".status")).to_have_text("In the queue")
    platform.becomes = [submission()]

    run(page, "print(1)")

    expect(page.locator(".status")).to_have_text("Completed")
    platform.submissions[0]["future"] = [submission(status="time_limit_exceeded")]
    page.wait_for_timeout(500)  # Would the former run still be followed, it would show itself by now.
    expect(page.locator(".status")).to_have_text("Completed")


def test_an_error_leads_to_its_line(page: Page, platform: Platform) -> None:
    source = "a = 1\nb = 0\nprint(a / b)\n"
    failed = cell(status="error", error=error(line=3))
    platform.becomes = [submission(status="runtime_error", cells=[failed])]
    run(page, source)

    page.locator("div.error").get_by_role("button", name="Go to line 3").click()

    assert page.evaluate("document.activeElement.id") == "source"
    selected = "source.value.slice(source.selectionStart, source.selectionEnd)"
    assert page.evaluate(f"() => {{ const source = document.activeElement; return {selected} }}") == "print(a / b)"
    expect(page.locator(".line-numbers b")).to_have_text("3")
    page.keyboard.type("#")
    expect(page.locator(".line-numbers b")).to_have_count(0)  # The text is another one now.


def test_a_program_that_cannot_run_says_where(page: Page, platform: Platform) -> None:
    problem = {"type": "syntax", "message": "'(' was never closed", "line": 2}
    not_run = cell(status="not_run", time_ms=None)
    platform.becomes = [submission(status="compilation_error", error=problem, cells=[not_run])]

    run(page, "x = 1\nprint(\n")

    expect(page.locator(".status")).to_have_text("Cannot be run")
    expect(page.locator("div.error strong")).to_have_text("'(' was never closed")
    expect(page.locator(".line-numbers b")).to_have_text("2")


def test_a_cell_that_was_not_reached_says_why_and_is_not_blamed(page: Page, platform: Platform) -> None:
    why = "This cell did not run, because it needs the cell `a`."
    cells = [
        cell(id="a", status="error", error=error(line=1)),
        cell(id="b", status="not_run", error={"type": "not-run", "message": why, "line": 2, "traceback": None}),
    ]
    platform.becomes = [submission(status="runtime_error", cells=cells)]

    run(page, "a = 1 / 0\nb = a\n")

    expect(page.locator("#cell-b .hint")).to_have_text(why)
    expect(page.locator("div.error strong")).to_have_text(["ZeroDivisionError: division by zero"])
    expect(page.locator(".line-numbers b")).to_have_text(["1"])


def test_what_a_killed_program_printed_is_shown(page: Page, platform: Platform) -> None:
    platform.becomes = [submission(status="time_limit_exceeded", cells=[], stdout="half way\n", stderr="warning\n")]

    run(page)

    expect(page.locator(".console")).to_have_text("half way\nwarning\n")


def test_former_runs_are_listed_and_come_back(page: Page, platform: Platform) -> None:
    run(page, "print('first')")
    expect(page.locator(".status")).to_have_text("Completed")
    platform.becomes = [submission(status="runtime_error", cells=[cell(status="error", error=error())])]
    run(page, "print('second')")
    expect(page.locator(".status")).to_have_text("Runtime error")

    page.get_by_role("button", name="Open run 1: Completed").click()

    expect(page.get_by_label("Your code")).to_have_value("print('first')")
    expect(page.locator(".status")).to_have_text("Completed")
    expect(page.locator(".run[aria-current]")).to_contain_text("#1")
    page.get_by_label("Your code").press("Control+z")
    expect(page.get_by_label("Your code")).to_have_value("print('second')")


def test_a_run_that_was_left_alone_still_ends_in_the_list(page: Page, platform: Platform) -> None:
    platform.becomes = []
    run(page, "while True: pass")
    expect(page.locator(".status")).to_have_text("In the queue")
    platform.becomes = [submission()]
    run(page, "print(1)")
    expect(page.get_by_role("button", name="Open run 1: In the queue")).to_be_visible()

    platform.submissions[0] |= {"status": "time_limit_exceeded"}

    expect(page.get_by_role("button", name="Open run 1: Time limit exceeded")).to_be_visible()


def test_the_list_goes_on_page_by_page(page: Page, platform: Platform) -> None:
    platform.submissions = [submission(id=number, rev=1, future=[]) for number in range(1, 20)]
    page.reload()
    expect(page.locator(".run")).to_have_count(8)

    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".run")).to_have_count(16)
    page.get_by_role("button", name="Show more").click()

    expect(page.locator(".run")).to_have_count(19)
    expect(page.get_by_role("button", name="Show more")).to_have_count(0)


def test_a_list_that_fails_can_be_asked_for_again(page: Page, platform: Platform) -> None:
    platform.refuse("GET /api/submissions", 503, "service_unavailable", "Try again in a moment.")
    page.reload()
    expect(page.locator("#recent")).to_contain_text("The list could not be loaded. Try again in a moment.")

    page.get_by_role("button", name="Try again").click()

    expect(page.locator("#recent")).to_contain_text("What you run appears here.")


def test_what_can_be_used_is_said_under_the_editor(page: Page) -> None:
    expect(page.locator("#environment")).to_have_text(
        "Python 3.11.2 · numpy 2.4.6, pandas 2.3.3. Limits: 5 sec of CPU time, 256 MB of memory."
    )


def test_every_example_is_a_program(page: Page, platform: Platform) -> None:
    options = page.locator("#example option")
    labels = [label for label in options.all_inner_texts() if label != "Choose…"]

    for label in labels:
        page.get_by_label("Example").select_option(label=label)
        compile(page.get_by_label("Your code").input_value(), label, "exec")

    assert len(labels) == 4


def test_requests_carry_json_and_the_token(page: Page, platform: Platform) -> None:
    run(page)
    expect(page.locator(".status")).to_have_text("Completed")

    asked = next(each for each in platform.asked if each.method == "POST" and each.path == "/api/submissions")
    assert asked.header("Authorization") == "Bearer access-1"
    assert asked.header("Content-Type") == "application/json"
    assert json.loads(asked.body) == {"source": "x = 1\n", "language": "python"}
