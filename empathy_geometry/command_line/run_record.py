"""What was asked of a folder, so that a second run goes on with it or refuses to mix, and which files are its own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from empathy_geometry.foundation.checked_json import dump_checked, read_checked
from empathy_geometry.foundation.durable_file import told_of_files, write_text
from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.foundation.result_file import is_result, read_json, read_result

NAME = "run.json"
FORMAT = "empathy_geometry.run/2"


class RunRecord:
    """The request that a folder of results belongs to, whether it is answered, and every file that was written for it.

    Args:
        folder: One model's (or class's) results.
        request: Everything that decides the numbers, ready for JSON.
        restart: Remove the files that an earlier run wrote, by its own record; whatever else lies there stays.

    Raises:
        ValueError: the folder holds another run, a record that is damaged or not ours, or a finished result that is
            damaged.
    """

    def __init__(self, folder: Path, request: Mapping[str, Any], *, restart: bool = False) -> None:
        self.folder, self.path = folder, folder / NAME
        self.request: dict[str, Any] = to_json(request)
        self._record = self._read()
        if self._record and restart:
            self._remove_files()
            self._record = {}
        if not self._record:
            self._write({"request": self.request, "finished": False, "files": []})
        before = self._record["request"]
        if before != self.request:
            keys = sorted(k for k in {**before, **self.request} if before.get(k) != self.request.get(k))
            raise ValueError(
                f"{self.folder} holds another run (other {', '.join(keys)}); choose another --output, or --restart to "
                f"throw it away"
            )
        if self._record["finished"]:
            self._check_results()

    @property
    def table(self) -> str | None:
        """What the finished run printed; None if it is not finished."""
        return str(self._record["table"]) if self._record["finished"] else None

    @contextmanager
    def keeping_count(self) -> Iterator[None]:
        """Enter every file that is written below the folder into the record, before it is there."""
        with told_of_files(self.folder, self._note):
            yield

    def finish(self, table: str) -> None:
        """The results are written: the next run need not do it again."""
        self._write({**self._record, "finished": True, "table": table})

    def _note(self, file: Path) -> None:
        name = file.as_posix()
        if name != NAME and name not in self._record["files"]:
            self._write({**self._record, "files": [*self._record["files"], name]})

    def _write(self, record: dict[str, Any]) -> None:
        self._record = record
        write_text(self.path, dump_checked({"format": FORMAT, **record}, indent=1))

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        advice = "choose another --output, or delete it if you do not need it"
        return read_checked(self.path, FORMAT, advice)

    def _remove_files(self) -> None:
        root = self.folder.resolve()
        folders: set[Path] = set()
        for name in self._record["files"]:
            file = self.folder / name
            # A folder that was replaced by a link to elsewhere is no longer where our files are.
            if root in (file.parent.resolve() / file.name).parents:
                file.unlink(missing_ok=True)
                folders |= {p for p in file.parents if self.folder in p.parents}
        self.path.unlink()
        for folder in sorted(folders, key=lambda p: -len(p.parts)):
            with suppress(OSError):  # not empty: something there is not ours
                folder.rmdir()

    def _check_results(self) -> None:
        for name in self._record["files"]:
            file = self.folder / name
            if file.suffix == ".json" and file.parent == self.folder:
                try:
                    if is_result(read_json(file)):
                        read_result(file)
                except (ValueError, FileNotFoundError) as error:
                    raise ValueError(f"{error}; --restart measures again") from error
