"""How a sparse autoencoder is trained, and how its agreement with a concept is measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.foundation.settings import Settings, check_count
from empathy_geometry.sae.sparse_probing import SPARSITIES

Architecture = Literal["topk", "batchtopk", "standard"]
ARCHITECTURES: tuple[Architecture, ...] = ("topk", "batchtopk", "standard")


@dataclass(frozen=True)
class SaeDesign(Settings):
    """Settings of the training of a sparse autoencoder.

    Attributes:
        d_sae: Number of features; None is `expansion` x d_model.
        expansion: See `d_sae`.
        architecture: "topk" (the k largest of each token; the same in training and use), "batchtopk" (k a token on
            average; used as a JumpReLU with the mean threshold) or "standard" (ReLU with an L1 penalty).
        k: Features that fire per token, for "topk" and "batchtopk".
        l1_coefficient: Weight of the penalty of "standard".
        n_steps: Optimiser steps. 2,000 of 256 tokens with 2,304 features take about two minutes on two cores.
        batch_size: Tokens a step.
        learning_rate: Of Adam.
        held_out: Share of the scenarios kept out of training, for the explained variance.

    Raises:
        TypeError: a name that is no setting, or a count that is no whole number.
        ValueError: an unknown architecture, a count below 1, a rate or penalty below 0, or a share outside [0, 1).

    Example:
        >>> SaeDesign(architecture="standard").n_steps
        2000
    """

    d_sae: int | None = None
    expansion: int = 4
    architecture: Architecture = "topk"
    k: int = 32
    l1_coefficient: float = 1.0
    n_steps: int = 2000
    batch_size: int = 256
    learning_rate: float = 1e-3
    held_out: float = 0.1

    def __post_init__(self) -> None:
        check_choice(self.architecture, "architecture", ARCHITECTURES)
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out must lie in [0, 1), got {self.held_out}")
        for name in ("n_steps", "batch_size", "k", "expansion", *(() if self.d_sae is None else ("d_sae",))):
            check_count(getattr(self, name), name, 1)
        if not self.learning_rate > 0 or not self.l1_coefficient >= 0:
            raise ValueError(
                f"learning_rate must be above 0 and l1_coefficient 0 or more, got {self.learning_rate} and "
                f"{self.l1_coefficient}"
            )


@dataclass(frozen=True)
class AgreementDesign(Settings):
    """Settings of `sae_agreement`.

    Attributes:
        n_features: Features behind the headline agreement.
        rank: Of the subspace of paired differences.
        ks: Numbers of features of the sparse probes.
        n_splits: Folds of the probes, and random halves of the agreement.
        n_draws: Draws of each null.

    Raises:
        TypeError: a name that is no setting, or a count that is no whole number.
        ValueError: too small a count.

    Example:
        >>> AgreementDesign(n_draws=99).n_features
        16
    """

    n_features: int = 16
    rank: int = 4
    ks: Sequence[int] = SPARSITIES
    n_splits: int = 5
    n_draws: int = 199

    def __post_init__(self) -> None:
        for name, least in (("n_features", 1), ("rank", 1), ("n_splits", 2), ("n_draws", 1)):
            check_count(getattr(self, name), name, least)
        for k in self.ks:
            check_count(k, "every one of ks", 1)
