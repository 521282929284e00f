"""Is the held-out score more than chance? Labels rearranged as the design allows, the probe refitted every time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import is_regressor
from torch import Tensor
from tqdm import tqdm

from empathy_geometry.activations.pooled import Activations
from empathy_geometry.evaluation.batched_probes import as_onehot, solvable, solve
from empathy_geometry.evaluation.classification import MISSING, Classification, Missing, classification
from empathy_geometry.evaluation.fold_geometry import FoldGeometry
from empathy_geometry.evaluation.graded_permutation import graded_nulls
from empathy_geometry.evaluation.label_permutations import LabelPermutations, Scheme, label_permutations
from empathy_geometry.evaluation.ranking import one_vs_rest
from empathy_geometry.evaluation.selection import Candidate, fit_and_score
from empathy_geometry.foundation._types import ArrayLike, FloatArray, IntArray, LabelsLike, Layer
from empathy_geometry.foundation._validation import as_generator, check_choice
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.table import Table
from empathy_geometry.texts.splits import Fold

Statistic = Literal["auto", "auroc", "macro_auroc", "accuracy", "d_prime", "spearman", "kendall", "r2"]

_TOLERANCE = 3e-3
"""Of the logistic solver; moves an AUROC of 180 rows by 1.5e-3 at most (benchmarks/permutation.py)."""

_FEWEST_ACCEPTED = 0.02
"""Share of label vectors under which every training part has every class, below which drawing them is given up."""


@dataclass(frozen=True, eq=False)
class PermutationTest(Result):
    """Result of `permutation_test`.

    Attributes:
        statistic: Out-of-fold statistic under the true labels; the largest over layers (and positions) if several.
        pvalue: (b + 1) / (m + 1), b the number of permutations that reach `statistic`.
        null_distribution: The statistic, largest over layers, in each permutation, [n_permutations].
        layer: The layer with the largest statistic.
        layers: All layers.
        layer_statistics: Statistic of each layer under the true labels, the largest over positions.
        layer_pvalues: p of each layer against the distribution of the maximum, so corrected for their number.
        layer_null: Statistic of each layer in each permutation, [layer, n_permutations].
        name: Which statistic.
        scheme: "within", "between" or "within and between" groups.
        n_distinct: Number of different permutations that the design allows; p cannot fall below its inverse.
        n: Number of rows.
        n_groups: Number of groups.
        groups_given: False if the caller said groups=None.
        solver: "batched", or "one by one" for estimators that the batched solvers do not cover.
        seed: Of permutations and folds.
    """

    statistic: float
    pvalue: float
    null_distribution: FloatArray
    layer: Layer
    layers: tuple[Layer, ...]
    layer_statistics: FloatArray
    layer_pvalues: FloatArray
    layer_null: FloatArray
    name: str
    scheme: str
    n_distinct: float
    n: int
    n_groups: int
    groups_given: bool
    solver: str
    seed: int | None = None

    def critical_value(self, level: float = 0.05) -> float:
        """The smallest statistic that would be significant at this level, corrected for the number of layers."""
        reached = np.sort(self.null_distribution)[::-1]
        allowed = int(np.floor(level * (len(reached) + 1))) - 1
        return float("inf") if allowed < 0 else float(reached[allowed])

    def significant_layers(self, level: float = 0.05) -> tuple[Layer, ...]:
        """Layers whose corrected p is at most `level`."""
        return tuple(name for name, p in zip(self.layers, self.layer_pvalues, strict=True) if p <= level)

    def json_content(self) -> dict[str, Any]:
        """Every field; of `layer_null` only its mean per layer, which is smaller by far."""
        fields = super().json_content()
        del fields["layer_null"]
        return fields | {"layer_null_mean": self.layer_null.mean(axis=1)}

    @staticmethod
    def json_fields(content: Mapping[str, Any]) -> dict[str, Any]:
        """The fields from what `to_dict` gave; `layer_null` then has its mean only, as if from one permutation."""
        if "layer_null" in content or "layer_null_mean" not in content:
            return dict(content)
        return {**content, "layer_null": [[mean] for mean in content["layer_null_mean"]]}

    def to_frame(self) -> Any:
        """One row per layer, as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        return pd.DataFrame(
            {
                "layer": self.layers,
                self.name: self.layer_statistics,
                "null_mean": self.layer_null.mean(axis=1),
                "pvalue": self.layer_pvalues,
            }
        )

    def tables(self) -> tuple[Table, ...]:
        """Every layer with its corrected p, the null below."""
        groups = f"{self.n_groups} groups" if self.groups_given else "NO GROUPS (rows taken as independent)"
        over = f", largest of {len(self.layers)} layers (layer {self.layer})" if len(self.layers) > 1 else ""
        notes = [
            f"null: mean {self.null_distribution.mean():.3f}, 95 % point {self.critical_value():.3f}, "
            f"{len(self.null_distribution)} permutations {self.scheme} groups; n = {self.n}, {groups}"
        ]
        if self.n_distinct < 1e4:
            notes.append(f"note: the design allows {self.n_distinct:.0f} permutations; p >= {1 / self.n_distinct:.2g}")
        rows = [
            {"layer": str(name), self.name: value, "null mean": mean, "p (corrected)": f"{p:.3g}"}
            for name, value, mean, p in zip(
                self.layers,
                self.layer_statistics.tolist(),
                self.layer_null.mean(axis=1).tolist(),
                self.layer_pvalues,
                strict=True,
            )
        ]
        return (Table.of(f"{self.name} {self.statistic:.3f}{over}, p = {self.pvalue:.3g}", rows, notes=notes),)


