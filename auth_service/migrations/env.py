"""Alembic's door to auth_service's tables; the rules for both engines are in service_kit/database.py."""

from auth_service.extensions import db
from service_kit.database import run_migrations

run_migrations(db.engine, db.metadata)
