"""The committed migrations make exactly the tables the models describe, on both engines, and can be taken back."""

import flask_migrate
import pytest
from sqlalchemy import inspect

from main_service.app import create_app
from main_service.config import Config
from main_service.extensions import db


@pytest.fixture
def empty_app(settings, database_url):
    app = create_app(Config.from_env(settings | {"DATABASE_URL_MAIN": database_url}))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def tables():
    return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def test_up_then_down_leaves_nothing(empty_app):
    flask_migrate.upgrade()
    assert tables() == {"submissions", "worker_announcements"}

    flask_migrate.downgrade(revision="base")
    assert tables() == set()

    flask_migrate.upgrade()
    assert tables() == {"submissions", "worker_announcements"}


def test_migrations_say_what_the_models_say(empty_app):
    flask_migrate.upgrade()

    flask_migrate.check()  # Exits when there is a difference.


def test_a_status_we_do_not_know_is_refused_by_the_database_itself(empty_app):
    flask_migrate.upgrade()

    constraints = {check["name"] for check in inspect(db.engine).get_check_constraints("submissions")}

    assert constraints == {"ck_submissions_status_known"}


def test_user_ids_have_no_foreign_key(empty_app):
    flask_migrate.upgrade()

    keys = inspect(db.engine).get_foreign_keys("submissions")

    assert [(key["constrained_columns"], key["referred_table"]) for key in keys] == [(["rerun_of"], "submissions")]
