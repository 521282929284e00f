"""A steering run on one page: what was done, to which model, and what it wrote, so that it can be done again."""

import datetime
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from empathy_geometry.foundation._types import IntArray
from empathy_geometry.foundation.checked_json import dump_checked, read_checked
from empathy_geometry.foundation.durable_file import write_text
from empathy_geometry.foundation.json_codec import pack, unpack
from empathy_geometry.foundation.provenance import package_versions
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.settings import takes_settings
from empathy_geometry.foundation.table import Table
from empathy_geometry.generation.continuations import Continuations, generate
from empathy_geometry.geometry.directions import ConceptDirection
from empathy_geometry.geometry.directions_by_layer import Directions, vectors_sha256
from empathy_geometry.models.chat_template import template_day
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.identity import identity_differences, model_identity
from empathy_geometry.models.loading import load_model
from empathy_geometry.models.tokens import ControlReading
from empathy_geometry.steering.hook import SteeringHook
from empathy_geometry.steering.token_tracking import row_spans

_FORMAT = "empathy_geometry.steering_card/1"
_SHOWN = 60
"""Characters of a text in a table."""


@dataclass(frozen=True, eq=False)
class SteeringCard(Result):
    """What it takes to write the same steered texts again.

    Attributes:
        concept: The classes that the direction points between.
        vectors_sha256: Of the vectors, by layer, as float32.
        vectors_file: Name of the file beside the card that holds them.
        steering: Options of the `SteeringHook`: "alpha" (a number, or one for each prompt), "units", "operation",
            "layers", "positions" and "target".
        unit_lengths: Activation units that alpha = 1 adds, by layer; 1 for operations that take a fraction or degrees.
        writing: Options of `generate`.
        model: Identity of the model.
        versions: Of Python and packages.
        prompts: User messages, or texts to continue.
        texts: What the steered model wrote.
        token_ids: The same as tokens.
        unsteered: What it writes without.
    """

    concept: str
    vectors_sha256: str
    vectors_file: str
    steering: Mapping[str, Any]
    unit_lengths: Mapping[str, float]
    writing: Mapping[str, Any]
    model: Mapping[str, Any]
    versions: Mapping[str, str]
    prompts: tuple[str, ...]
    texts: tuple[str, ...]
    token_ids: tuple[tuple[int, ...], ...]
    unsteered: tuple[str, ...]

    def tables(self) -> tuple[Table, ...]:
        """Each prompt with what was written after it."""
        how = self.steering
        layers = ", ".join(map(str, how["layers"]))
        rows = [
            {"prompt": p[:_SHOWN], "unsteered": u[:_SHOWN], "steered": t[:_SHOWN]}
            for p, u, t in zip(self.prompts, self.unsteered, self.texts, strict=True)
        ]
        title = (
            f"Steering card: {self.model.get('name', 'a model')}, {self.concept}, {how['operation']} alpha "
            f"{how['alpha']} ({how['units']}) at layer(s) {layers}, positions {how['positions']}"
        )
        note = f"vectors {self.vectors_sha256[:12]} in {self.vectors_file}; write it again with eg.replay"
        return (Table.of(title, rows, notes=[note]),)

    @classmethod
    def load(cls, path: str | Path) -> "SteeringCard":
        """Read a card.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged, was changed, or is no card.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no steering card at {path}")
        content = read_checked(path, _FORMAT, "write it again")
        try:
            return unpack(cls, content["card"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is no steering card ({type(error).__name__}: {error})") from error


@dataclass(frozen=True, eq=False)
class Replay(Result):
    """Whether a card's texts came out again.

    Attributes:
        same: Whether every token is the one on the card.
        differences: In words, how model and software differ from the card's; none if they do not.
        prompts: Of the card.
        first_difference: Of each prompt, which new token differs first; -1 if none does.
        then: The card's texts.
        now: The texts of this run.
    """

    same: bool
    differences: tuple[str, ...]
    prompts: tuple[str, ...]
    first_difference: tuple[int, ...]
    then: tuple[str, ...]
    now: tuple[str, ...]

    def tables(self) -> tuple[Table, ...]:
        """Each prompt, and where its text parts from the card's."""
        title = "Replay: the same texts" if self.same else "Replay: other texts than the card's"
        rows = [
            {
                "prompt": prompt[:_SHOWN],
                "same": "yes" if at < 0 else f"up to token {at}",
                "then": then[:_SHOWN],
                "now": now[:_SHOWN],
            }
            for prompt, at, then, now in zip(self.prompts, self.first_difference, self.then, self.now, strict=True)
        ]
        return (Table.of(title, rows, notes=[f"differs: {d}" for d in self.differences]),)


