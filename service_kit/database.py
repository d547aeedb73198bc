"""One way to open a database, for both services and both engines (SQLite embedded, PostgreSQL beyond one machine).

Service code and migrations see the same names, times and transaction rules on either engine.
"""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, DateTime, Dialect, Engine, MetaData, event, make_url, pool
from sqlalchemy.exc import ArgumentError
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, scoped_session

# Named constraints, or Alembic could not drop them again.
NAMING_CONVENTION = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

_READ_ONLY = "labs_read_only"
_SYNCHRONOUS_WORDS = ("FULL", "NORMAL")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, UTC in and UTC out on both engines. A naive one is refused: nobody knows its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        # SQLite gives back what was stored without its zone; PostgreSQL in the connection's zone.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def database_url(text: str) -> str:
    """The URL with our driver in it and an absolute SQLite path. Raises ValueError for what we cannot serve.

    Flask-SQLAlchemy would resolve a relative path against its own instance folder, not against where one stands.
    """
    if text.startswith(("postgres://", "postgresql://")):
        text = "postgresql+psycopg://" + text.partition("://")[2]
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ValueError("the database URL cannot be read") from error
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ValueError("the database must be sqlite or postgresql")
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database.startswith((":memory:", "file:")):
            raise ValueError("SQLite needs a file: threads and processes share it")
        return url.set(database=str(Path(url.database).absolute())).render_as_string(hide_password=False)
    return text


def engine_options(url: str) -> dict[str, Any]:
    """SQLALCHEMY_ENGINE_OPTIONS for a URL that went through `database_url`."""
    # A pool for 8 threads. Who waits longer than 5 s for a connection gets an error rather than a hanging page.
    options: dict[str, Any] = {"poolclass": pool.QueuePool, "pool_size": 8, "max_overflow": 4, "pool_timeout": 5}
    # Cyrillic takes two bytes a letter, not six.
    options["json_serializer"] = functools.partial(json.dumps, ensure_ascii=False)
    if make_url(url).get_backend_name() == "sqlite":
        return options
    server_limits = {
        "lock_timeout": 5_000,
        "statement_timeout": 15_000,
        # A forgotten transaction would block a migration for ever.
        "idle_in_transaction_session_timeout": 30_000,
        "timezone": "UTC",
    }
    return options | {
        "pool_pre_ping": True,
        "pool_recycle": 1_800,
        "connect_args": {
            "connect_timeout": 5,
            "options": " ".join(f"-c {name}={value}" for name, value in server_limits.items()),
        },
    }


def prepare_sqlite(engine: Engine, synchronous: str) -> None:
    """Give a SQLite engine our transaction rules; does nothing to a PostgreSQL one. Call once, before first use.

    `synchronous` FULL keeps every commit through a power cut; NORMAL may lose the last few, never the file.
    """
    if engine.dialect.name != "sqlite":
        return
    if synchronous not in _SYNCHRONOUS_WORDS:
        raise ValueError("synchronous must be FULL or NORMAL")

    @event.listens_for(engine, "connect")
    def _open(dbapi_connection: Any, _record: Any) -> None:
        # The driver must not begin transactions on its own: _begin below does.
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        for pragma in (
            "busy_timeout=5000",  # First: switching to WAL may have to wait for a neighbour.
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            "foreign_keys=ON",
            "cache_size=-16384",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later cannot wait for its turn: SQLite fails it at once,
        # whatever busy_timeout says. So every transaction asks for the write lock at its start, unless it
        # promised to only read, and then it is held to its word.
        reads = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if reads else 'OFF'}")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def begin_reading(session: Session | scoped_session[Any]) -> None:
    """Promise that the transaction about to begin only reads: on SQLite it then never waits for a writer.

    The session must not have begun yet. Both engines refuse a write until the next commit or rollback.
    """
    session.connection(execution_options={_READ_ONLY: True, "postgresql_readonly": True})


def run_migrations(engine: Engine, metadata: MetaData) -> None:
    """What a service's migrations/env.py calls: run the revisions Alembic asked for, whole or not at all."""
    from alembic import context  # Usable only inside an Alembic command.

    options: dict[str, Any] = {
        "target_metadata": metadata,
        "render_as_batch": True,  # SQLite changes a table by copying it.
        "compare_type": True,
        "render_item": _render_item,
        "transactional_ddl": True,  # SQLite can, now that the driver does not commit on its own.
    }
    if context.is_offline_mode():
        context.configure(url=engine.url.render_as_string(hide_password=False), literal_binds=True, **options)
        with context.begin_transaction():
            context.run_migrations()
        return
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # Copying a table drops the old one, and with foreign keys on that deletes every row pointing to it.
            # The switch works outside a transaction only.
            _pragma(connection, "foreign_keys=OFF")
        try:
            context.configure(connection=connection, **options)
            with context.begin_transaction():
                if engine.dialect.name == "postgresql":
                    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # A large table takes its time.
                context.run_migrations()
                _refuse_broken_references(connection)
        finally:
            if engine.dialect.name == "sqlite":
                connection.rollback()
                _pragma(connection, "foreign_keys=ON")


def _render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """A revision names SQLAlchemy's own types: it must still run when our code has moved on."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def _pragma(connection: Connection, text: str) -> None:
    cursor = connection.connection.cursor()  # Below SQLAlchemy, which would begin a transaction first.
    cursor.execute(f"PRAGMA {text}")
    cursor.close()


def _refuse_broken_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if broken:
            raise RuntimeError(f"the migration would leave {len(broken)} rows pointing at nothing")
