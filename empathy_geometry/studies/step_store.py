"""Finished steps of a study on disk, each a file of its own, so that an interrupted study goes on where it was."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from empathy_geometry.foundation.checked_json import dump_checked, load_checked, read_checked
from empathy_geometry.foundation.durable_file import create_text, write_text
from empathy_geometry.foundation.json_codec import pack, to_json, unpack
from empathy_geometry.models.identity import run_differences

FORMAT = "empathy_geometry.steps/1"

T = TypeVar("T")


class StepStore:
    """The steps of one run in a folder.

    What is kept is read back exactly as it was, and randomness comes from seeds of the call alone, so that a run that
    was taken up again ends as one that was not interrupted.

    Args:
        folder: Where; made if it is not there. None keeps nothing.
        identity: What a run must share with the one that began the folder: model, texts, settings, versions.

    Raises:
        ValueError: the folder belongs to another run, or its files are damaged.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        if folder is None:
            return
        path = folder / "run.json"
        wanted = {"format": FORMAT, "identity": to_json(identity)}
        if not path.exists():
            create_text(path, dump_checked(wanted, indent=1))
        there = read_checked(path, FORMAT, "name another folder")
        differing = run_differences(there["identity"], wanted["identity"])
        if differing:
            raise ValueError(
                f"the study in {folder} is another run ({'; '.join(differing)}); name another folder, or call as it "
                f"was called then"
            )

    def keep(self, name: str, kind: type[T], make: Callable[[], T]) -> T:
        """A finished step if it is there; else make it, and keep it whole or not at all.

        Args:
            name: Of the step; its file is called after it.
            kind: Class of what it gives.
            make: Does the work.

        Raises:
            ValueError: its file is damaged.
        """
        if self.folder is None:
            return make()
        path = self.folder / "steps" / (re.sub(r"[^\w.-]+", "_", name) + ".json")
        if not path.exists():
            write_text(path, dump_checked({"step": name, "type": kind.__name__, "value": pack(make())}))
        content = _read(path)
        if content.get("step") != name or content.get("type") != kind.__name__:
            raise ValueError(f"{path} is of another step, {content.get('step')!r}; delete it and run the study again")
        try:
            return unpack(kind, content["value"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} cannot be read ({error}); delete it and run the study again") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return load_checked(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and run the study again") from error
