"""The database and its migrations, made once and bound to the app in app.py."""

from __future__ import annotations

from pathlib import Path

from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from service_kit.database import NAMING_CONVENTION


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)


# Rows stay readable after the commit: the answer is built from what was stored, without asking again.
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})

# A history of its own beside app.py: Flask-Migrate's default is relative to where one stands.
migrate = Migrate(directory=str(Path(__file__).with_name("migrations")))
