"""main_service's own processes, started as an operator starts them."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


class DispatchProcess:
    """`flask --app main_service.app dispatch`; what it says goes to a file."""

    def __init__(self, environment: Mapping[str, str], log: Path, *arguments: str) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name("flask")), "--app", "main_service.app", "dispatch", *arguments],
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def has_said(self, word: str) -> bool:
        return word in self._log.read_text()

    def end(self, seconds: float = 20) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)
