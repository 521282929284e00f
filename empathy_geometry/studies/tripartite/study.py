"""`concept_study`, every test on classes of any kind, and `tripartite`, the same on three kinds of empathy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from empathy_geometry import datasets
from empathy_geometry.activations.positions import Position, check_position
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.models.hooked_model import HookedModel, hook_name
from empathy_geometry.studies.tripartite.causal import causal, causal_contrasts
from empathy_geometry.studies.tripartite.design import ConceptDesign
from empathy_geometry.studies.tripartite.left_out import left_out
from empathy_geometry.studies.tripartite.result import Tripartite
from empathy_geometry.studies.tripartite.run import chosen_sections, run_sections
from empathy_geometry.studies.tripartite.sets import ControlTexts, study_texts
from empathy_geometry.studies.tripartite.setup import Setup
from empathy_geometry.studies.tripartite.source import ModelSource
from empathy_geometry.studies.tripartite.subject import TYPES
from empathy_geometry.texts.labeled_texts import LabeledTexts

_GONE = {
    "random_weights": "design=ConceptDesign(without=['random_weights'])",
    "causal_design": "design=ConceptDesign(causal=CausalDesign(...))",
    "causal": "design=ConceptDesign(without=['causal'])",
}


def _design_of_before(given: dict[str, Any], old: dict[str, Any]) -> None:
    """What to run, as it was said by keywords of its own, put among the settings of a design."""
    without = [name for name in ("causal", "random_weights") if old.pop(name, True) is False]
    own: dict[str, Any] = {name: old.pop(name) for name in ("sections", "n_permutations", "without") if name in old}
    if "causal_design" in old:
        own["causal"] = old.pop("causal_design")
    if without:
        own["without"] = [*own.get("without", ()), *without]
    if own and "design" in given:
        raise TypeError(f"got {sorted(own)} beside design=; write design=ConceptDesign(...) with all of them")
    if own:
        given["design"] = ConceptDesign(**own)


@takes_settings(design=ConceptDesign, controls=ControlTexts, gone=_GONE, adapt=_design_of_before)
def concept_study(
    model: HookedModel,
    texts: LabeledTexts,
    *,
    classes: Sequence[str] | None = None,
    controls: ControlTexts = ControlTexts(),  # noqa: B008 - immutable
    layer: Layer | Literal["nested"] = "nested",
    position: Position = "response_mean",
    design: ConceptDesign = ConceptDesign(),  # noqa: B008 - immutable
    folder: str | Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Tripartite:
    """Test whether a model holds two or more classes of texts apart, beside what words and chance give.

    Sections: classification (pairs and all at once, nested layer, permutation test), formality erased, length regressed
    out, quarters of the text, emergence over layers, clusters, agreement of probes, cosines beside their floor,
    shuffled labels, random weights, causal effects. Texts of the three kinds of empathy go through those about empathy,
    too (see `tripartite`); what was left out, and why, stands in `.left_out`.

    Args:
        model: HookedTransformer or TransformerBridge.
        texts: Scenarios with a text of each class, 12 at least; `LabeledTexts.from_jsonl`, `from_json` and `from_csv`
            read them. Two texts of one scenario should differ in the concept only.
        classes: Which classes are studied; None takes the three kinds of empathy where the texts have them, otherwise
            all. A class "neutral" that is not among them serves for cosines.
        controls: Texts that the classes are held against; those that are not given are packaged.
        layer: Where single-layer analyses read; "nested" takes the layer that most training folds of the
            classification of all classes chose.
        position: Which tokens are read, where a section does not ask about positions.
        design: Which sections, how many permutations, how the causal section tests.
        folder: Where activations and finished sections are kept. A call with the same arguments takes up what is
            there, after an interruption too; one with other arguments, texts or weights is refused.
        seed: Of every random choice.
        progress: Show bars (never when the output is not a terminal).

    Returns:
        A `Tripartite`; print it for the table, `.save(folder)` for JSON and the report of the folder.

    Raises:
        TypeError: not a hooked model, or texts are not `LabeledTexts`.
        ValueError: a set lacks a class, has fewer than 12 scenarios or incomplete ones, a set or a section for empathy
            with other classes, an unknown layer or position, or a folder that holds another run.

    Example:
        >>> texts = eg.LabeledTexts.from_jsonl("mine.jsonl")  # doctest: +SKIP
        >>> print(concept_study(eg.load_model(), texts, folder="runs/mine"))  # doctest: +SKIP
    """
    sets = study_texts(texts, controls, classes)
    without = left_out(sets)
    check_position(position)
    place = None if folder is None else Path(folder)
    source = ModelSource(model, None if place is None else place / "activations", seed=seed, progress=progress)
    if layer != "nested":
        hook_name(model, layer)
    setup = Setup(source, sets, position, design.n_permutations, seed, progress, None if layer == "nested" else layer)
    setup.causal_design = design.causal
    chosen = chosen_sections(design.sections, without, design.without)
    if "causal" not in design.without and (design.sections == "all" or "causal" in design.sections):
        design.causal.check_directions(causal_contrasts(sets.subject))
        chosen["causal"] = lambda s: causal(s, design.causal)
    return run_sections(setup, chosen, place, without if design.sections == "all" else {})


@takes_settings(
    design=ConceptDesign,
    controls=ControlTexts,
    gone=_GONE | {"classes": "concept_study(..., classes=...)"},
    adapt=_design_of_before,
)
def tripartite(
    model: HookedModel,
    texts: LabeledTexts | None = None,
    *,
    controls: ControlTexts = ControlTexts(),  # noqa: B008 - immutable
    layer: Layer | Literal["nested"] = "nested",
    position: Position = "response_mean",
    design: ConceptDesign = ConceptDesign(),  # noqa: B008 - immutable
    folder: str | Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Tripartite:
    """Test the claim that a model holds three kinds of empathy apart, beside what words alone and chance give.

    `concept_study` of "cognitive", "affective" and "instrumental" responses, with the sections that ask about empathy:
    against emotion (crossed design, linear erasure), valence erased, controls without empathy and without valence,
    transfer between languages, matched triplets.

    Args:
        model: HookedTransformer or TransformerBridge.
        texts: Scenarios with the three responses (and "neutral" ones, if there are); None takes the packaged triplets.
            `LabeledTexts.from_json` reads the reference study's layout.
        controls: As in `concept_study`, and so the arguments below.
        layer: Where single-layer analyses read.
        position: Which tokens are read.
        design: Which sections, how many permutations, how the causal section tests.
        folder: Where activations and finished sections are kept.
        seed: Of every random choice.
        progress: Show bars.

    Returns:
        A `Tripartite`; print it for the table, `.save(folder)` for JSON and the report of the folder.

    Raises:
        TypeError: as `concept_study`.
        ValueError: as `concept_study`, or the texts lack one of the three classes.

    Source: Santarcangelo (2026) for the claims; docs/methods.md for each estimator.

    Example:
        >>> result = tripartite(eg.load_model(), folder="runs/tripartite")  # doctest: +SKIP
    """
    return concept_study(
        model,
        datasets.empathy_triplets() if texts is None else texts,
        classes=TYPES,
        controls=controls,
        layer=layer,
        position=position,
        design=design,
        folder=folder,
        seed=seed,
        progress=progress,
    )
