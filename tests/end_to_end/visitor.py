"""A person in front of the platform: registers, logs in, submits, reads. Only HTTP through the gateway."""

from __future__ import annotations

import itertools
import time
import uuid
from typing import Any

import requests

PASSWORD = "a long walk in the rain"
_numbers = itertools.count(1)


class Visitor:
    """One user with an access token; every call goes through nginx."""

    def __init__(self, url: str) -> None:
        self.api = f"{url}/api"
        self.http = requests.Session()
        self.login = f"visitor-{next(_numbers)}-{uuid.uuid4().hex[:6]}"
        self.user = self.post(
            "/auth/register",
            {"login": self.login, "email": f"{self.login}@example.org", "name": "A Visitor", "password": PASSWORD},
        ).json()
        self.log_in()

    def log_in(self) -> None:
        answer = self.post("/auth/login", {"login": self.login, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def get(self, path: str, **rest: Any) -> requests.Response:
        return self.http.get(self.api + path, timeout=10, **rest)

    def post(self, path: str, body: Any = None, **rest: Any) -> requests.Response:
        return self.http.post(self.api + path, json=body, timeout=10, **rest)

    def submit(self, source: str, **rest: Any) -> dict[str, Any]:
        answer = self.post("/submissions", {"source": source, "language": "python", **rest})
        assert answer.status_code == 202, answer.text
        submission: dict[str, Any] = answer.json()
        return submission

    def wait_for(self, submission_id: int, seconds: float = 30) -> dict[str, Any]:
        """The submission once its status is final; fails the test when that takes too long."""
        deadline = time.monotonic() + seconds
        etag = ""
        while time.monotonic() < deadline:
            answer = self.get(f"/submissions/{submission_id}", headers={"If-None-Match": etag} if etag else {})
            if answer.status_code == 200:
                submission: dict[str, Any] = answer.json()
                if submission["status"] not in ("queued", "running"):
                    return submission
                etag = answer.headers["ETag"]
            else:
                assert answer.status_code == 304, answer.text
            time.sleep(0.02)
        raise AssertionError(f"submission {submission_id} is not final after {seconds} s")

    def run(self, source: str, seconds: float = 30, **rest: Any) -> dict[str, Any]:
        """Submit and wait for the final result."""
        return self.wait_for(self.submit(source, **rest)["id"], seconds)
