"""The rules of service_kit.database, on SQLite and on PostgreSQL."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, Table, create_engine, func, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from service_kit import database
from service_kit.database import NAMING_CONVENTION, UtcDateTime, begin_reading, engine_options, prepare_sqlite

METADATA = MetaData(naming_convention=NAMING_CONVENTION)
PARENTS = Table("parents", METADATA, Column("id", Integer, primary_key=True), Column("at", UtcDateTime()))
CHILDREN = Table(
    "children",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("parent_id", ForeignKey("parents.id", ondelete="CASCADE")),
)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database.database_url(database_url), **engine_options(database.database_url(database_url)))
    prepare_sqlite(engine, "NORMAL")
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


def test_a_time_comes_back_aware_and_in_utc(engine):
    moment = datetime(2025, 7, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=3)))

    with engine.begin() as connection:
        connection.execute(insert(PARENTS).values(id=1, at=moment))
        stored = connection.execute(select(PARENTS.c.at)).scalar_one()

    assert stored == moment
    assert stored.tzinfo is UTC


def test_a_time_without_a_zone_is_refused(engine):
    with engine.begin() as connection, pytest.raises(SQLAlchemyError, match="time zone"):
        connection.execute(insert(PARENTS).values(id=1, at=datetime(2025, 7, 1)))  # noqa: DTZ001


def test_foreign_keys_hold(engine):
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(CHILDREN).values(id=1, parent_id=404))


def test_reading_first_and_writing_later_never_fails_for_a_neighbour(engine):
    """The deferred transactions of plain SQLite fail here with "database is locked" (research: 157 of 600)."""
    failures: list[Exception] = []

    def add_many() -> None:
        for _ in range(25):
            try:
                with Session(engine) as session, session.begin():
                    session.execute(select(func.count()).select_from(PARENTS)).scalar_one()
                    session.execute(insert(PARENTS).values())
            except SQLAlchemyError as error:
                failures.append(error)

    threads = [threading.Thread(target=add_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(PARENTS)).scalar_one() == 100
    assert failures == []


def test_a_reader_does_not_wait_for_a_writer(engine):
    with engine.begin() as writer:
        writer.execute(insert(PARENTS).values(id=1))
        with Session(engine) as session:
            begin_reading(session)
            seen = session.execute(select(func.count()).select_from(PARENTS)).scalar_one()

    assert seen == 0


def test_a_reader_is_held_to_its_promise_and_the_next_transaction_may_write(engine):
    with Session(engine) as session:
        begin_reading(session)
        with pytest.raises(SQLAlchemyError):
            session.execute(insert(PARENTS).values(id=1))
        session.rollback()

        session.execute(insert(PARENTS).values(id=2))
        session.commit()

    with engine.connect() as connection:
        assert connection.execute(select(PARENTS.c.id)).scalars().all() == [2]


def test_sqlite_is_opened_with_our_settings(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/a.db", **engine_options("sqlite:///a.db"))
    prepare_sqlite(engine, "FULL")

    with engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()

    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_postgresql_is_opened_with_time_limits(postgres_url):
    engine = create_engine(postgres_url, **engine_options(postgres_url))

    with engine.connect() as connection:
        found = [
            connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "timezone")
        ]
    engine.dispose()

    assert found == ["5s", "15s", "30s", "UTC"]


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql://u@/d?host=/run/pg", "postgresql+psycopg://u@/d?host=/run/pg"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("sqlite:////tmp/a.db", "sqlite:////tmp/a.db"),
        ("sqlite:///var/a.db", f"sqlite:///{Path('var/a.db').absolute()}"),
    ],
)
def test_urls_get_our_driver_and_an_absolute_path(given, used):
    assert database.database_url(given) == used


@pytest.mark.parametrize("url", ["mysql://u@h/d", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_urls_we_cannot_serve_are_refused(url):
    with pytest.raises(ValueError, match=r"must be|needs a file|cannot be read"):
        database.database_url(url)