@takes_settings(gone={"cv": "n_splits=...", "n_folds": "n_splits=...", "layer": "layers=[...]"})
def permutation_test(
    probe: Any,
    X: ArrayLike | Activations,
    y: Any = None,
    *,
    groups: LabelsLike | Missing | None = MISSING,
    seed: int = 0,
    n_permutations: int = 1000,
    statistic: Statistic = "auto",
    scheme: Scheme = "auto",
    target: str | None = None,
    positive: object | None = None,
    negative: object | None = None,
    layers: Sequence[Layer] | None = None,
    n_splits: int = 5,
    folds: Sequence[Fold] | None = None,
    chunk_size: int | Literal["auto"] = "auto",
    device: str = "auto",
    progress: bool = True,
) -> PermutationTest:
    """Permutation test of a held-out statistic, the probe refitted in every fold of every permutation.

    With several layers (or positions) the statistic is the largest over them, in the data and in each permutation
    (max-T), so that the p-value pays for the choice. Folds are the same in all permutations.

    All permutations of a fold are solved together for every kind of `Probe` (see `batched_probes`); other
    scikit-learn classifiers are fitted one by one.

    Args:
        probe: A `Probe`, any scikit-learn classifier, or a `RegressionProbe` of a graded target.
        X: [n, d_model], [n, layer, d_model], [n, pos, layer, d_model], or `Activations`.
        y: Class of each row; `Activations` bring their own.
        groups: Scenario of each row; as in `cross_validate`.
        seed: Seed of the permutations and of the folds, which are those of `cross_validate(..., seed=seed)`.
        n_permutations: How many.
        statistic: "auroc" (one-vs-rest macro average for more than two classes), "accuracy" or "d_prime"; of a
            `RegressionProbe` "spearman", "kendall" or "r2". "auto" takes the first of its kind.
        scheme: How labels move; see `label_permutations`.
        target: As in `cross_validate`.
        positive: As in `cross_validate`.
        negative: As in `cross_validate`.
        layers: As in `cross_validate`.
        n_splits: Number of folds.
        folds: Folds to use instead of grouped ones, which are dealt by contents (`grouped_folds`).
        chunk_size: Permutations solved at once; bounds the memory and does not change the result. The permuted labels
            themselves take two bytes a row and permutation.
        device: "auto" (a CUDA device if there is one), or a torch device.
        progress: Show a bar where the run takes longer than two seconds and the terminal can.

    Raises:
        TypeError: groups (or y) are missing for a plain array.
        ValueError: no label can change place, or hardly any permutation leaves every class in every training part.

    Source: Ojala & Garriga (2010), JMLR 11; Westfall & Young (1993) for max-T; Phipson & Smyth (2010) for p.

    Example:
        >>> from empathy_geometry.geometry.probes import Probe
        >>> rng = np.random.default_rng(0)
        >>> X, y, groups = rng.normal(size=(40, 3, 8)), [0, 1] * 20, np.repeat(np.arange(20), 2)
        >>> X[1::2, 2, 0] += 4
        >>> result = permutation_test(Probe("ridge"), X, y, groups=groups, n_permutations=99, seed=0)
        >>> result.pvalue, result.layer, result.scheme
        (0.01, 2, 'within')
    """
    _check_count(n_permutations)
    if is_regressor(probe):
        return _graded(
            probe,
            X,
            y,
            groups=groups,
            target=target,
            statistic="spearman" if statistic == "auto" else statistic,
            scheme=scheme,
            n_permutations=int(n_permutations),
            layers=layers,
            n_splits=n_splits,
            folds=folds,
            seed=seed,
        )
    if target is not None:
        raise TypeError(f"target={target!r} is graded and needs a RegressionProbe; a classifier takes y and positive=")
    statistic = "auroc" if statistic == "auto" else statistic
    check_choice(statistic, "statistic", ("auroc", "macro_auroc", "accuracy", "d_prime"))
    data = classification(X, y, groups=groups, positive=positive, negative=negative, layers=layers)
    if chunk_size != "auto" and (isinstance(chunk_size, bool) or int(chunk_size) < 1):
        raise ValueError(f"chunk_size must be 'auto' or at least 1, got {chunk_size!r}")
    used = data.folds(folds, n_splits=n_splits, seed=seed)
    # Labels move in the order of contents, so that the order of rows does not decide which permutations are drawn.
    allowed = label_permutations(data.codes, groups=data.groups, scheme=scheme, order=data.order)
    # The true labels are the first row, so that they meet exactly what the permuted ones meet.
    drawn = _draw(allowed, n_permutations, used, len(data.classes), as_generator(seed))
    codes = np.concatenate([data.codes[None].astype(np.int16), drawn])
    fits = all(solvable(probe, len(f.train), data.values.shape[-1]) for f in used)
    run = _batched if fits else _one_by_one
    values = run(probe, data, codes, used, statistic, chunk_size, device, progress)
    return _largest(
        values.reshape(data.n_positions, len(data.layers), -1).max(axis=0),
        layers=data.layers,
        name=statistic,
        scheme=allowed.scheme,
        n_distinct=allowed.n_distinct,
        n=data.n,
        n_groups=data.n_groups,
        groups_given=data.groups_given,
        solver="batched" if fits else "one by one",
        seed=seed,
    )


