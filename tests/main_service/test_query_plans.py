"""Queries that run on every request or every second find their rows by an index, however long the table grows."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, insert, text

from main_service.extensions import db
from main_service.models import Submission
from main_service.submissions import dispatch, intake, leases, reading
from service_kit.claims import Caller, Role
from service_kit.messages import SubmissionStatus

ROWS = 6000
CALLER = Caller(user_id=77, role=Role.STUDENT, session_id="s")


def keyset_cursor(app):
    with app.app_context():
        return reading.list_own(CALLER, limit=2, cursor=None, status=None).next_cursor


QUERIES = {
    "list": (
        lambda cursor: reading.list_own(CALLER, limit=20, cursor=None, status=None),
        "ix_submissions_user_id_id",
    ),
    "next page": (
        lambda cursor: reading.list_own(CALLER, limit=20, cursor=cursor, status=None),
        "ix_submissions_user_id_id",
    ),
    "list of one status": (
        lambda cursor: reading.list_own(CALLER, limit=20, cursor=cursor, status=SubmissionStatus.CANCELLED),
        "ix_submissions_user_id_status_id",
    ),
    "waiting of one user": (lambda cursor: intake._check_waiting(77), "ix_submissions_user_id_status_id"),
    "backlog": (lambda cursor: intake._check_backlog(), "ix_submissions_queued"),
    "unsent": (lambda cursor: dispatch._take_unsent(), "ix_submissions_queued"),
    "stale": (lambda cursor: dispatch._take_stale(), "ix_submissions_queued"),
    "lapsed leases": (lambda cursor: leases.take_back_lapsed(), "ix_submissions_running"),
}


@pytest.fixture(scope="module")
def _long_ago():
    return datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def full_app(app, _long_ago):
    """Thousands of finished submissions and a few on their way, as in any real table."""
    unfinished = {0: SubmissionStatus.QUEUED, 1: SubmissionStatus.RUNNING}
    rows = [
        {
            "user_id": number % 100,
            "status": unfinished.get(number % 1000, SubmissionStatus.COMPLETED),
            "language": "python",
            "rev": 3,
            "request_id": "r",
            "order_hash": "h",
            "created_at": _long_ago,
            "published_at": None if number % 2000 == 0 else _long_ago,
            "due_at": _long_ago,
            "attempt": 1,
            "dispatches": 1,
            "lease_until": _long_ago if number % 1000 == 1 else None,
            "source": "print()" * 50,
            "stdin": "",
            "cells": [],
        }
        for number in range(ROWS)
    ]
    with app.app_context():
        db.session.execute(insert(Submission), rows)
        db.session.commit()
        db.session.execute(text("ANALYZE"))
        db.session.commit()
    return app


@pytest.mark.parametrize(("query", "index"), QUERIES.values(), ids=QUERIES.keys())
def test_an_index_serves_the_query(full_app, query, index):
    cursor = keyset_cursor(full_app)
    plans = []

    def explain(connection, _cursor, statement, parameters, context, executemany):
        if statement.startswith(("SELECT", "UPDATE")) and "submissions" in statement and not executemany:
            how = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
            rows = connection.connection.cursor().execute(how + statement, parameters).fetchall()
            plans.append("\n".join(str(row[-1]) for row in rows))

    with full_app.app_context():
        event.listen(db.engine, "before_cursor_execute", explain)
        try:
            query(cursor)
        finally:
            event.remove(db.engine, "before_cursor_execute", explain)
            db.session.rollback()

    assert plans
    assert index in plans[0], plans[0]
    for plan in plans:
        assert "SCAN submissions" not in plan, plan
        assert "Seq Scan on submissions" not in plan, plan
        assert "TEMP B-TREE" not in plan, plan
