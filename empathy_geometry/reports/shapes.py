"""Which results lie in a study's JSON, told by their fields, so that a study that nobody foresaw is drawn as well."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Shape = Literal[
    "permutation", "evaluation", "dimensionality", "sweep", "transfer", "specificity", "dose", "cosines", "bandwidth"
]

_FIELDS: dict[Shape, tuple[str, ...]] = {
    "bandwidth": ("concept", "control", "random_directions"),
    "permutation": ("null_distribution", "layer_statistics", "layer_null_mean", "pvalue", "layers"),
    "evaluation": ("scores", "labels", "groups", "classes", "auroc", "baselines", "baseline_scores"),
    "dimensionality": ("participation_ratio", "rarefaction", "n"),
    "sweep": ("alphas", "prompts", "texts", "parts", "concept", "units", "unit_length"),
    "transfer": ("names", "auroc", "ratio"),
    "specificity": ("names", "values", "dominance", "pvalue"),
    "dose": ("alphas", "response", "slope", "spearman"),
    "cosines": ("floors", "pairs", "provenance"),
}


@dataclass(frozen=True, eq=False)
class Found:
    """A result inside a study.

    Attributes:
        shape: What it is.
        path: Keys that lead to it.
        fields: Its JSON.
        beside: What it lies in.
    """

    shape: Shape
    path: tuple[str, ...]
    fields: Mapping[str, Any]
    beside: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Where it lies, to be read: "concept, sweep"."""
        return ", ".join(p.replace("_", " ") for p in self.path)


def find_shapes(content: Mapping[str, Any]) -> list[Found]:
    """Every known result in a study's JSON, in its order; those inside a null of another are left out.

    Example:
        >>> study = {"study": "x", "by_layer": {"names": ["a"], "auroc": [[0.5]], "ratio": 1.0}}
        >>> [(f.shape, f.path) for f in find_shapes(study)]
        [('transfer', ('by_layer',))]
    """
    return list(_walk(content, (), content))


def is_estimate(value: object) -> bool:
    """Whether this is the JSON of an `Estimate`.

    Example:
        >>> is_estimate({"value": 1.0, "low": None, "high": None, "level": 0.95}), is_estimate({"value": 1.0})
        (True, False)
    """
    return isinstance(value, Mapping) and {"value", "low", "high", "level"} <= set(value)


def find_estimates(content: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Every estimate in a study's JSON, with the keys that lead to it."""
    if isinstance(content, Mapping):
        if is_estimate(content):
            yield path, content
            return
        for key, value in content.items():
            yield from find_estimates(value, (*path, str(key)))
    elif isinstance(content, list):
        for i, value in enumerate(content):
            # A named row is called by its name.
            name = value.get("key", value.get("name")) if isinstance(value, Mapping) else None
            yield from find_estimates(value, (*path, str(name or i + 1)))


def _walk(value: object, path: tuple[str, ...], beside: Mapping[str, Any]) -> Iterator[Found]:
    if isinstance(value, list):
        for i, item in enumerate(value):
            if isinstance(item, Mapping):
                yield from _walk(item, (*path, str(item.get("name", i + 1))), beside)
        return
    if not isinstance(value, Mapping):
        return
    for shape, needed in _FIELDS.items():
        if all(name in value for name in needed):
            yield Found(shape, path, value, beside)
            if shape != "bandwidth":
                return
    for key, item in value.items():
        yield from _walk(item, (*path, str(key)), value)
