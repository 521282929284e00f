"""`tripartite`: every test of the reference study, on three kinds of empathy or any other classes."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from tqdm.auto import tqdm

from empathy_geometry.activations.positions import Position, check_position, position_name
from empathy_geometry.causal.design import CausalDesign
from empathy_geometry.foundation._types import Layer
from empathy_geometry.foundation.checked_json import content_sha256
from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.foundation.provenance import Provenance, package_versions
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.models.hooked_model import HookedModel, hook_name
from empathy_geometry.studies.step_store import StepStore
from empathy_geometry.studies.tripartite.agreement import agreement
from empathy_geometry.studies.tripartite.causal import causal as causal_section
from empathy_geometry.studies.tripartite.causal import causal_contrasts
from empathy_geometry.studies.tripartite.classification import classification
from empathy_geometry.studies.tripartite.clusters import clusters
from empathy_geometry.studies.tripartite.controls import controls
from empathy_geometry.studies.tripartite.cosines import cosines
from empathy_geometry.studies.tripartite.elsewhere import formality, valence
from empathy_geometry.studies.tripartite.emergence import emergence
from empathy_geometry.studies.tripartite.emotion import emotion
from empathy_geometry.studies.tripartite.languages import languages
from empathy_geometry.studies.tripartite.left_out import left_out
from empathy_geometry.studies.tripartite.length import length
from empathy_geometry.studies.tripartite.matched import matched
from empathy_geometry.studies.tripartite.nulls import random_weights as random_section
from empathy_geometry.studies.tripartite.nulls import shuffled
from empathy_geometry.studies.tripartite.quartiles import quartiles
from empathy_geometry.studies.tripartite.result import Tripartite
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.sets import study_texts
from empathy_geometry.studies.tripartite.setup import Setup
from empathy_geometry.studies.tripartite.source import ModelSource
from empathy_geometry.texts.labeled_texts import LabeledTexts

# The first one chooses the layer of the others.
SECTIONS: Mapping[str, Callable[[Setup], Section]] = MappingProxyType(
    {
        "classification": classification,
        "emotion": emotion,
        "formality": formality,
        "valence": valence,
        "length": length,
        "quartiles": quartiles,
        "emergence": emergence,
        "controls": controls,
        "clusters": clusters,
        "agreement": agreement,
        "cosines": cosines,
        "languages": languages,
        "matched": matched,
        "shuffled_labels": shuffled,
        "random_weights": random_section,
    }
)

_FEWEST_PERMUTATIONS = 19


@takes_settings()
def tripartite(
    model: HookedModel,
    texts: LabeledTexts | None = None,
    *,
    classes: Sequence[str] | None = None,
    valence_stripped: LabeledTexts | None = None,
    non_empathy: LabeledTexts | None = None,
    emotion: LabeledTexts | None = None,
    formality: LabeledTexts | None = None,
    matched: LabeledTexts | None = None,
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
    """Test the claim that a model holds three kinds of empathy apart, beside what words alone and chance give.

    Sections: classification (pairs and three-way, nested layer, permutation test), empathy against emotion (crossed
    design, linear erasure), formality and valence (erased as other texts show them), length, quarters of the response,
    emergence over layers, controls without empathy and without valence, clusters, agreement of probes, cosines beside
    their floor, transfer between languages, matched triplets, shuffled labels, random weights, causal effects.

    Texts of other classes, two or more, go through every section that is not about empathy; what was left out, and
    why, stands in `.left_out`. `concept_study` is this function by a name that fits them.

    Args:
        model: HookedTransformer or TransformerBridge.
        texts: Scenarios with "cognitive", "affective" and "instrumental" responses (and "neutral" ones, if there are);
            None takes the packaged triplets. `LabeledTexts.from_json` reads the reference study's layout. Or scenarios
            with a text of each of other classes.
        classes: Which classes are studied; None takes the three kinds of empathy where the texts have them, otherwise
            all. A class "neutral" that is not among them serves for cosines.
        valence_stripped: Three classes of responses without valence; None takes the packaged set, as below.
        non_empathy: Three classes of responses that concern nobody.
        emotion: Statements of "joy", "sadness", "anger", "fear" and "calm".
        formality: "formal" and "casual" texts in pairs.
        matched: Triplets of nearly the same words.
        layer: Where single-layer analyses read; "nested" takes the layer that most training folds of the three-way
            classification chose.
        position: Which tokens are read, where a section does not ask about positions.
        n_permutations: Of each permutation test.
        sections: Names of sections to run, as in `SECTIONS`, or "all" that these texts allow; the first,
            "classification", is always there.
        random_weights: Whether to run the random-weights control, which extracts once more.
        causal: Whether to run the causal section, by far the longest.
        causal_design: How the causal section tests, and on which prompts, with which markers and prompt baselines.
        folder: Where activations and finished sections are kept. A call with the same arguments takes up what is
            there, after an interruption too; one with other arguments, texts or weights is refused.
        seed: Of every random choice.
        progress: Show bars (never when the output is not a terminal).

    Returns:
        A `Tripartite`; print it for the table, `.save(folder)` for JSON, Markdown and figures.

    Raises:
        TypeError: not a hooked model, or texts are not `LabeledTexts`.
        ValueError: a set lacks a class, has fewer than 12 scenarios or incomplete ones, a set or a section for empathy
            with other classes, an unknown layer or position, or a folder that holds another run.

    Source: Santarcangelo (2026) for the claims; docs/methods.md for each estimator.

    Example:
        >>> result = tripartite(eg.load_model(), folder="runs/tripartite")  # doctest: +SKIP
    """
    given = {
        "valence_stripped": valence_stripped,
        "non_empathy": non_empathy,
        "emotion": emotion,
        "formality": formality,
        "matched": matched,
    }
    sets = study_texts(texts, given, classes)
    without = left_out(sets)
    check_position(position)
    if isinstance(n_permutations, bool) or int(n_permutations) < _FEWEST_PERMUTATIONS:
        raise ValueError(
            f"n_permutations must be at least {_FEWEST_PERMUTATIONS}, so that p can reach 0.05, got {n_permutations!r}"
        )
    place = None if folder is None else Path(folder)
    if not isinstance(causal_design, CausalDesign):
        raise TypeError(f"causal_design must be a CausalDesign, got {type(causal_design).__name__}")
    source = ModelSource(model, None if place is None else place / "activations", seed=seed, progress=progress)
    if layer != "nested":
        hook_name(model, layer)
    setup = Setup(source, sets, position, n_permutations, seed, progress, None if layer == "nested" else layer)
    setup.causal_design = causal_design
    chosen = chosen_sections(sections, without)
    if not random_weights:
        chosen.pop("random_weights", None)
    if causal and (sections == "all" or "causal" in sections):
        causal_design.check_directions(causal_contrasts(sets.subject))
        chosen["causal"] = lambda s: causal_section(s, causal_design)
    return run_sections(setup, chosen, place, without if sections == "all" else {})


def chosen_sections(
    names: Literal["all"] | Sequence[str], without: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Callable[[Setup], Section]]:
    """Sections by name, in their own order; the first chooses the layer and is always there.

    Args:
        names: "all", or some.
        without: Sections that cannot be run, with the reason.

    Raises:
        ValueError: an unknown name, or one that cannot be run.

    Example:
        >>> list(chosen_sections(["length"]))
        ['classification', 'length']
    """
    if isinstance(names, str) and names == "all":
        return {name: run for name, run in SECTIONS.items() if name not in without}
    unknown = sorted(set(names) - {*SECTIONS, "causal"})
    if isinstance(names, str) or unknown:
        raise ValueError(f"sections must be 'all' or some of {[*SECTIONS, 'causal']}, got {names!r}")
    impossible = [name for name in names if name in without]
    if impossible:
        raise ValueError(f"{'; '.join(f'section {n!r} cannot be run: {without[n]}' for n in impossible)}. Leave it out")
    return {name: run for name, run in SECTIONS.items() if name in names or name == "classification"}


def run_sections(
    setup: Setup,
    sections: Mapping[str, Callable[[Setup], Section]],
    folder: Path | None,
    without: Mapping[str, str] = MappingProxyType({}),
) -> Tripartite:
    """Run what is not in the folder yet, section by section.

    Args:
        setup: Texts, activations and settings.
        sections: What to run, by name.
        folder: Where finished sections are kept.
        without: What is left out, with the reason.

    Raises:
        ValueError: the folder holds another run.
    """
    choice = "nested" if setup.layer is None else "given"
    settings: dict[str, Any] = {
        "position": position_name(setup.position),
        "layer": "nested" if setup.layer is None else setup.layer,
        "n_permutations": setup.n_permutations,
        "probe": "logistic",
    }
    if not setup.subject.is_empathy:
        settings["classes"] = list(setup.subject.classes)
    model = setup.source.identity()
    # What changes the last bits at most does not keep a run from being taken up.
    fixed = {k: v for k, v in model.items() if k != "device"}
    identity = {
        "kind": setup.source.kind,
        "model": fixed,
        "texts": setup.texts.hashes(),
        "settings": settings,
        "seed": setup.seed,
        "versions": package_versions(),
    }
    setup.steps = StepStore(folder, identity)
    done: list[Section] = []
    bar = tqdm(sections.items(), desc=setup.subject.study, unit="section", disable=None if setup.progress else True)
    for name, run in bar:
        bar.set_postfix_str(name)
        # No other section depends on how the causal one tests: its design belongs to its name, not to the run.
        kept_as = name
        if name == "causal" and setup.causal_design is not None:
            kept_as = f"causal, design {content_sha256(to_json(setup.causal_design))[:8]}"
        section = setup.steps.keep(kept_as, Section, lambda run=run: _timed(run, setup))  # type: ignore[misc]
        if name == "classification" and setup.layer is None:
            setup.layer = section.numbers["layer"]
        done.append(section)
    return Tripartite(
        sections=tuple(done),
        layer=setup.at,
        layer_choice=choice,
        provenance=Provenance(
            setup.source.kind,
            model=model,
            texts=setup.texts.hashes(),
            seed=setup.seed,
            settings=settings
            | {"torch_threads": torch.get_num_threads(), "seconds": {s.name: round(s.seconds, 1) for s in done}},
        ),
        classes=setup.subject.classes,
        left_out=dict(without),
    )


def _timed(run: Callable[[Setup], Section], setup: Setup) -> Section:
    began = time.perf_counter()
    section = run(setup)
    return replace(section, seconds=time.perf_counter() - began)