def _largest(by_layer: FloatArray, *, layers: tuple[Layer, ...], **described: Any) -> PermutationTest:
    """The test of the largest statistic over layers; [layer, 1 + permutations], the true labels first."""
    true, null = by_layer[:, 0], by_layer[:, 1:]
    largest = null.max(axis=0)
    reached = (largest >= true[:, None] - 1e-9).sum(axis=1)
    pvalues = (reached + 1) / (null.shape[1] + 1)
    best = int(true.argmax())
    return PermutationTest(
        statistic=float(true[best]),
        pvalue=float(pvalues[best]),
        null_distribution=largest,
        layer=layers[best],
        layers=layers,
        layer_statistics=true,
        layer_pvalues=pvalues,
        layer_null=null,
        **described,
    )


def _check_count(n_permutations: int) -> None:
    if isinstance(n_permutations, bool) or int(n_permutations) < 1:
        raise ValueError(f"n_permutations must be at least 1, got {n_permutations!r}; try 1000")


def _graded(probe: Any, X: Any, y: Any, *, statistic: str, **settings: Any) -> PermutationTest:
    data, by_layer, scheme, n_distinct = graded_nulls(probe, X, y, statistic=statistic, **settings)
    return _largest(
        by_layer,
        layers=data.layers,
        name=statistic,
        scheme=scheme,
        n_distinct=n_distinct,
        n=data.n,
        n_groups=int(next(iter(data.groups.values())).max()) + 1,
        groups_given=data.groups_given,
        solver="batched",
        seed=settings["seed"],
    )


def _draw(
    allowed: LabelPermutations, m: int, folds: Sequence[Fold], n_classes: int, generator: np.random.Generator
) -> npt.NDArray[np.int16]:
    """Label vectors [m, n] under which every training part has every class, each of them equally likely.

    The true labels are one of these, so that leaving the others out keeps the test exact: it is the permutation test
    given that the probe can be fitted in every fold.
    """
    kept: list[npt.NDArray[np.int16]] = []
    found = tried = 0
    while found < m:
        drawn = allowed.draw(max(m - found, 100), generator=generator)
        fits = _fewest_in_training(drawn, folds, n_classes) > 0
        tried, found = tried + len(drawn), found + int(fits.sum())
        kept.append(drawn[fits])
        if found < _FEWEST_ACCEPTED * tried:
            raise ValueError(
                f"the training part of a fold lacks a class under {tried - found} of {tried} permutations: the rarest "
                f"class is in too few groups for {len(folds)} folds; use more folds (n_splits={2 * len(folds)}), "
                f"n_splits as many as there are groups, or more groups of that class"
            )
    return np.concatenate(kept)[:m]


