"""What was asked of a folder, so that a second run goes on with it or refuses to mix."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from empathy_geometry.foundation.checked_json import parse_json
from empathy_geometry.foundation.provenance import write_json

NAME = "run.json"


class RunRecord:
    """The request that a folder of results belongs to, and whether it is answered.

    Args:
        folder: One model's (or class's) results.
        request: Everything that decides the numbers, ready for JSON.
        restart: Throw away what another run left.

    Raises:
        ValueError: the folder holds another run, or a record that is damaged.
    """

    def __init__(self, folder: Path, request: Mapping[str, Any], *, restart: bool = False) -> None:
        self.folder, self.path = folder, folder / NAME
        if restart and self.path.exists():
            # Only a folder that one of our runs made, never one that merely has this name.
            shutil.rmtree(folder)
        self.request: dict[str, Any] = json.loads(json.dumps(request))
        self._record = self._read()
        if not self._record:
            self._write({"request": self.request, "finished": False})

    @property
    def table(self) -> str | None:
        """What the finished run printed; None if it is not finished."""
        return str(self._record["table"]) if self._record.get("finished") else None

    def finish(self, table: str) -> None:
        """The results are written: the next run need not do it again."""
        self._write({"request": self.request, "finished": True, "table": table})

    def _write(self, record: dict[str, Any]) -> None:
        self._record = record
        write_json(self.path, record)

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        advice = "choose another --output, or --restart to throw it away"
        try:
            record = parse_json(self.path.read_bytes(), str(self.path))
            before = record["request"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.path} is damaged ({type(error).__name__}); {advice}") from error
        if before != self.request:
            keys = sorted(k for k in {**before, **self.request} if before.get(k) != self.request.get(k))
            raise ValueError(f"{self.folder} holds another run (other {', '.join(keys)}); {advice}")
        found: dict[str, Any] = record
        return found
