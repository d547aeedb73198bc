"""What the page's files may not do, read from the files."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
SCRIPTS = sorted([FRONTEND / "app.js", *(FRONTEND / "modules").glob("*.js")])
# Ways to make HTML, or code, from text.
FORBIDDEN = [
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "createContextualFragment",
    "setHTMLUnsafe",
    "eval(",
    "new Function",
    "javascript:",
]


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline_script = ""
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._in_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.inline_script += data.strip()


@pytest.fixture(scope="module")
def elements() -> Elements:
    parser = Elements()
    parser.feed((FRONTEND / "index.html").read_text())
    return parser


def test_the_page_loads_only_files_of_its_own(elements: Elements) -> None:
    for tag, attributes in elements.found:
        for name in ("src", "href"):
            address = attributes.get(name)
            if address is None or address.startswith("data:image/"):
                continue
            assert re.fullmatch(r"/[\w./-]*", address), (tag, address)
            assert address == "/" or (FRONTEND / address[1:]).is_file(), address


def test_no_script_stands_in_the_page(elements: Elements) -> None:
    assert elements.inline_script == ""
    for tag, attributes in elements.found:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "style" not in attributes, tag


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_html_from_text(script: Path) -> None:
    text = script.read_text()

    assert [word for word in FORBIDDEN if word in text] == []


def test_one_file_alone_shows_html_and_only_in_a_closed_frame() -> None:
    showing = [path.name for path in SCRIPTS if "srcdoc" in path.read_text() or "parseFromString" in path.read_text()]

    assert showing == ["outputs.js"]
    text = (FRONTEND / "modules" / "outputs.js").read_text()
    assert 'sandbox: "",' in text
    assert "allow-" not in text


def test_no_token_is_ever_stored() -> None:
    for script in SCRIPTS:
        text = script.read_text()
        assert "sessionStorage" not in text
        assert "localStorage" not in text or script.name == "storage.js"
        if script.name == "api.js":
            assert "remember" not in text


def test_no_file_asks_another_host() -> None:
    for path in (*SCRIPTS, FRONTEND / "style.css", FRONTEND / "index.html"):
        addresses = set(re.findall(r"https?://[^\s\"')]+", path.read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path.name


def test_every_import_names_a_file() -> None:
    for script in SCRIPTS:
        for imported in re.findall(r'from "(\./[^"]+)"', script.read_text()):
            assert (script.parent / imported).is_file(), f"{script.name} imports {imported}"


def words_of(language: str) -> dict[str, str]:
    text = (FRONTEND / "modules" / "words.js").read_text()
    body = re.search(rf"^const {language} = \{{\n(.*?)^\}};", text, re.DOTALL | re.MULTILINE)
    assert body
    return dict(re.findall(r'^  "?([\w.]+)"?:\s+"((?:[^"\\]|\\.)*)",$', body[1], re.MULTILINE))


def test_both_languages_say_the_same_things() -> None:
    english, russian = words_of("en"), words_of("ru")

    assert len(english) > 80
    # English needs no words for a service's problem: the services speak English.
    assert {name for name in russian if not name.startswith("problem.")} == {
        name for name in english if not name.startswith("problem.")
    }
    assert {name for name in english if name.startswith("problem.")} <= set(russian)
    for name, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", russian[name])), name


def test_every_word_the_page_asks_for_exists(elements: Elements) -> None:
    known = set(words_of("en"))
    asked = {
        attributes[name]
        for _, attributes in elements.found
        for name in ("data-t", "data-t-label")
        if name in attributes
    }
    for script in SCRIPTS:
        asked |= set(re.findall(r'\bt\("([\w.]+)"', script.read_text()))

    assert asked - known == set()


def test_every_status_has_words() -> None:
    from service_kit.messages import SubmissionStatus

    known = set(words_of("en"))

    assert {f"status.{status}" for status in SubmissionStatus} <= known
