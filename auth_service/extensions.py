"""The Flask extensions, made once and bound to the app in app.py."""

from __future__ import annotations

from flask_bcrypt import Bcrypt
from flask_jwt_extended import JWTManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from service_kit.database import NAMING_CONVENTION


class Base(DeclarativeBase):
    """The ground of all models: constraints get names that a migration can find again."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


# Objects stay loaded after a commit: a password is checked between two transactions, never inside one,
# and reading an attribute again must not open a transaction that holds SQLite's write lock for a whole hash.
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
migrate = Migrate()
jwt = JWTManager()
bcrypt = Bcrypt()
