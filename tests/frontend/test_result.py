"""A result is somebody's output: shown, and never obeyed."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.frontend.platform import Platform, cell, error, submission

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def show(page: Page, platform: Platform, **changes: Any) -> None:
    """Run something that becomes this."""
    platform.becomes = [submission(**changes)]
    page.get_by_label("Your code").fill("x = 1\n")
    page.locator("#run").click()
    page.locator(".summary:not(.waiting)").wait_for()


def one_output(mimetype: str, data: Any) -> dict[str, Any]:
    return {"cells": [cell(outputs=[{"mimetype": mimetype, "data": data}])]}


def test_plain_text_is_text(page: Page, platform: Platform) -> None:
    show(page, platform, **one_output("text/plain", "<b>not bold</b>"))

    expect(page.locator(".text-output")).to_have_text("<b>not bold</b>")


def test_nothing_from_a_program_becomes_an_element(page: Page, platform: Platform) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    bad = cell(
        name=hostile,
        code=hostile,
        status="error",
        console=[{"channel": "stdout", "text": hostile}, {"channel": hostile, "text": hostile}],
        outputs=[{"mimetype": hostile, "data": hostile}],
        error=error(type=hostile, message=hostile, traceback=hostile),
    )
    graph = {"edges": [["Hbol", "b"], [hostile, "b"]], "defs": {}, "refs": {}}

    show(page, platform, status=hostile, stdout=hostile, cells=[bad, cell(id="b")], graph=graph, error=error())

    expect(page.locator("article h3").first).to_have_text(hostile)
    expect(page.locator("#result img")).to_have_count(0)


HOSTILE_HTML = """
<script>parent.stolen = 1; fetch("/api/auth/refresh", {method: "POST"})</script>
<img src="x" onerror="parent.stolen = 1"><img src="/api/limits?from=frame">
<svg onload="parent.stolen = 1"></svg>
<iframe src="javascript:parent.stolen = 1"></iframe><iframe src="/"></iframe>
<link rel="stylesheet" href="/style.css"><object data="/"></object>
<meta http-equiv="refresh" content="0; url=/">
<form action="/api/auth/logout" method="post"><button>Click me</button></form>
<a href="/" target="_top">top</a>
<p style="color: rgb(1, 2, 3)">a <b>paragraph</b></p>
"""


def test_html_is_shown_in_a_frame_that_can_do_nothing(
    page: Page, platform: Platform, base_url: str, complaints: list[str]
) -> None:
    show(page, platform, **one_output("text/html", HOSTILE_HTML))
    frame = page.frame_locator("iframe.html-output").first

    expect(frame.locator("p")).to_have_text("a paragraph")
    assert frame.locator("p").evaluate("p => getComputedStyle(p).color") == "rgb(1, 2, 3)"
    before = len(platform.asked)
    frame.get_by_role("link").click()
    frame.get_by_role("button").click()
    page.wait_for_timeout(300)  # What it would do, it would have done by now.

    assert page.locator("iframe.html-output").get_attribute("sandbox") == ""
    assert page.evaluate("window.stolen") is None
    assert page.url == f"{base_url}/"
    assert [asked.path for asked in platform.asked[before:] if not asked.path.startswith("/api/submissions")] == []
    assert not [asked for asked in platform.asked if "from=frame" in asked.path]
    assert platform.signed_in
    assert len(complaints) > 5, "the browser reports each thing it refused"
    complaints.clear()


def test_markdown_is_shown_in_such_a_frame(page: Page, platform: Platform) -> None:
    show(page, platform, **one_output("text/markdown", "<h1>Two waves</h1><span class='paragraph'>and words</span>"))

    frame = page.frame_locator("iframe.html-output")
    expect(frame.get_by_role("heading")).to_have_text("Two waves")
    assert page.locator("iframe.html-output").get_attribute("sandbox") == ""


@pytest.mark.parametrize(
    ("mimetype", "data"),
    [
        ("image/png", f"data:image/png;base64,{PIXEL}"),
        ("image/png", PIXEL),
        (
            "image/svg+xml",
            "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><script>alert(1)</script></svg>",
        ),
        ("application/vnd.marimo+mimebundle", {"image/png": f"data:image/png;base64,{PIXEL}", "text/plain": "Figure"}),
        ("application/vnd.marimo+mimebundle", f'{{"image/png": "{PIXEL}", "__metadata__": {{"width": 9}}}}'),
    ],
    ids=["data uri", "bare base64", "svg", "bundle", "bundle as text"],
)
def test_pictures_are_pictures(page: Page, platform: Platform, mimetype: str, data: Any) -> None:
    show(page, platform, **one_output(mimetype, data))

    picture = page.get_by_role("img", name="Picture made by Program")
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("img => img.naturalWidth") > 0
    assert (picture.get_attribute("src") or "").startswith("data:image/")


def test_a_picture_from_elsewhere_is_not_fetched(page: Page, platform: Platform) -> None:
    show(page, platform, **one_output("image/png", "http://127.0.0.1:9/track.png"))

    assert (page.get_by_role("img").get_attribute("src") or "").startswith("data:image/png;base64,http")


def test_a_chart_is_shown_as_data(page: Page, platform: Platform) -> None:
    show(page, platform, **one_output("application/vnd.vegalite.v6+json", '{"mark": "bar", "data": {"values": [1]}}'))

    page.get_by_text("Chart as data").click()

    expect(page.locator(".data-output pre")).to_contain_text('"mark": "bar"')


def test_both_streams_of_a_cell_are_told_apart(page: Page, platform: Platform) -> None:
    console = [{"channel": "stdout", "text": "one\n"}, {"channel": "stderr", "text": "two\n"}]

    show(page, platform, cells=[cell(console=console)])

    expect(page.locator(".console")).to_have_text("one\ntwo\n")
    expect(page.locator(".console .stderr")).to_have_text("two\n")
    expect(page.locator(".console .stderr")).to_have_attribute("title", "error output")


def test_cells_of_every_status_have_words(page: Page, platform: Platform) -> None:
    statuses = ["ok", "error", "not_run", "stopped", "disabled", "interrupted", "of_the_future"]

    show(page, platform, cells=[cell(id=f"c{n}", status=status) for n, status in enumerate(statuses)])

    expect(page.locator(".chip")).to_have_text(
        ["ok", "error", "not run", "stopped", "disabled", "interrupted", "of the future"]
    )


def test_the_graph_shows_what_depends_on_what(page: Page, platform: Platform) -> None:
    cells = [cell(id="a", name="first"), cell(id="b", name="_"), cell(id="c", name="a_cell_with_a_long_name")]
    show(page, platform, cells=cells, graph={"edges": [["a", "b"], ["b", "c"], ["a", "c"]], "defs": {}, "refs": {}})
    graph = page.get_by_role("group", name="How the cells depend on each other. 3 cells, 3 links")

    expect(graph.locator(".edge")).to_have_count(3)
    expect(graph.locator("text")).to_have_text(["first", "Cell 2", "a_cell_with_a_…"])
    tops = [node.bounding_box()["y"] for node in graph.locator("rect").all()]  # type: ignore[index]
    assert tops == sorted(tops)
    assert len(set(tops)) == 3

    graph.get_by_role("link", name="a_cell_with_a_long_name").press("Enter")
    assert page.evaluate("document.activeElement.id") == "cell-c"


def test_a_cycle_can_still_be_drawn(page: Page, platform: Platform) -> None:
    cells = [cell(id="a"), cell(id="b"), cell(id="c")]
    edges = [["a", "b"], ["b", "a"], ["b", "c"], ["c", "c"], ["nobody", "a"]]

    show(page, platform, status="compilation_error", cells=cells, graph={"edges": edges, "defs": {}, "refs": {}})

    expect(page.locator(".node")).to_have_count(3)


def test_two_hundred_cells_are_shown(page: Page, platform: Platform) -> None:
    cells = [cell(id=f"c{n}", outputs=[{"mimetype": "text/plain", "data": str(n)}]) for n in range(200)]
    edges = [[f"c{n}", f"c{n + 1}"] for n in range(199)]

    show(page, platform, cells=cells, graph={"edges": edges, "defs": {}, "refs": {}})

    expect(page.locator("article.cell")).to_have_count(200)
    assert not page.locator("details.graph-card").evaluate("details => details.open")


def test_missing_parts_of_a_result_are_no_trouble(page: Page, platform: Platform) -> None:
    show(
        page, platform, status="internal_error", cells=None, graph=None, run_time=None, wall_time=None, memory_used=None
    )

    expect(page.locator(".status")).to_have_text("Our fault")
    expect(page.locator(".about")).to_contain_text("not in your program")
