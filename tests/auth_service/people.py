"""Somebody with an account, for tests that need one."""

from dataclasses import dataclass, field
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PASSWORD = "violet kettle 71 orbit"


@dataclass
class Person:
    """A registered user and the tokens of the latest login."""

    client: FlaskClient
    login: str
    user: dict[str, Any]
    tokens: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def join(cls, client: FlaskClient, login: str) -> "Person":
        answer = client.post("/api/auth/register", json=registration(login))
        assert answer.status_code == 201, answer.json
        person = cls(client, login, body_of(answer))
        person.log_in()
        return person

    def log_in(self, **more: Any) -> dict[str, Any]:
        answer = self.client.post("/api/auth/login", json={"login": self.login, "password": PASSWORD, **more})
        assert answer.status_code == 200, answer.json
        self.tokens = body_of(answer)
        return self.tokens

    @property
    def headers(self) -> dict[str, str]:
        return bearer(self.tokens["access_token"])

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, headers=self.headers | more.pop("headers", {}), **more)

    def post(self, path: str, body: Any = None) -> TestResponse:
        return self.client.post(path, json=body, headers=self.headers)

    def refresh(self, token: str | None = None) -> TestResponse:
        """Refresh with the given token, by default the latest one (which is then spent)."""
        return self.client.post("/api/auth/refresh", json={"refresh_token": token or self.tokens["refresh_token"]})


def body_of(answer: TestResponse) -> dict[str, Any]:
    assert isinstance(answer.json, dict)
    return answer.json


def registration(login: str, /, **changes: Any) -> dict[str, Any]:
    """A body that registers `login`, with changes."""
    return {"login": login, "email": f"{login}@example.edu", "password": PASSWORD, "name": login.title()} | changes


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
