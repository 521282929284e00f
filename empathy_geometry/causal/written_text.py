"""What the model writes under an edit or an instruction, read back by the model as it is."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from empathy_geometry.activations.extraction import extract_activations
from empathy_geometry.causal.preparation import Preparation
from empathy_geometry.foundation._types import FloatArray
from empathy_geometry.generation.continuations import generate
from empathy_geometry.models.hooked_model import HookedModel, hook_names
from empathy_geometry.models.model_view import own_view
from empathy_geometry.models.tokens import tokenize_messages
from empathy_geometry.steering.stream_edit import StreamEdit, attached_but_outliers
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.text_records import RESPONSE_SEPARATOR

UNEDITED = "unedited"


@dataclass(frozen=True, eq=False)
class WrittenTexts:
    """Continuations by edit.

    Attributes:
        texts: [n_prompts] by edit, the unedited among them.
        scores: Score of each by the probes of each target, [n_prompts, n_targets]; NaN for an empty text.
    """

    texts: Mapping[str, tuple[str, ...]]
    scores: Mapping[str, FloatArray]


def write_and_read(
    model: HookedModel,
    preparation: Preparation,
    prompts: Sequence[str],
    edits: Mapping[str, StreamEdit],
    instructions: Mapping[str, str],
    *,
    max_new_tokens: int,
    date: str | None,
    progress: bool,
) -> WrittenTexts:
    """Let the model answer every prompt under every edit and every instruction, greedily, and read the answers.

    An answer is read without its instruction, in the form in which the probes' training texts were.

    Args:
        model: HookedTransformer or TransformerBridge.
        preparation: Where edits happen, and the probes.
        prompts: User messages.
        edits: By name.
        instructions: By name; put before the message, with nothing edited.
        max_new_tokens: Length of the answers.
        date: The day that a chat template writes.
        progress: Show a bar.
    """
    nothing = StreamEdit.nothing(int(model.cfg.d_model))
    names = [UNEDITED, *edits, *instructions]
    asked, done, owner = [], [], []
    for name in names:
        for prompt in prompts:
            asked.append(f"{instructions[name]}\n\n{prompt}" if name in instructions else prompt)
            done.append(edits.get(name, nothing))
            owner.append(name)
    lengths = [len(t) for t in tokenize_messages(model, asked, max_new_tokens=max_new_tokens, date=date)]

    def edit(batch: np.ndarray) -> AbstractContextManager[Any]:
        return attached_but_outliers(view, preparation.layer, StreamEdit.together([done[i] for i in batch]))

    edited = hook_names(model, [preparation.layer])
    with (
        own_view(model, edited, longest=max(lengths) + max_new_tokens) as view,
        tqdm(total=len(asked), unit="text", desc="writing", disable=None if progress else True, delay=2) as bar,
    ):
        written = generate(view, asked, max_new_tokens=max_new_tokens, date=date, edit=edit, progress=bar.update)
    said = np.array([bool(t.strip()) for t in written.texts])
    n = len(prompts)
    scores = np.full((len(asked), len(preparation.targets)), np.nan)
    if said.any():
        rows = np.flatnonzero(said)
        cue = RESPONSE_SEPARATOR if preparation.split.test.prompts is not None else None
        heads = [prompts[int(i) % n] + cue if cue else None for i in rows]
        read = LabeledTexts(
            [(head or "") + written.texts[i].strip() for i, head in zip(rows, heads, strict=True)],
            ["written"] * len(rows),
            [str(i % n) for i in rows],
            prompts=heads if cue else None,  # type: ignore[arg-type]
        )
        acts = extract_activations(
            model, read, layers=list(preparation.readout_layers), position="response_mean", progress=progress
        )
        for j, target in enumerate(preparation.targets):
            scores[rows, j] = target.later.scores(acts.values)
    return WrittenTexts(
        {name: tuple(written.texts[k * n : (k + 1) * n]) for k, name in enumerate(names)},
        {name: scores[k * n : (k + 1) * n] for k, name in enumerate(names)},
    )


def default_prompts(texts: LabeledTexts, negatives: Sequence[str], n: int) -> list[str]:
    """One prompt per test scenario: what the responses answer, or where there are no prompts a negative text.

    Example:
        >>> texts = LabeledTexts(["Hi. Yes.", "Hi. No."], ["p", "n"], ["a", "a"], prompts=["Hi. ", "Hi. "])
        >>> default_prompts(texts, ["n"], 3)
        ['Hi.']
    """
    found: dict[str, str] = {}
    for i, (group, label) in enumerate(zip(texts.groups.tolist(), texts.labels.tolist(), strict=True)):
        if texts.prompts is not None:
            found.setdefault(group, texts.prompts[i].removesuffix(RESPONSE_SEPARATOR).strip())
        elif label in negatives:
            found.setdefault(group, texts.texts[i])
    return [p for p in found.values() if p][:n]


def check_prompts(prompts: Sequence[str], preparation: Preparation) -> tuple[str, ...]:
    """The user's prompts, if they occur in no text on which anything was fitted.

    Raises:
        ValueError: one does, there are fewer than two, or they are no sequence of strings.
    """
    if isinstance(prompts, str) or len(prompts) < 2:
        raise ValueError(
            "prompts must be two strings at least, so that there is an interval over them; try four or more"
        )
    fitted = [part for part in (preparation.split.directions, preparation.split.readouts) if part is not None]
    for prompt in prompts:
        if not isinstance(prompt, str) or not prompt.strip():
            raise ValueError(f"prompts must be strings with words in them, got {prompt!r}")
        if any(prompt.strip() in text for part in fitted for text in part.texts):
            raise ValueError(
                f"the prompt {prompt[:60]!r} is part of a text that directions or probes were fitted to; give others, "
                f"or None to take them from held-out scenarios"
            )
    return tuple(prompts)
