"""docker-compose.yml and the Dockerfiles, read. There is no engine here: images are not built, containers not run."""

from __future__ import annotations

import functools
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILES = sorted(ROOT.glob("*/Dockerfile"))
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


@functools.cache
def compose() -> dict[str, Any]:
    """The file with its anchors resolved and its variables at their defaults."""
    loaded: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(lambda match: match[2], COMPOSE.read_text()))
    return loaded


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def variables() -> dict[str, set[str]]:
    """Every ${NAME:-default} of the file, with all its defaults."""
    found: dict[str, set[str]] = {}
    for name, default in _VARIABLE.findall(COMPOSE.read_text()):
        found.setdefault(name, set()).add(default)
    return found


@dataclass
class Stage:
    """One FROM of a Dockerfile."""

    base: str
    name: str | None
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def last(self, instruction: str) -> str | None:
        return next((text for word, text in reversed(self.instructions) if word == instruction), None)


def stages(dockerfile: Path) -> dict[str, Stage]:
    """The stages by name, those without one by number."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)
    found: dict[str, Stage] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name or str(len(found))] = Stage(base, name or None)
        elif word:
            next(reversed(found.values())).instructions.append((word, rest.strip()))
    return found


def copied_into(folder: Path, dockerfile: Path, target: str) -> None:
    """Copy our own files as the target's COPY lines do, those of the stages it builds on first."""
    all_stages = stages(dockerfile)
    stage = all_stages[target]
    if stage.base in all_stages:
        copied_into(folder, dockerfile, stage.base)
    for word, rest in stage.instructions:
        if word == "COPY" and not rest.startswith("--"):
            *sources, destination = rest.split()
            for pattern in sources:
                for source in sorted(ROOT.glob(pattern)):
                    _copy(source, folder / destination, into=destination.endswith("/"))


def _copy(source: Path, destination: Path, *, into: bool) -> None:
    place = destination / source.name if into else destination
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, place)