def _fewest_in_training(codes: npt.NDArray[np.int16], folds: Sequence[Fold], n_classes: int) -> IntArray:
    """Rows of the rarest class in the training part where it is rarest, for each label vector, [m]."""
    inside = np.zeros((codes.shape[1], len(folds)), dtype=np.float32)
    for k, fold in enumerate(folds):
        inside[fold.train, k] = 1
    counts = [(codes == c).astype(np.float32) @ inside for c in range(n_classes)]  # whole numbers: BLAS has no others
    fewest: IntArray = np.min(counts, axis=(0, 2)).astype(np.int64)
    return fewest


def _batched(
    probe: Any,
    data: Classification,
    codes: IntArray,
    folds: Sequence[Fold],
    statistic: Statistic,
    chunk_size: int | Literal["auto"],
    device: str,
    progress: bool,
) -> FloatArray:
    """Statistic of each candidate under each label vector, [pos * layer, m]."""
    where = torch.device(_device(device))
    outputs = 1 if data.binary else len(data.classes)
    # About twenty arrays of this shape are alive in the solvers; on a CPU they should fit its cache.
    budget = 2**30 if where.type == "cuda" else 2**24
    size = max(8, budget // (160 * data.n * outputs)) if chunk_size == "auto" else int(chunk_size)
    chunks = [slice(start, start + size) for start in range(0, len(codes), size)]
    candidates = [(pos, layer) for pos in range(data.n_positions) for layer in range(len(data.layers))]
    values = np.empty((len(candidates), len(codes)))
    compact = torch.from_numpy(codes)
    index = [(torch.from_numpy(f.train).to(where), torch.from_numpy(f.test).to(where)) for f in folds]
    bar = tqdm(total=values.size, desc="permutations", unit="fit", delay=2, disable=None if progress else True)
    with bar:
        for i, (pos, layer) in enumerate(candidates):
            rows = torch.as_tensor(data.rows(layer, pos)).to(where)
            geometries = [FoldGeometry.from_rows(rows[train], rows[test], scale=probe.scale) for train, test in index]
            for chunk in chunks:
                labels = compact[chunk].to(where)
                values[i, chunk] = (
                    _statistic(probe, geometries, index, labels, len(data.classes), statistic).cpu().numpy()
                )
                bar.update(len(labels))
    return values


def _statistic(
    probe: Any,
    geometries: Sequence[FoldGeometry],
    index: Sequence[tuple[Tensor, Tensor]],
    labels: Tensor,
    n_classes: int,
    statistic: Statistic,
) -> Tensor:
    onehot = as_onehot(labels, n_classes)
    held_out = [
        solve(probe, geometry, _columns(onehot, train), tolerance=_TOLERANCE)
        for geometry, (train, _) in zip(geometries, index, strict=True)
    ]
    tested = labels.index_select(1, torch.cat([test for _, test in index]))
    if statistic == "accuracy":
        return (torch.cat([s.predicted for s in held_out], dim=1) == tested).double().mean(dim=1)
    scores = torch.cat([s.standardised for s in held_out], dim=2)
    return one_vs_rest(scores, tested, "d_prime" if statistic == "d_prime" else "auroc")


def _columns(onehot: Tensor, rows: Tensor) -> Tensor:
    # numpy takes columns twice as fast on a CPU.
    if onehot.device.type == "cpu":
        return torch.from_numpy(onehot.numpy().take(rows.numpy(), axis=2))
    return onehot.index_select(2, rows)


def _one_by_one(
    probe: Any,
    data: Classification,
    codes: IntArray,
    folds: Sequence[Fold],
    statistic: Statistic,
    chunk_size: int | Literal["auto"],
    device: str,
    progress: bool,
) -> FloatArray:
    values = np.empty((data.n_positions * len(data.layers), len(codes)))
    bar = tqdm(total=values.size, desc="permutations", unit="fit", delay=2, disable=None if progress else True)
    with bar:
        for j, labels in enumerate(codes):
            permuted = replace(data, codes=labels.astype(np.int64))
            for i in range(len(values)):
                pos, layer = divmod(i, len(data.layers))
                scores = np.zeros((1 if data.binary else len(data.classes), data.n))
                predicted = np.zeros(data.n, dtype=np.int64)
                for fold in folds:
                    test, predicted[fold.test] = fit_and_score(probe, permuted, Candidate(pos, layer), fold)
                    scores[:, fold.test] = test.T
                if statistic == "accuracy":
                    values[i, j] = (predicted == labels).mean()
                else:
                    name = "d_prime" if statistic == "d_prime" else "auroc"
                    value = one_vs_rest(torch.from_numpy(scores)[None], torch.from_numpy(labels)[None], name)
                    values[i, j] = float(value[0])
                bar.update()
    return values


def _device(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device
