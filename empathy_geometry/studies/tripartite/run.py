"""The sections of a study, by name, and how they are run one after the other."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from tqdm.auto import tqdm

from empathy_geometry.activations.positions import position_name
from empathy_geometry.foundation.checked_json import content_sha256
from empathy_geometry.foundation.json_codec import to_json
from empathy_geometry.foundation.provenance import Provenance, package_versions
from empathy_geometry.studies.step_store import StepStore
from empathy_geometry.studies.tripartite.agreement import agreement
from empathy_geometry.studies.tripartite.classification import classification
from empathy_geometry.studies.tripartite.clusters import clusters
from empathy_geometry.studies.tripartite.controls import controls
from empathy_geometry.studies.tripartite.cosines import cosines
from empathy_geometry.studies.tripartite.elsewhere import formality, valence
from empathy_geometry.studies.tripartite.emergence import emergence
from empathy_geometry.studies.tripartite.emotion import emotion
from empathy_geometry.studies.tripartite.languages import languages
from empathy_geometry.studies.tripartite.length import length
from empathy_geometry.studies.tripartite.matched import matched
from empathy_geometry.studies.tripartite.nulls import random_weights as random_section
from empathy_geometry.studies.tripartite.nulls import shuffled
from empathy_geometry.studies.tripartite.quartiles import quartiles
from empathy_geometry.studies.tripartite.result import Tripartite
from empathy_geometry.studies.tripartite.section import Section
from empathy_geometry.studies.tripartite.setup import Setup

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


def chosen_sections(
    names: Literal["all"] | Sequence[str],
    impossible: Mapping[str, str] = MappingProxyType({}),
    unwanted: Sequence[str] = (),
) -> dict[str, Callable[[Setup], Section]]:
    """Sections by name, in their own order; the first chooses the layer and is always there.

    Args:
        names: "all", or some.
        impossible: Sections that cannot be run, with the reason.
        unwanted: Sections to leave out.

    Raises:
        ValueError: an unknown name, one that cannot be run, or the first left out.

    Example:
        >>> list(chosen_sections(["length"]))
        ['classification', 'length']
    """
    known = [*SECTIONS, "causal"]
    asked = known if isinstance(names, str) and names == "all" else names
    if isinstance(asked, str) or set(asked) - set(known):
        raise ValueError(f"sections must be 'all' or some of {known}, got {names!r}")
    if "classification" in unwanted or set(unwanted) - set(known):
        raise ValueError(f"without must be some of {known[1:]}, got {list(unwanted)}")
    refused = [name for name in asked if name in impossible and asked is not known and name not in unwanted]
    if refused:
        raise ValueError(f"{'; '.join(f'section {n!r} cannot be run: {impossible[n]}' for n in refused)}. Leave it out")
    wanted = {"classification", *asked} - set(impossible) - set(unwanted)
    return {name: run for name, run in SECTIONS.items() if name in wanted}


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