def steering_card(
    path: str | Path,
    model: HookedModel,
    hook: SteeringHook,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 32,
    chat: bool = True,
    date: str | datetime.date | None = None,
    control_tokens: ControlReading = "text",
    temperature: float = 0.0,
    seed: int = 0,
) -> SteeringCard:
    """Write steered texts, and a card from which `replay` writes them again.

    Beside the card lies the file of its vectors, with the suffix .safetensors.

    Args:
        path: The card, a JSON file.
        model: HookedTransformer or TransformerBridge.
        hook: How to steer. Its alpha and positions may be one for each prompt.
        prompts: User messages, or with `chat=False` texts to continue.
        max_new_tokens: As in `generate`, and so the others.
        chat: Wrap prompts in the chat template.
        date: The day that a chat template writes.
        control_tokens: How control tokens inside a prompt are read.
        temperature: 0 is greedy.
        seed: Of the sampling.

    Raises:
        TypeError: the hook's direction is a bare tensor or a subspace, of which too little is known for a card.
        ValueError: as `SteeringHook` and `generate`; before anything is written.

    Example:
        >>> card = steering_card("warm.json", model, hook, ["I lost my job."])  # doctest: +SKIP
        >>> print(replay("warm.json", model=model))  # doctest: +SKIP
    """
    path = Path(path)
    direction = hook.direction
    if not isinstance(direction, ConceptDirection | Directions):
        raise TypeError(
            f"a card needs a ConceptDirection or Directions, got {type(direction).__name__}; a tensor becomes one by "
            f"ConceptDirection(tensor, layer=..., norm=...)"
        )
    hook.check_fits(model)
    writing: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "chat": chat,
        "date": template_day(date).isoformat(),
        "control_tokens": control_tokens,
        "temperature": temperature,
        "seed": seed,
    }
    plain = generate(model, prompts, **writing)
    written = _steered(model, hook, prompts, writing)
    first = next(iter(direction.values())) if isinstance(direction, Directions) else direction
    vectors_file = path.with_suffix(".safetensors")
    card = SteeringCard(
        concept=f"{first.positive} - {first.negative}",
        vectors_sha256=_hash(direction),
        vectors_file=vectors_file.name,
        steering={
            "alpha": hook.alpha.tolist(),
            "units": hook.units,
            "operation": hook.operation,
            "layers": list(hook.layers),
            "positions": hook.positions,
            "target": hook.target,
        },
        unit_lengths={str(layer): hook.unit_length_at(layer) for layer in hook.layers},
        writing=writing,
        model=model_identity(model),
        versions=package_versions(),
        prompts=tuple(map(str, prompts)),
        texts=written.texts,
        token_ids=written.new_ids,
        unsteered=plain.texts,
    )
    direction.save(vectors_file)
    write_text(path, dump_checked({"format": _FORMAT, "card": pack(card)}, indent=2) + "\n")
    return card


