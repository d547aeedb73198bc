"""Whatever JSON arrives, the answer is one of ours: never a crash, never HTML."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.auth_service.people import PASSWORD, Person

FIELDS = [
    *("login", "email", "password", "name", "transport"),
    *("refresh_token", "current_password", "new_password", "role"),
]
# Any text JSON can carry: NUL and half a surrogate pair as well.
TEXT = st.text(st.characters(), max_size=40) | st.sampled_from(
    ["ann", "ann@example.edu", PASSWORD, "\x00", "\ud800", "cookie"]
)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
BODY = st.dictionaries(st.sampled_from(FIELDS), TEXT | VALUE, max_size=5) | VALUE
ROUTE = st.sampled_from(
    [("POST", each) for each in ("register", "login", "refresh", "logout", "password")] + [("PATCH", "me")]
)


def test_no_body_makes_it_crash(app_on_each_engine):
    limits = type(app_on_each_engine.config["THROTTLE_LIMITS"])
    app_on_each_engine.config["THROTTLE_LIMITS"] = limits(enabled=False)
    client = app_on_each_engine.test_client()
    ann = Person.join(client, "ann")

    @given(ROUTE, BODY)
    @settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def send(route, body):
        method, path = route
        answer = client.open(
            f"/api/auth/{path}",
            method=method,
            data=json.dumps(body).encode(),
            content_type="application/json",
            headers=ann.headers,
        )
        assert answer.status_code < 500, answer.data
        if answer.status_code >= 400:
            assert answer.content_type == "application/problem+json"
        if answer.status_code == 204:
            ann.log_in()

    send()
