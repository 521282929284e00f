"""Results of whole studies: they are saved in one way, as JSON with the report of its folder."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.result_file import file_stem, write_result
from empathy_geometry.reports.build import Format, report

_NEEDS: dict[Format, str] = {"md": "matplotlib", "html": "jinja2", "pdf": "fpdf"}


class Study(Result):
    """Base of the results of studies; a dataclass with a field `provenance`."""

    provenance: Provenance

    @property
    def study(self) -> str:
        """Name of the study; its file is called after it."""
        raise NotImplementedError(f"{type(self).__name__} has no name")

    def json_content(self) -> dict[str, Any]:
        """Name of the study and every field."""
        return {"study": self.study} | super().json_content()

    def save(self, folder: str | Path) -> Path:
        """Write the result as JSON, such as bandwidth.json, and the report of the whole folder.

        Numbers come first, so that a missing package loses nothing. A format of the report is left out where a package
        that it needs is not installed. A planted result's files begin with "PLANTED_".

        Args:
            folder: Where; made if it is not there.

        Returns:
            The folder.

        Raises:
            ValueError: the folder holds results of the other kind (planted, measured), or damaged ones, so that there
                is no report of it (the JSON is written by then).
        """
        folder = Path(folder)
        write_result(folder / f"{file_stem(self.study, self.provenance.kind)}.json", self)
        there = {package for package in _NEEDS.values() if find_spec(package) is not None}
        report(folder, formats=[f for f, package in _NEEDS.items() if {"matplotlib", package} <= there])
        return folder
