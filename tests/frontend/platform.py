"""Both services' answers as the page sees them, from memory: for states the real platform cannot be brought into.

How the page gets on with the real one is in tests/end_to_end/test_page.py.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from service_kit.errors import problem_body
from tests.nginx.gateway import Answer, Asked

USER = {"id": 7, "login": "ada", "email": "ada@example.org", "name": "Ada Lovelace", "role": "student"}
PASSWORD = "a long walk in the rain"
COOKIES = (
    "labs_refresh={token}; HttpOnly; Path=/api/auth; SameSite=Strict",
    "labs_csrf={csrf}; Path=/; SameSite=Strict",
)


def submission(**changes: Any) -> dict[str, Any]:
    """A finished submission of one silent cell, with some of it changed."""
    return {
        "status": "completed",
        "language": "python",
        "lab_id": None,
        "source": "x = 1\n",
        "stdin": None,
        "run_time": 14,
        "wall_time": 35,
        "memory_used": 2048,
        "memory_source": "rusage",
        "isolation": "namespaces",
        "score": None,
        "max_score": None,
        "stdout": "",
        "stderr": "",
        "error": None,
        "cells": [cell()],
        "tests": [],
        "graph": {"edges": [], "defs": {}, "refs": {}},
        "created_at": "2026-01-02T03:04:05Z",
        "attempt": 1,
        "rerun_of": None,
        **changes,
    }


def cell(**changes: Any) -> dict[str, Any]:
    return {
        "id": "Hbol",
        "name": "_",
        "code": "x = 1",
        "line": 1,
        "status": "ok",
        "outputs": [],
        "console": [],
        "error": None,
        "time_ms": 0.4,
        **changes,
    }


def error(**changes: Any) -> dict[str, Any]:
    return {"type": "ZeroDivisionError", "message": "division by zero", "line": 3, "traceback": "Traceback…", **changes}


class Platform:
    """Answers the page. `becomes` is what the next submission turns into; `asked` remembers."""

    def __init__(self) -> None:
        self.sessions = 0  # Every log-in and refresh makes new tokens of this number.
        self.signed_in = False
        self._expired_up_to = 0
        self.becomes: list[dict[str, Any]] = [submission(status="running"), submission()]
        self.submissions: list[dict[str, Any]] = []
        self.refusals: dict[str, list[Answer]] = {}  # {"POST /api/submissions": [answers to give first]}
        self.asked: list[Asked] = []

    def let_access_expire(self) -> None:
        """All access tokens of now; those that a refresh brings are good, side by side."""
        self._expired_up_to = self.sessions

    def auth(self, asked: Asked) -> Answer:
        if asked.path == "/internal/verify":
            good = [f"Bearer access-{number}" for number in range(self._expired_up_to + 1, self.sessions + 1)]
            fresh = asked.header("Authorization") in good
            return Answer(204, headers={"X-User-Id": "7"}) if fresh and self.signed_in else Answer(401)
        return self._answer(asked, self._auth)

    def main(self, asked: Asked) -> Answer:
        return self._answer(asked, self._main)

    def refuse(self, request: str, status: int, code: str, detail: str, **rest: Any) -> None:
        """Answer this request once with a problem."""
        headers = {"Content-Type": "application/problem+json", **rest.pop("headers", {})}
        body = problem_body(status, code, detail, "request-id-1", **rest)
        self.refusals.setdefault(request, []).append(Answer(status, json.dumps(body).encode(), headers))

    def sources(self) -> list[str]:
        return [json.loads(each.body)["source"] for each in self.asked if _name(each) == "POST /api/submissions"]

    def times(self, request: str) -> int:
        return sum(_name(each) == request for each in self.asked)

    def _answer(self, asked: Asked, answer: Any) -> Answer:
        self.asked.append(asked)
        waiting = self.refusals.get(_name(asked))
        reply: Answer = waiting.pop(0) if waiting else answer(asked)
        return reply

    # auth_service -----------------------------------------------------------------------------

    def _auth(self, asked: Asked) -> Answer:
        body = json.loads(asked.body or b"{}")
        match _name(asked):
            case "POST /api/auth/register":
                return _json({**USER, "login": body["login"], "name": body["name"]}, 201)
            case "POST /api/auth/login":
                assert body["transport"] == "cookie"
                if body["password"] != PASSWORD:
                    return _problem(401, "invalid_credentials", "The login or the password is wrong.")
                return self._tokens()
            case "POST /api/auth/refresh":
                csrf = asked.header("X-CSRF-TOKEN")
                cookie = asked.header("Cookie") or ""
                if not self.signed_in or f"refresh-{self.sessions}" not in cookie or csrf != f"csrf-{self.sessions}":
                    return _problem(401, "invalid_token", "The token is not valid. Log in again.")
                return self._tokens()
            case "POST /api/auth/logout":
                self.signed_in = False
                gone = "; Max-Age=0; Path="
                return Answer(204, headers={"Set-Cookie": f"labs_csrf={gone}/"})
        return _problem(404, "not_found", "Nothing here.")

    def _tokens(self) -> Answer:
        self.sessions += 1
        self.signed_in = True
        body = {
            "access_token": f"access-{self.sessions}",
            "csrf_token": f"csrf-{self.sessions}",
            "token_type": "Bearer",
            "expires_in": 900,
            "user": USER,
        }
        cookies = [each.format(token=f"refresh-{self.sessions}", csrf=f"csrf-{self.sessions}") for each in COOKIES]
        return Answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"}, tuple(cookies))

    # main_service -----------------------------------------------------------------------------

    def _main(self, asked: Asked) -> Answer:
        name = _name(asked)
        if name == "GET /api/languages":
            packages = [{"name": "numpy", "version": "2.4.6"}, {"name": "pandas", "version": "2.3.3"}]
            python = {"id": "python", "label": "Python", "version": "3.11.2", "available": True, "packages": packages}
            return _json({"items": [python]})
        if name == "GET /api/limits":
            return _json({"cpu_ms": 5000, "wall_ms": 15000, "memory_kib": 262144, "output_bytes": 65536})
        if asked.header("X-User-Id") != "7":
            return _problem(401, "token_missing", "Log in first: this needs an access token.")
        if name == "POST /api/submissions":
            return self._take_in(json.loads(asked.body))
        if name == "GET /api/submissions":
            return self._list(asked)
        if found := re.fullmatch(r"(GET|POST) /api/submissions/(\d+)(/cancel)?", name):
            return self._one(int(found[2]), asked, cancelled=bool(found[3]))
        return _problem(404, "not_found", "Nothing here.")

    def _take_in(self, order: dict[str, Any]) -> Answer:
        new = submission(id=len(self.submissions) + 1, status="queued", cells=[], run_time=None, wall_time=None)
        new |= {"source": order["source"], "stdin": order.get("stdin"), "memory_used": None, "rev": 1}
        new["future"] = copy.deepcopy(self.becomes)
        self.submissions.append(new)
        return _json(_shown(new), 202)

    def _list(self, asked: Asked) -> Answer:
        newest = list(reversed(self.submissions))
        query = {name: int(value) for name, value in parse_qsl(urlsplit(asked.path).query)}
        start, limit = query.get("cursor", 0), query.get("limit", 20)
        page = [
            {key: value for key, value in _shown(each).items() if key not in ("source", "cells")}
            for each in newest[start : start + limit]
        ]
        after = start + limit
        return _json({"items": page, "next_cursor": str(after) if after < len(newest) else None})

    def _one(self, number: int, asked: Asked, *, cancelled: bool) -> Answer:
        mine = self.submissions[number - 1]
        if cancelled:
            mine |= {"status": "cancelled", "future": [], "rev": mine["rev"] + 1}
        elif mine["future"]:
            mine |= {**mine["future"].pop(0), "id": number, "source": mine["source"], "stdin": mine["stdin"]}
            mine["rev"] += 1
        tag = f'"{mine["rev"]}"'
        if (asked.header("If-None-Match") or "").removeprefix("W/") == tag:
            return Answer(304, b"", {"ETag": tag})
        return Answer(200, json.dumps(_shown(mine)).encode(), {"Content-Type": "application/json", "ETag": tag})


def _name(asked: Asked) -> str:
    return f"{asked.method} {asked.path.partition('?')[0]}"


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("future", "rev")}


def _json(body: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _problem(status: int, code: str, detail: str) -> Answer:
    body = json.dumps(problem_body(status, code, detail, "request-id-1")).encode()
    return Answer(status, body, {"Content-Type": "application/problem+json"})
