"""The languages a submission may be written in. Adding one is a file beside python.py and its name here."""

from __future__ import annotations

from executor_worker.languages import python
from executor_worker.languages.language import Language

LANGUAGES: dict[str, Language] = {language.id: language for language in (python.LANGUAGE,)}
