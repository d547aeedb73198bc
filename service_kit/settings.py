"""Read typed settings from an environment, and complain once about everything that is wrong.

Each service describes its own settings in its config.py; this file only knows how to read a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path


class SettingsError(Exception):
    """The environment cannot be used; the text names every setting at fault."""


class Env:
    """A reader over a mapping (os.environ in production, a dict in tests).

    A bad or missing value is remembered and a harmless placeholder returned, so that
    `complain()` can name everything at once instead of one name per start.
    """

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self._mapping = mapping
        self._faults: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """The value as it stands; without a default a missing or empty value is a fault."""
        value = self._mapping.get(name, "")
        if value:
            return value
        if default is None:
            self._faults.append(f"{name} is not set")
            return ""
        return default

    def secret(self, name: str, *, least_characters: int = 1) -> str:
        """The value of NAME, or the content of the file that NAME_FILE names. There is never a default."""
        value = self._mapping.get(name, "")
        path = self._mapping.get(f"{name}_FILE", "")
        if not value and path:
            try:
                value = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                self._faults.append(f"{name}_FILE cannot be read: {error.strerror}")
                return ""
        if not value:
            self._faults.append(f"{name} (or {name}_FILE) is not set")
        elif len(value) < least_characters:
            self._faults.append(f"{name} is shorter than {least_characters} characters")
        return value

    def number(self, name: str, default: int, low: int = 0, high: int = 2**31 - 1) -> int:
        """A whole number between low and high, both included."""
        raw = self._mapping.get(name, "")
        if not raw:
            return default
        try:
            value = int(raw)
        except ValueError:
            self._faults.append(f"{name} is not a whole number")
            return default
        if not low <= value <= high:
            self._faults.append(f"{name} must be between {low} and {high}")
            return default
        return value

    def flag(self, name: str, default: bool) -> bool:
        """true/false, yes/no, on/off, 1/0; case does not matter."""
        raw = self._mapping.get(name, "").lower()
        if not raw:
            return default
        if raw in {"1", "true", "yes", "on"}:
            return True
        if raw in {"0", "false", "no", "off"}:
            return False
        self._faults.append(f"{name} must be true or false")
        return default

    def words(self, name: str, default: str) -> list[str]:
        """A comma-separated list; blanks around the words are dropped."""
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def choice(self, name: str, allowed: Iterable[str], default: str) -> str:
        """One of the allowed words."""
        value = self.text(name, default)
        words = list(allowed)
        if value not in words:
            self._faults.append(f"{name} must be one of: {', '.join(words)}")
            return default
        return value

    def fault(self, text: str) -> None:
        """Add a complaint of the caller's own (two settings that do not fit together)."""
        self._faults.append(text)

    def complain(self) -> None:
        """Raise SettingsError naming every fault met so far; do nothing when there was none."""
        if self._faults:
            raise SettingsError("cannot start: " + "; ".join(self._faults))
