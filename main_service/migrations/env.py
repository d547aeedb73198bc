"""Runs main_service's migrations; how is the same for both services (service_kit.database)."""

from flask import current_app

from service_kit.database import run_migrations

db = current_app.extensions["migrate"].db
run_migrations(db.engine, db.metadata)
