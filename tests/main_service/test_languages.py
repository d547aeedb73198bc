"""Which languages one may choose: what the workers announced."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from main_service.extensions import db
from main_service.models import WorkerAnnouncement
from main_service.submissions.languages import forget_old_workers
from tests.main_service.people import SERVICE_TOKEN, Worker

CPP = {"id": "cpp", "label": "C++", "version": "12.2", "template": "int main() {}", "packages": []}


def languages(client):
    return {language["id"]: language for language in client.get("/api/languages").json["items"]}


def age(app, worker_id, hours):
    with app.app_context():
        seen_at = datetime.now(UTC) - timedelta(hours=hours)
        db.session.execute(
            update(WorkerAnnouncement).where(WorkerAnnouncement.worker_id == worker_id).values(seen_at=seen_at)
        )
        db.session.commit()


def test_python_is_offered_before_any_worker_was_seen(client):
    assert languages(client) == {
        "python": {
            "id": "python",
            "label": "Python",
            "version": None,
            "template": 'print("Hello!")\n',
            "available": True,
            "packages": [],
        }
    }


def test_what_a_worker_announces_can_be_chosen(client, worker, student):
    python = worker.announce().status_code
    Worker(client, "worker-2").announce(languages=[CPP])

    assert python == 204
    found = languages(client)
    assert list(found) == ["cpp", "python"]
    assert found["python"]["version"] == "3.11.2"
    assert found["python"]["packages"] == [{"name": "numpy", "version": "2.1.0"}]
    answer = client.post("/api/submissions", json={"source": "x", "language": "cpp"}, headers=student.headers)
    assert answer.status_code == 202


def test_a_worker_replaces_what_it_said_before(client, worker):
    worker.announce(languages=[CPP])
    worker.announce()

    assert list(languages(client)) == ["python"]


def test_a_language_not_announced_for_a_day_is_listed_but_cannot_be_chosen(app, client, worker, student):
    worker.announce(languages=[CPP])
    Worker(client, "worker-2").announce()
    age(app, "worker-1", hours=25)

    assert {name: language["available"] for name, language in languages(client).items()} == {
        "cpp": False,
        "python": True,
    }
    answer = client.post("/api/submissions", json={"source": "x", "language": "cpp"}, headers=student.headers)
    assert (answer.status_code, answer.json["code"]) == (422, "language_unavailable")
    assert "python" in answer.json["detail"]
    assert "cpp" not in answer.json["detail"]


def test_one_fresh_worker_is_enough(app, client, worker):
    worker.announce()
    Worker(client, "worker-2").announce()
    age(app, "worker-1", hours=25)

    assert languages(client)["python"]["available"] is True


def test_workers_not_heard_of_for_a_month_are_forgotten(app, client, worker):
    worker.announce()
    Worker(client, "worker-2").announce()
    age(app, "worker-1", hours=31 * 24)

    with app.app_context():
        forget_old_workers()
        assert db.session.execute(select(WorkerAnnouncement.worker_id)).scalars().all() == ["worker-2"]


@pytest.mark.parametrize(
    "changes",
    [
        {"languages": None},
        {"languages": [{}]},
        {"languages": [CPP | {"id": ""}]},
        {"languages": [CPP | {"template": "\0"}]},
        {"languages": [CPP | {"packages": ["numpy"]}]},
        {"slots": "many"},
        {"marimo": None},
    ],
)
def test_an_announcement_of_another_shape_is_refused(client, worker, changes):
    assert worker.announce(**changes).status_code == 422
    assert list(languages(client)) == ["python"]


@pytest.mark.parametrize("worker_id", ["%00", "x" * 129, "a b", "%ff"])
def test_a_worker_needs_a_plain_name(client, worker_id):
    body = {"languages": [CPP], "slots": 1, "isolation": "none", "marimo": "0"}

    answer = client.put(
        f"/internal/workers/{worker_id}", json=body, headers={"Authorization": f"Bearer {SERVICE_TOKEN}"}
    )

    assert answer.status_code == 422


def test_limits_are_told(make_app):
    app = make_app(MAX_SOURCE_BYTES=1000, RUN_MEMORY_MB=64)

    assert app.test_client().get("/api/limits").json == {
        "max_source_bytes": 1000,
        "max_stdin_bytes": 65536,
        "max_waiting_per_user": 100,
        "cpu_ms": 5000,
        "wall_ms": 15000,
        "memory_kib": 65536,
        "output_bytes": 65536,
    }
