"""How well a sparse autoencoder gives rows back, and how many features that takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.sae.autoencoder import SparseAutoencoder

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Reconstruction(Result):
    """Quality of a sparse autoencoder on rows.

    Attributes:
        explained: 1 - sum |x - x_hat|^2 / sum |x - mean|^2; below 0 where the mean would do better.
        l0: Features that fire on a row, on average.
        frequency: Share of rows on which each feature fires, [d_sae].
        n: Rows.
    """

    explained: float
    l0: float
    frequency: Float[Tensor, " d_sae"]
    n: int

    @property
    def dead(self) -> int:
        """Features that fire on no row."""
        return int((self.frequency == 0).sum())

    def json_content(self) -> dict[str, Any]:
        """The numbers without the feature-wise frequencies."""
        fields = super().json_content()
        return fields | {"dead": self.dead, "d_sae": len(fields.pop("frequency"))}

    @staticmethod
    def json_fields(content: Mapping[str, Any]) -> dict[str, Any]:
        """The fields from what `to_dict` gave; of the frequencies only those that are 0 are known, the rest is NaN."""
        if "frequency" in content:
            return dict(content)
        unknown = content["d_sae"] - content["dead"]
        return {**content, "frequency": [0.0] * content["dead"] + [None] * unknown}

    @property
    def summary(self) -> str:
        """All of it in a line."""
        return (
            f"explained variance {self.explained:.3f}, L0 {self.l0:.1f}, {self.dead} of {len(self.frequency)} "
            f"features silent on {self.n} tokens"
        )

    def tables(self) -> tuple[Table, ...]:
        """One row."""
        row = {"explained variance": self.explained, "L0": self.l0, "silent features": self.dead, "tokens": self.n}
        return (Table.of(self.summary, [row]),)


class ReconstructionSums:
    """Adds rows up batch by batch, so that they need not be held."""

    def __init__(self, d_sae: int, d_model: int) -> None:
        self.fired = torch.zeros(d_sae, dtype=torch.float64)
        self.total = torch.zeros(d_model, dtype=torch.float64)
        self.squares = self.errors = 0.0
        self.n = 0

    def add(self, rows: Tensor, features: Tensor, decoded: Tensor) -> None:
        """Take in rows [n, d_model], their features [n, d_sae] and what was decoded from these."""
        x = rows.double()
        self.fired += (features > 0).sum(dim=0)
        self.total += x.sum(dim=0)
        self.squares += float(x.square().sum())
        self.errors += float((x - decoded.double()).square().sum())
        self.n += len(rows)

    def result(self) -> Reconstruction:
        """What all rows gave.

        Raises:
            ValueError: there were no rows.
        """
        if self.n == 0:
            raise ValueError("there are no rows to reconstruct")
        variance = self.squares - float(self.total.square().sum()) / self.n
        explained = 1 - self.errors / variance if variance > 0 else float("nan")
        frequency = self.fired / self.n
        return Reconstruction(explained, float(frequency.sum()), frequency, self.n)


def reconstruction(sae: SparseAutoencoder, rows: Float[Tensor, "n d_model"]) -> Reconstruction:
    """Explained variance, sparsity and firing rates of an SAE on rows, such as tokens of held-out texts.

    Args:
        sae: From `load_sae` or `train_sae`.
        rows: One token each; leave massive activations out, they alone make the explained variance look good.

    Raises:
        ValueError: no rows, or another width.

    Example:
        >>> decoder = torch.eye(2)
        >>> toy = SparseAutoencoder(decoder, lambda x: x.relu(), lambda f: f @ decoder)
        >>> found = reconstruction(toy, torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
        >>> found.explained, found.l0
        (1.0, 1.0)
    """
    sums = ReconstructionSums(sae.d_sae, sae.d_model)
    for part in torch.split(rows, _ROWS_AT_ONCE):
        features = sae.encode(part)
        sums.add(part.cpu(), features, sae.decode(features))
    return sums.result()
