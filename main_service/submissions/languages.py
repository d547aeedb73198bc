"""Which languages can be run: what the workers said within the last day."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select

from main_service.extensions import db
from main_service.models import WorkerAnnouncement

FRESH_FOR = timedelta(hours=24)
KEPT_FOR = timedelta(days=30)


@dataclass(frozen=True)
class Language:
    """One language as a student sees it in the list."""

    id: str
    label: str
    version: str | None
    template: str
    available: bool
    packages: list[dict[str, Any]] = field(default_factory=list)


# Offered before any worker was ever seen: on a fresh installation people may hand in before the first one is up.
PYTHON = Language(id="python", label="Python", version=None, template='print("Hello!")\n', available=True)


def list_languages() -> list[Language]:
    """Every language a worker ever announced, by label; the latest announcement of each counts."""
    announcements = db.session.execute(select(WorkerAnnouncement).order_by(WorkerAnnouncement.seen_at)).scalars().all()
    if not announcements:
        return [PYTHON]
    found = {
        entry["id"]: Language(
            id=entry["id"],
            label=entry["label"],
            version=entry["version"],
            template=entry["template"],
            packages=entry["packages"],
            available=_is_fresh(announcement),
        )
        for announcement in announcements
        for entry in announcement.languages
    }
    return sorted(found.values(), key=lambda language: language.label.lower())


def available_languages() -> list[str]:
    return [language.id for language in list_languages() if language.available]


def is_available(language_id: str) -> bool:
    """Whether it may be chosen. Every submission asks: the latest announcement nearly always has the answer."""
    latest = db.session.execute(
        select(WorkerAnnouncement).order_by(WorkerAnnouncement.seen_at.desc()).limit(1)
    ).scalar_one_or_none()
    if latest is not None and _is_fresh(latest) and language_id in {entry["id"] for entry in latest.languages}:
        return True
    return language_id in available_languages()


def note_worker(worker_id: str, said: dict[str, Any]) -> None:
    """Remember what a worker says about itself, in place of what it said before."""
    db.session.merge(WorkerAnnouncement(worker_id=worker_id, seen_at=datetime.now(UTC), **said))
    db.session.commit()


def forget_old_workers() -> None:
    """Every restart of a worker may bring a new id; those not heard of for a month are gone for good."""
    db.session.execute(delete(WorkerAnnouncement).where(WorkerAnnouncement.seen_at < datetime.now(UTC) - KEPT_FOR))
    db.session.commit()


def _is_fresh(announcement: WorkerAnnouncement) -> bool:
    return announcement.seen_at >= datetime.now(UTC) - FRESH_FOR