@takes_settings()
def replay(
    card: str | Path, *, model: HookedModel | None = None, direction: ConceptDirection | Directions | None = None
) -> Replay:
    """Write a card's texts again, and say what differs.

    Args:
        card: The file that `steering_card` wrote.
        model: The model; None loads the one that the card names.
        direction: Its direction; None takes the file beside the card. Other vectors than the card's are refused.

    Returns:
        Whether all texts are the same, where each of the others parts from the card's, and how model and versions
        differ. A model that differs is used all the same if the vectors fit it, and named.

    Raises:
        FileNotFoundError: no card, or no file of vectors beside it.
        ValueError: damaged, or other vectors; the vectors do not fit the model.

    Example:
        >>> replay("warm.json").same  # doctest: +SKIP
        True
    """
    path = Path(card)
    read = SteeringCard.load(path)
    if direction is None:
        direction = _vectors_beside(path, read)
    if _hash(direction) != read.vectors_sha256:
        raise ValueError(
            f"these are not the vectors of {path}: their SHA-256 is {_hash(direction)[:12]}, the card says "
            f"{read.vectors_sha256[:12]}; take {read.vectors_file}, which was written beside it"
        )
    if model is None:
        model = load_model(str(read.model["name"]))
    differences = identity_differences(read.model, model_identity(model))
    now = package_versions()
    differences += [
        f"{name}: {read.versions.get(name, 'none')} then, {now.get(name, 'none')} now"
        for name in sorted({*read.versions, *now})
        if read.versions.get(name) != now.get(name)
    ]
    how = dict(read.steering)
    hook = SteeringHook(
        _of_any_model(direction),
        alpha=how["alpha"],
        operation=how["operation"],
        layers=how["layers"],
        positions=_positions(how["positions"]),
        units=how["units"] if how["operation"] == "add" else None,
        target=how["target"],
    )
    written = _steered(model, hook, read.prompts, dict(read.writing))
    parted = tuple(_first_difference(a, b) for a, b in zip(read.token_ids, written.new_ids, strict=True))
    return Replay(
        same=all(at < 0 for at in parted),
        differences=tuple(differences),
        prompts=read.prompts,
        first_difference=parted,
        then=read.texts,
        now=written.texts,
    )


def _steered(
    model: HookedModel, hook: SteeringHook, prompts: Sequence[str], writing: Mapping[str, Any]
) -> Continuations:
    spans = row_spans(hook.positions, len(prompts))
    for what, n in (("alpha", hook.alpha.numel() if hook.alpha.ndim else 0), ("positions", len(spans or ()))):
        if n and n != len(prompts):
            raise ValueError(f"{what} has {n} entries for {len(prompts)} prompts; give one, or one for each")

    def edit(rows: IntArray) -> AbstractContextManager[Any]:
        steering = hook
        if hook.alpha.ndim:
            steering = steering.with_alpha(hook.alpha[torch.as_tensor(rows)])
        if spans is not None:
            steering = steering.with_positions([spans[i] for i in rows])
        return steering.attached(model)

    if hook.positions == "response":
        hook = hook.with_positions("generated")
    return generate(model, prompts, edit=edit, **writing)


def _vectors_beside(path: Path, card: SteeringCard) -> ConceptDirection | Directions:
    beside = path.parent / Path(card.vectors_file).name
    if not beside.is_file():
        raise FileNotFoundError(
            f"the vectors of {path} should lie beside it in {beside.name}, and do not; give direction= yourself"
        )
    try:
        return ConceptDirection.load(beside)
    except ValueError:  # several, or damaged, which is then said
        return Directions.load(beside)


def _of_any_model(direction: ConceptDirection | Directions) -> ConceptDirection | Directions:
    if isinstance(direction, Directions):
        return Directions(replace(d, model={}) for d in direction.values())
    return replace(direction, model={})


def _hash(direction: ConceptDirection | Directions) -> str:
    by_layer = direction if isinstance(direction, Directions) else {direction.layer: direction}
    return vectors_sha256({layer: d.vector.numpy() for layer, d in by_layer.items()})


def _positions(positions: Any) -> Any:
    """Spans as JSON has them, as tuples."""
    if isinstance(positions, str):
        return positions
    if all(isinstance(p, int) for p in positions):
        return tuple(positions)
    return [tuple(span) for span in positions]


def _first_difference(then: Sequence[int], now: Sequence[int]) -> int:
    shorter = min(len(then), len(now))
    apart = np.flatnonzero(np.asarray(then[:shorter]) != np.asarray(now[:shorter]))
    if apart.size:
        return int(apart[0])
    return -1 if len(then) == len(now) else shorter
