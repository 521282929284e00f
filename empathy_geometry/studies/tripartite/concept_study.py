"""`concept_study`: the same study by the name that fits any concept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from empathy_geometry.activations.positions import Position
from empathy_geometry.causal.design import CausalDesign
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.studies.tripartite.result import Tripartite
from empathy_geometry.studies.tripartite.study import tripartite
from empathy_geometry.texts.labeled_texts import LabeledTexts


@takes_settings()
def concept_study(
    model: HookedModel,
    texts: LabeledTexts,
    *,
    classes: Sequence[str] | None = None,
    formality: LabeledTexts | None = None,
    layer: Layer | Literal["nested"] = "nested",
    position: Position = "response_mean",
    n_permutations: int = 500,
    sections: Literal["all"] | Sequence[str] = "all",
    random_weights: bool = True,
    causal: bool = True,
    causal_design: CausalDesign = CausalDesign(),  # noqa: B008 - immutable
    folder: str | Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Tripartite:
    """Test whether a model holds two or more classes of your own texts apart, beside what words and chance give.

    The tests of `tripartite` that make sense for any concept: classification (pairs and all at once, nested layer,
    permutation test), formality erased, length regressed out, quarters of the text (where texts have four words and
    more), emergence over layers, clusters, agreement of probes, cosines beside their floor, shuffled labels, random
    weights, causal effects. Texts of the three kinds of empathy get the whole of `tripartite`.

    Args:
        model: HookedTransformer or TransformerBridge.
        texts: Scenarios with a text of each class, 12 at least; `LabeledTexts.from_jsonl`, `from_json` and `from_csv`
            read them. Two texts of one scenario should differ in the concept only.
        classes: Which classes are studied; None takes all. A class "neutral" that is not among them serves for cosines.
        formality: "formal" and "casual" texts in pairs; None takes the packaged ones.
        layer: As in `tripartite`, and so the arguments below.
        position: Which tokens are read.
        n_permutations: Of each permutation test.
        sections: Names of sections to run, or "all" that these texts allow.
        random_weights: Whether to run the random-weights control.
        causal: Whether to run the causal section, by far the longest.
        causal_design: How the causal section tests.
        folder: Where activations and finished sections are kept.
        seed: Of every random choice.
        progress: Show bars.

    Returns:
        A `Tripartite`; print it for the table, `.left_out` says what was not asked and why, `.save(folder)` writes
        concept_study.json and the report of the folder.

    Raises:
        TypeError: not a hooked model, or texts are not `LabeledTexts`.
        ValueError: as `tripartite`.

    Example:
        >>> texts = eg.LabeledTexts.from_jsonl("mine.jsonl")  # doctest: +SKIP
        >>> print(concept_study(eg.load_model(), texts, folder="runs/mine"))  # doctest: +SKIP
    """
    if not isinstance(texts, LabeledTexts):
        raise TypeError(f"texts must be LabeledTexts, got {type(texts).__name__}; try LabeledTexts.from_jsonl(path)")
    return tripartite(
        model,
        texts,
        classes=classes,
        formality=formality,
        layer=layer,
        position=position,
        n_permutations=n_permutations,
        sections=sections,
        random_weights=random_weights,
        causal=causal,
        causal_design=causal_design,
        folder=folder,
        seed=seed,
        progress=progress,
    )
