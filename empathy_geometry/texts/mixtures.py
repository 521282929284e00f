"""Mixtures: one response made of several, with the labels of all of them."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.several_labels import SEPARATOR


def mix_texts(
    texts: LabeledTexts, *, n: int, seed: int = 0, sizes: Sequence[int] = (2, 3), openers: Sequence[str] = ()
) -> LabeledTexts:
    """New texts, each of several responses to one scenario in one phrasing family, one after the other.

    People who answer do several things at once; a probe that has seen single labels only may not find them there. All
    sizes, all combinations of labels of a size and all scenarios come equally often, as far as n allows; order and
    pairing are random. A response that ends in a letter or digit gets a full stop.

    Args:
        texts: One label each; every scenario (in every family) has every label.
        n: Number of mixtures.
        seed: Of order and pairing.
        sizes: How many labels a mixture has; n is shared out among the sizes.
        openers: Labels that stand first in a mixture, such as a greeting.

    Returns:
        Mixtures with their prompts, groups, contexts and families; a label is the sorted labels joined by "+", see
        `label_columns`.

    Raises:
        ValueError: n is not positive or exceeds the number of different mixtures, a size is below 2 or above the
            number of labels, a label contains "+", an opener is no label, or a scenario lacks a label or has two
            prompts.

    Example:
        >>> rows = [("Hi.", "greeting"), ("Oh no", "warmth"), ("Since when?", "question")]
        >>> texts = LabeledTexts([t for t, _ in rows], [y for _, y in rows], ["job"] * 3)
        >>> [(m.text, m.label) for m in mix_texts(texts, n=1, sizes=(3,), seed=4, openers=["greeting"])]
        [('Hi. Since when? Oh no.', 'greeting+question+warmth')]
    """
    _check(texts, n, sizes, openers)
    rng = np.random.default_rng(seed)
    cells = _cells(texts)
    responses = texts.responses
    chosen: list[tuple[str, str, int]] = []
    for k, size in enumerate(sizes):
        kinds = list(combinations(texts.classes, size))
        kinds = [kinds[i] for i in rng.permutation(len(kinds))]
        order = [cells[i] for i in rng.permutation(len(cells))]
        share = n // len(sizes) + (k < n % len(sizes))
        if share > len(kinds) * len(order):
            raise ValueError(
                f"n={n} asks for {share} mixtures of {size}, but there are only {len(kinds) * len(order)}; try a "
                f"smaller n"
            )
        period = int(np.lcm(len(kinds), len(order)))
        for i in range(share):
            # Both lists in step never give a pair twice within a period; the shift keeps the next period apart.
            kind, cell = kinds[i % len(kinds)], order[(i + i // period) % len(order)]
            rows = [int(rng.choice(cell[label])) for label in rng.permutation(kind).tolist()]
            rows.sort(key=lambda row: texts.labels[row] not in openers)
            joined = " ".join(_sentence(responses[row]) for row in rows)
            chosen.append((joined, SEPARATOR.join(kind), rows[0]))
    mixed = [chosen[i] for i in rng.permutation(len(chosen))]
    sources = np.array([row for _, _, row in mixed])
    prompts = None if texts.prompts is None else [texts.prompts[row] for row in sources]
    return LabeledTexts(
        [text if prompts is None else prompts[i] + text for i, (text, _, _) in enumerate(mixed)],
        [label for _, label, _ in mixed],
        texts.groups[sources],
        prompts=prompts,
        contexts=None if texts.contexts is None else texts.contexts[sources],
        families=None if texts.families is None else texts.families[sources],
        name=f"{texts.name}_mixtures",
    )


def _check(texts: LabeledTexts, n: int, sizes: Sequence[int], openers: Sequence[str]) -> None:
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}; try 192")
    if mixed := [label for label in texts.classes if SEPARATOR in label]:
        raise ValueError(f"labels must not contain {SEPARATOR!r}, which joins those of a mixture; got {mixed[0]!r}")
    if not sizes or len(set(sizes)) < len(sizes) or not all(2 <= size <= len(texts.classes) for size in sizes):
        raise ValueError(
            f"sizes must be different numbers from 2 to {len(texts.classes)}, the number of labels, got {list(sizes)}"
        )
    if isinstance(openers, str) or (unknown := sorted(set(openers) - set(texts.classes))):
        got = openers if isinstance(openers, str) else unknown
        raise ValueError(f"openers must be a list of labels out of {list(texts.classes)}, got {got!r}")


def _cells(texts: LabeledTexts) -> list[dict[str, list[int]]]:
    """For each scenario in each family, the rows of each label."""
    families = np.zeros(len(texts), dtype=int) if texts.families is None else texts.families
    cells: dict[tuple[str, str], dict[str, list[int]]] = {}
    for row, (group, family, label) in enumerate(zip(texts.groups, families, texts.labels, strict=True)):
        cells.setdefault((str(group), str(family)), {}).setdefault(str(label), []).append(row)
    for (group, family), rows in cells.items():
        if (
            texts.prompts is not None
            and len({texts.prompts[row] for of_label in rows.values() for row in of_label}) > 1
        ):
            raise ValueError(f"scenario {group!r} has texts with different prompts, which cannot be joined")
        if missing := sorted(set(texts.classes) - set(rows)):
            where = "" if texts.families is None else f" in family {family!r}"
            raise ValueError(
                f"scenario {group!r}{where} has no text with label {missing[0]!r}; mixtures need every label in every "
                f"scenario, choose labels or scenarios with where(...)"
            )
    return [cells[key] for key in sorted(cells)]


def _sentence(response: str) -> str:
    response = response.strip()
    return f"{response}." if response[-1].isalnum() else response
