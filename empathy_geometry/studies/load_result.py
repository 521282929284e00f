"""Results of studies read back from their JSON files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from empathy_geometry.causal.result import CausalEffects
from empathy_geometry.foundation.json_codec import to_json, unpack
from empathy_geometry.foundation.provenance import Provenance
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.result_file import naming, read_result, title
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.table import Table
from empathy_geometry.reports.generic_tables import estimates_table
from empathy_geometry.sae.agreement_result import SaeAgreement
from empathy_geometry.studies.bandwidth import Bandwidth
from empathy_geometry.studies.compare import Comparison
from empathy_geometry.studies.depth_profile import DepthProfile
from empathy_geometry.studies.frozen_readings import HumanTruth
from empathy_geometry.studies.planted_study import PlantedRun
from empathy_geometry.studies.tripartite.result import Tripartite

Loaded = Bandwidth | Tripartite | Comparison | DepthProfile | PlantedRun | HumanTruth | CausalEffects | SaeAgreement

_TYPES: dict[str, type[Loaded]] = {
    kind.__name__: kind
    for kind in (Bandwidth, Tripartite, Comparison, DepthProfile, PlantedRun, HumanTruth, CausalEffects, SaeAgreement)
}


@dataclass(frozen=True, eq=False)
class SavedResult(Result):
    """A result whose file does not hold everything that its class needs: what was written, as it was written.

    Attributes:
        type: Name of its class; "" in a file that does not say.
        content: What its `to_dict()` gave.
        shown: Its tables, where the file has them.
    """

    type: str
    content: Mapping[str, Any]
    shown: tuple[Table, ...] = ()

    @property
    def study(self) -> str:
        """What was studied."""
        return str(self.content["study"])

    @property
    def provenance(self) -> Provenance:
        """Where every number came from."""
        return unpack(Provenance, self.content["provenance"])

    def to_dict(self) -> dict[str, Any]:
        """Everything, as it was written."""
        return dict(self.content)

    def tables(self) -> tuple[Table, ...]:
        """Those of the file, else every estimate in it."""
        if self.shown:
            return self.shown
        heading = title(f"{self.study.replace('_', ' ')}, read from its file", self.content["provenance"]["kind"])
        return (replace(estimates_table(self.content), title=heading, appendix=False),)


@takes_settings()
def load_result(path: str | Path, *, unsigned: bool = False) -> Loaded | SavedResult:
    """A result from the JSON file that its `save(folder)` wrote, checked against its checksum.

    Args:
        path: Such as "results/bandwidth.json".
        unsigned: Also read a file without a checksum: one made by hand, or by a version that wrote none.

    Returns:
        The object that was saved: its `to_dict()` gives what it gave then, its tables and figures are the same (of a
        permutation test's null at each layer only the mean is kept). A file of an unknown class, or of version 0.1
        with an SAE agreement in it, gives a `SavedResult`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, unsigned, or no result of this library; names the file.

    Example:
        >>> print(load_result("results/bandwidth.json"))  # doctest: +SKIP
    """
    content = read_result(path, unsigned=unsigned)
    name = content.get("type", "")
    content.pop("version", None)
    kind = _TYPES.get(name) if isinstance(name, str) else None
    with naming(path):
        tables = tuple(map(Table.from_dict, content.pop("tables", ())))
    # Version 0.1 kept less of an SAE agreement than its class holds.
    if kind is None or (kind is Bandwidth and content.get("sae") and "type" not in content["sae"]):
        return SavedResult(str(name), content, tables)
    with naming(path, name):
        made = unpack(kind, content)
        if unsigned:
            # What was made by hand may fit its fields and yet not itself.
            made.tables()
            to_json(made)
    return made
