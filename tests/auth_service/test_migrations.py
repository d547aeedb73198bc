"""The committed migrations, up and down on both engines, and in step with the models."""

import subprocess
import sys
from pathlib import Path

import pytest
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import inspect, text

from auth_service.extensions import db
from tests.auth_service.people import Person

TABLES = {"users", "sessions", "refresh_tokens", "login_delays", "allowances", "audit_events"}


def test_migrations_go_up_and_down_and_up_again_on_both_engines(make_app, database_url):
    app = make_app(DATABASE_URL_AUTH=database_url)

    with app.app_context():
        upgrade()
        assert set(inspect(db.engine).get_table_names()) == TABLES | {"alembic_version"}
        downgrade(revision="base")
        assert set(inspect(db.engine).get_table_names()) == {"alembic_version"}
        upgrade()
        check()  # Ends the process when the models have moved on without a migration.


def test_every_constraint_has_the_name_a_later_migration_will_look_for(app_on_each_engine):
    with app_on_each_engine.app_context():
        found = inspect(db.engine)
        names = {
            name
            for table in TABLES
            for name in (
                found.get_pk_constraint(table)["name"],
                *(each["name"] for each in found.get_unique_constraints(table)),
                *(each["name"] for each in found.get_foreign_keys(table)),
                *(each["name"] for each in found.get_check_constraints(table)),
            )
        }

    assert names == {
        *(f"pk_{table}" for table in TABLES),
        "uq_users_login_key",
        "uq_users_email_key",
        "ck_users_role",
        "fk_sessions_user_id_users",
        "fk_refresh_tokens_session_id_sessions",
    }


def test_deleting_a_user_takes_sessions_and_tokens_along(app_on_each_engine):
    Person.join(app_on_each_engine.test_client(), "ann")

    with app_on_each_engine.app_context():
        db.session.execute(text("DELETE FROM users"))
        db.session.commit()
        left = [db.session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608
                for table in ("sessions", "refresh_tokens")]  # fmt: skip
        db.session.rollback()

    assert left == [0, 0]


def test_the_command_of_the_readme_works_from_any_folder(settings, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "auth_service.app", "db", "upgrade"],
        env=settings | {"DATABASE_URL_AUTH": "sqlite:///here.db", "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here.db").exists()


@pytest.mark.parametrize("state", ["empty", "old"])
def test_a_database_that_is_not_migrated_is_not_ready(make_app, tmp_path, state):
    app = make_app(DATABASE_URL_AUTH=f"sqlite:///{tmp_path}/fresh.db")
    if state == "old":
        with app.app_context():
            upgrade()
            db.session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
            db.session.commit()

    answer = app.test_client().get("/readyz")

    assert answer.status_code == 503
    assert answer.json["database"] != "ok"
