"""The refresh token in a cookie: its flags, the CSRF header, foreign pages; and strict CORS."""

from http.cookies import SimpleCookie

import pytest

from service_kit.settings import SettingsError
from tests.auth_service.people import PASSWORD, registration


class Browser:
    """A browser at our own page, with cookies and an Origin header."""

    def __init__(self, app, origin="http://localhost"):
        self.client, self.origin = app.test_client(), origin
        self.csrf = ""

    def post(self, path, body=None, csrf=None, origin=None):
        headers = {"Origin": origin or self.origin}
        if csrf:
            headers["X-CSRF-TOKEN"] = csrf
        return self.client.post(path, json=body, headers=headers)

    def log_in(self):
        answer = self.post("/api/auth/login", {"login": "ann", "password": PASSWORD, "transport": "cookie"})
        assert answer.status_code == 200, answer.json
        self.csrf = answer.json["csrf_token"]
        return answer

    def refresh(self, **more):
        return self.post("/api/auth/refresh", **({"csrf": self.csrf} | more))


@pytest.fixture
def browser(app, ann):
    return Browser(app)


def test_the_refresh_token_is_in_a_cookie_that_scripts_cannot_read_and_not_in_the_body(browser):
    answer = browser.log_in()

    cookies = _cookies(answer)
    assert "refresh_token" not in answer.json
    assert cookies["labs_refresh"]["httponly"]
    assert cookies["labs_refresh"]["secure"]
    assert cookies["labs_refresh"]["samesite"] == "Strict"
    assert cookies["labs_refresh"]["path"] == "/api/auth"
    assert int(cookies["labs_refresh"]["max-age"]) == 7 * 86_400
    assert cookies["labs_csrf"].value == answer.json["csrf_token"]
    assert not cookies["labs_csrf"]["httponly"]
    assert cookies["labs_csrf"]["path"] == "/"
    assert cookies["labs_csrf"]["samesite"] == "Strict"


def test_a_browser_refreshes_with_cookie_and_csrf_header(browser):
    browser.log_in()

    first = browser.refresh()
    browser.csrf = first.json["csrf_token"]
    second = browser.refresh()

    assert (first.status_code, second.status_code) == (200, 200)
    assert "refresh_token" not in first.json
    assert first.json["access_token"] != second.json["access_token"]


@pytest.mark.parametrize("csrf", [None, "wrong", "00000000-0000-4000-8000-000000000000"])
def test_a_cookie_without_its_csrf_token_is_401_and_spends_nothing(browser, csrf):
    browser.log_in()

    answer = browser.refresh(csrf=csrf)

    assert answer.status_code == 401
    assert answer.json["code"] == "csrf_token_mismatch"
    assert browser.refresh().status_code == 200


def test_the_csrf_token_of_another_session_does_not_fit(app, browser):
    other = Browser(app)
    other.log_in()
    browser.log_in()

    assert browser.refresh(csrf=other.csrf).status_code == 401


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://nb.localhost",
        "http://localhost:8081",
        "",
    ],
)
@pytest.mark.parametrize("path", ["refresh", "logout"])
def test_a_foreign_page_cannot_use_the_cookie_even_with_the_csrf_token(browser, origin, path):
    browser.log_in()

    answer = browser.client.post(f"/api/auth/{path}", headers={"Origin": origin, "X-CSRF-TOKEN": browser.csrf})

    assert answer.status_code == 403
    assert answer.json["code"] == "foreign_origin"
    assert browser.refresh().status_code == 200


def test_a_foreign_page_cannot_plant_a_session_cookie(browser):
    answer = browser.post(
        "/api/auth/login",
        {"login": "ann", "password": PASSWORD, "transport": "cookie"},
        origin="https://evil.example",
    )

    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://my-learning-app.com", "https://localhost"])
def test_the_allowed_pages_and_our_own_host_may_use_the_cookie(browser, origin):
    browser.log_in()

    assert browser.refresh(origin=origin).status_code == 200


def test_our_own_host_is_the_one_the_gateway_was_asked_for(app, ann):
    browser = Browser(app)
    headers = {
        "X-Forwarded-Host": "labs.example.edu",
        "X-Forwarded-Proto": "https",
        "Origin": "https://labs.example.edu",
    }

    answer = browser.client.post(
        "/api/auth/login", json={"login": "ann", "password": PASSWORD, "transport": "cookie"}, headers=headers
    )

    assert answer.status_code == 200


def test_logging_out_by_cookie_deletes_it_and_ends_the_session(browser):
    browser.log_in()
    stolen = browser.client.get_cookie("labs_refresh", path="/api/auth").value

    answer = browser.post("/api/auth/logout", csrf=browser.csrf)

    assert answer.status_code == 204
    assert browser.client.get_cookie("labs_refresh", path="/api/auth") is None
    assert browser.client.get_cookie("labs_csrf") is None
    assert browser.client.post("/api/auth/refresh", json={"refresh_token": stolen}).status_code == 401


def test_the_cookie_opens_nothing_but_refresh_and_logout(browser):
    browser.log_in()

    for path in ("/api/auth/me", "/api/auth/sessions"):
        assert browser.client.get(path, headers={"X-CSRF-TOKEN": browser.csrf}).status_code == 401


def test_a_refresh_token_in_the_authorization_header_is_not_taken(client, ann):
    answer = client.post("/api/auth/refresh", headers={"Authorization": f"Bearer {ann.tokens['refresh_token']}"})

    assert answer.status_code == 401
    assert ann.refresh().status_code == 200


def test_on_a_loopback_http_page_the_cookie_may_be_insecure_by_configuration(make_app):
    app = make_app(COOKIE_SECURE="false")
    app.test_client().post("/api/auth/register", json=registration("ann"))

    assert not _cookies(Browser(app).log_in())["labs_refresh"]["secure"]


# CORS: exactly as the notes ask -----------------------------------------------------------------


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://my-learning-app.com"])
def test_the_two_pages_of_the_notes_may_call_with_credentials(client, origin):
    preflight = client.options("/api/auth/login", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    answer = client.post("/api/auth/login", json={}, headers={"Origin": origin})

    for each in (preflight, answer):
        assert each.headers["Access-Control-Allow-Origin"] == origin
        assert each.headers["Access-Control-Allow-Credentials"] == "true"
        assert "Origin" in each.headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost:3001",
        "https://localhost:3000",
        "http://localhost:3000.evil.example",
        "https://sub.my-learning-app.com",
        "https://my-learning-appXcom",
        "http://my-learning-app.com",
    ],
)
def test_no_other_page_may(client, origin):
    preflight = client.options("/api/auth/login", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    answer = client.post("/api/auth/login", json={}, headers={"Origin": origin})

    for each in (preflight, answer):
        assert "Access-Control-Allow-Origin" not in each.headers


def test_cors_speaks_for_the_api_alone(client):
    answer = client.get("/livez", headers={"Origin": "http://localhost:3000"})

    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("origins", ["*", "null", "http://localhost:3000,*", "my-learning-app.com"])
def test_we_do_not_start_with_origins_that_let_everybody_in(make_app, origins):
    with pytest.raises(SettingsError, match="CORS_ORIGINS"):
        make_app(CORS_ORIGINS=origins)


def _cookies(answer) -> SimpleCookie:
    cookies: SimpleCookie = SimpleCookie()
    for line in answer.headers.getlist("Set-Cookie"):
        cookies.load(line)
    return cookies
