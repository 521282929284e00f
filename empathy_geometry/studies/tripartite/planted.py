"""The whole study on planted activations: what it says where the truth is known. Never a measurement."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from empathy_geometry import datasets
from empathy_geometry.activations.pooled import Activations
from empathy_geometry.activations.positions import Position, position_name
from empathy_geometry.evaluation.label_permutations import label_permutations
from empathy_geometry.foundation._types import FloatArray, IntArray, Layer
from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.foundation.layers import depth
from empathy_geometry.foundation.provenance import Kind, hash_texts
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.studies.tripartite.left_out import left_out
from empathy_geometry.studies.tripartite.result import Tripartite
from empathy_geometry.studies.tripartite.run import chosen_sections, run_sections
from empathy_geometry.studies.tripartite.sets import EmpathyTexts, StudyTexts
from empathy_geometry.studies.tripartite.setup import Setup
from empathy_geometry.studies.tripartite.subject import TYPES, Subject
from empathy_geometry.texts.labeled_texts import LabeledTexts

_OTHERS = ("formal", "calm", "joy")
"""Classes with a direction of their own beside those that are studied; others have none, and emotions other than calm
share one."""

_WORDS = 120
"""Size of the vocabulary of the planted texts, which say nothing of the classes."""


def planted_tripartite(
    *,
    classes: Sequence[str] = TYPES,
    effect: float = 4.0,
    labels: Literal["true", "shuffled"] = "true",
    n_scenarios: int = 40,
    n_layers: int = 4,
    d_model: int = 48,
    n_permutations: int = 199,
    sections: Literal["all"] | Sequence[str] = "all",
    folder: str | Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Tripartite:
    """Run the study on activations in which the classes are directions, from block 1 on, and on random words.

    Planted: each class, formality and emotion have directions of their own, orthogonal to each other; control sets have
    none; random weights show nothing. So the classes are told apart beyond words, in every language and set, and do not
    rest on formality, valence, emotion or length. With shuffled labels nothing of this is there to be found.

    Args:
        classes: What is studied; other classes than the three kinds of empathy go through the sections that fit them.
        effect: Length of each direction, in standard deviations of the noise.
        labels: "shuffled" exchanges the labels of the texts (for empathy also matched and in all languages) within
            scenarios, after planting.
        n_scenarios: Scenarios of each set at most.
        n_layers: Blocks.
        d_model: Width.
        n_permutations: Of each permutation test.
        sections: As in `tripartite`; the causal section has no model to edit and is left out.
        folder: As in `tripartite`.
        seed: Of everything.
        progress: Show bars.

    Returns:
        A `Tripartite` whose provenance says "planted", as do its title and the names of its files.

    Example:
        >>> result = planted_tripartite(n_scenarios=20)  # doctest: +SKIP
    """
    check_choice(labels, "labels", ("true", "shuffled"))
    rng = np.random.default_rng(seed)
    subject = Subject(TYPES if set(classes) == set(TYPES) else tuple(classes))
    sets = _texts(n_scenarios, rng) if subject.is_empathy else _class_texts(subject, n_scenarios, rng)
    source = PlantedSource(effect=effect, n_layers=n_layers, d_model=d_model, seed=seed, classes=subject.classes)
    if labels == "shuffled":
        sets = replace(sets, concept=source.disguise(sets.concept, rng))
        more = sets.empathy
        if more is not None:
            matched, languages = source.disguise(more.matched, rng), _alike(more.languages, source, rng)
            sets = replace(sets, empathy=replace(more, matched=matched, languages=languages))
    setup = Setup(source, sets, "response_mean", n_permutations, seed, progress)
    without = left_out(sets)
    chosen = chosen_sections(sections, without)
    return run_sections(setup, chosen, None if folder is None else Path(folder), without if sections == "all" else {})


class PlantedSource:
    """Activations with known directions.

    Args:
        effect: Length of each direction, in standard deviations of the noise.
        n_layers: Blocks; the directions are there from block 1 on.
        d_model: Width.
        seed: Of noise and directions.
        classes: What is studied: each has a direction of its own.

    Raises:
        ValueError: more directions than dimensions.
    """

    kind: Kind = "planted"
    model: HookedModel | None = None

    def __init__(
        self, *, effect: float, n_layers: int, d_model: int, seed: int, classes: Sequence[str] = TYPES
    ) -> None:
        self.concepts = (*classes, *_OTHERS)
        if d_model <= len(self.concepts):
            raise ValueError(f"d_model must be above {len(self.concepts)}, so that all directions fit, got {d_model}")
        self.effect, self.d_model, self.seed = effect, d_model, seed
        self.layers: tuple[Layer, ...] = ("embed", *range(n_layers))
        self.directions = np.linalg.qr(np.random.default_rng(seed).standard_normal((d_model, d_model)))[0].T
        self._true: dict[str, LabeledTexts] = {}

    def identity(self) -> dict[str, Any]:
        """What was planted."""
        return {
            "name": f"planted activations, effect {self.effect:g}, seed {self.seed}",
            "n_layers": len(self.layers) - 1,
            "d_model": self.d_model,
        }

    def disguise(self, texts: LabeledTexts, generator: np.random.Generator) -> LabeledTexts:
        """The texts under shuffled labels; their activations stay those of the true ones."""
        permutations = label_permutations(texts.labels, groups=texts.groups)
        drawn = np.unique(texts.labels)[permutations.draw(1, generator=generator)[0]]
        return self.relabelled(texts, drawn)

    def relabelled(self, texts: LabeledTexts, labels: np.ndarray) -> LabeledTexts:
        """The texts under other labels; their activations stay those of the true ones."""
        changed = LabeledTexts(
            texts.texts,
            labels,
            texts.groups,
            prompts=texts.prompts,
            contexts=texts.contexts,
            families=texts.families,
            name=texts.name,
        )
        self._true[changed.sha256] = texts
        return changed

    def activations(self, texts: LabeledTexts, position: Position, *, random: bool = False) -> Activations:
        """Noise, a part that a scenario's texts share, and the direction of each text's class."""
        true = self._true.get(texts.sha256, texts)
        name = position_name(position)
        entropy = int(hash_texts([true.sha256, name, str(self.seed), str(random)])[:12], 16)
        rng = np.random.default_rng(entropy)
        slots = 4 if position == "response_quartiles" else 1
        index = np.unique(true.groups, return_inverse=True)[1].reshape(-1)
        shape = (slots, len(self.layers), self.d_model)
        values = rng.standard_normal((len(true), *shape)) + rng.standard_normal((index.max() + 1, *shape))[index]
        if not random:
            planted = np.array([depth(layer) >= 1 for layer in self.layers])
            values[:, :, planted] += self.effect * self._shift(true)[:, None, None]
        tensor = torch.as_tensor(values, dtype=torch.float32)
        return Activations(
            tensor[:, 0] if slots == 1 else tensor,
            self.layers,
            texts.labels,
            texts.groups,
            position=name,
            texts=texts,
            token_embeddings=torch.as_tensor(rng.standard_normal((len(true), self.d_model)), dtype=torch.float32),
        )

    def _shift(self, texts: LabeledTexts) -> FloatArray:
        known = [self.concepts.index(name) if name in self.concepts else -1 for name in texts.labels.tolist()]
        codes: IntArray = np.asarray(known)
        shift = np.where(codes[:, None] >= 0, self.directions[codes], 0.0)
        emotional = np.isin(texts.labels, ["joy", "sadness", "anger", "fear"])
        return np.asarray(shift + np.where(emotional[:, None], self.directions[len(self.concepts)], 0.0))


def _texts(n_scenarios: int, generator: np.random.Generator) -> StudyTexts:
    """The design of the packaged sets with words that were drawn at random."""
    concept = _random_words(datasets.empathy_triplets(), n_scenarios, generator)
    valence_stripped = _random_words(datasets.valence_stripped_controls(), n_scenarios, generator)
    non_empathy = _random_words(datasets.non_empathy_controls(), n_scenarios, generator)
    emotion = _random_words(datasets.emotion_statements(), n_scenarios, generator)
    formality = _random_words(datasets.formality_pairs(), n_scenarios, generator)
    matched = _random_words(datasets.matched_triplets(), n_scenarios, generator)
    languages = {
        name: _random_words(datasets.crosslingual_triplets(name), n_scenarios, generator) for name in datasets.LANGUAGES
    }
    more = EmpathyTexts(valence_stripped, non_empathy, emotion, matched, languages)
    return StudyTexts(concept, Subject(TYPES), formality, more)


def _class_texts(subject: Subject, n_scenarios: int, generator: np.random.Generator) -> StudyTexts:
    """A text of random words of each class in each scenario, and formality pairs unless those are the classes."""
    n = n_scenarios * len(subject.classes)
    frame = LabeledTexts(
        ["to be replaced"] * n,
        list(subject.classes) * n_scenarios,
        [f"scenario {i}" for i in range(n_scenarios) for _ in subject.classes],
        name="planted_texts",
    )
    formality = None
    if not {"formal", "casual"} <= set(subject.classes):
        formality = _random_words(datasets.formality_pairs(), n_scenarios, generator)
    return StudyTexts(_random_words(frame, n_scenarios, generator), subject, formality)


def _random_words(texts: LabeledTexts, n_scenarios: int, generator: np.random.Generator) -> LabeledTexts:
    kept = list(dict.fromkeys(texts.groups.tolist()))[:n_scenarios]
    chosen = texts.where(group=kept)

    def sentence() -> str:
        drawn = generator.integers(_WORDS, size=generator.integers(20, 31))
        return " ".join(f"w{i}" for i in drawn) + "."

    prompts = None
    if chosen.prompts is not None:
        scenario = {g: f"{sentence()} " for g in kept}
        prompts = [scenario[g] for g in chosen.groups.tolist()]
    said = [sentence() for _ in range(len(chosen))]
    return LabeledTexts(
        said if prompts is None else [p + s for p, s in zip(prompts, said, strict=True)],
        chosen.labels,
        chosen.groups,
        prompts=prompts,
        contexts=chosen.contexts,
        families=chosen.families,
        name=chosen.name,
    )


def _alike(
    languages: Mapping[str, LabeledTexts], source: PlantedSource, generator: np.random.Generator
) -> dict[str, LabeledTexts]:
    """Shuffled independently in each language, put in the order of the labels that parallel texts share."""
    found = {}
    for name, texts in languages.items():
        changed = source.disguise(texts, generator)
        order = np.lexsort([changed.labels, np.unique(changed.groups, return_inverse=True)[1].reshape(-1)])
        moved = changed[order]
        source._true[moved.sha256] = texts[order]
        found[name] = moved
    return found
