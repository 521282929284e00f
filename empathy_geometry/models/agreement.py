"""Whether a hooked model computes what its Hugging Face model computes."""

import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from empathy_geometry.foundation.terminal import printable
from empathy_geometry.models.attached_hooks import attached_hooks
from empathy_geometry.models.behaviour_lengths import BehaviourLengths
from empathy_geometry.models.hooked_model import HookedModel, is_bridge, model_device, named_modules_once
from empathy_geometry.models.model_view import is_view
from empathy_geometry.models.shared_copy import NoSharedCopyError
from empathy_geometry.models.unwrapped import unwrapped

ROUNDING = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Relative error of logits up to which two ways of computing one model differ by rounding, by dtype."""
_LENGTHS = (12, 40)
_MOST_TOKENS = 1032
_MOST_WORK = 5e11  # parameters times tokens: about ten seconds of a CPU core


class LogitsWarning(UserWarning):
    """A model that does not compute what its Hugging Face model computes."""


@dataclass(frozen=True)
class Agreement:
    """How far a hooked model's logits are from Hugging Face's.

    Attributes:
        error: Largest of the relative errors |logits - reference| / |reference| over the texts tried.
        n_tokens: Length of the text with that error.
        tolerance: What rounding explains in the model's dtype.
        architecture: Hugging Face's class.
    """

    error: float
    n_tokens: int
    tolerance: float
    architecture: str

    @property
    def holds(self) -> bool:
        """Whether rounding explains the difference."""
        return self.error <= self.tolerance

    @printable
    def __str__(self) -> str:
        return (
            f"relative difference {self.error:.2g} on a text of {self.n_tokens} tokens, of which rounding explains "
            f"{self.tolerance:g}"
        )


_known: "weakref.WeakKeyDictionary[Any, Agreement | None]" = weakref.WeakKeyDictionary()


def compare_logits(model: HookedModel, reference: Any) -> Agreement:
    """Run both models on a few token sequences, some longer than a sliding window or a switch of rotary frequencies.

    The longer ones are left out where they would take many seconds.

    Args:
        model: HookedTransformer or TransformerBridge.
        reference: The Hugging Face model, in evaluation mode.
    """
    weights: Any = model
    parameters = list(weights.parameters())
    dtype = next((p.dtype for p in parameters if p.is_floating_point()), torch.float32)
    lengths = _lengths(reference.config, sum(p.numel() for p in parameters), int(model.cfg.n_ctx))
    worst, at = -1.0, 0
    with torch.no_grad(), _evaluating(weights), torch.autocast(model_device(model).type, enabled=False):
        for ids in _sequences(model, lengths):
            error = _relative_error(_logits(weights, ids), _logits(reference, ids))
            if error > worst:
                worst, at = error, ids.shape[1]
    return Agreement(worst, at, ROUNDING.get(dtype, 5e-2), type(reference).__name__)


def bridge_agreement(model: HookedModel) -> Agreement | None:
    """A TransformerBridge against the Hugging Face model inside it, tried once for each model object.

    None for a HookedTransformer, whose Hugging Face model is gone; after weight processing (compatibility mode), which
    shifts logits on purpose; and where the inner model cannot be run by itself. With hooks attached nothing is tried
    yet.
    """
    if model in _known:
        return _known[model]
    if not is_bridge(model) or is_view(model) or bool(getattr(model, "compatibility_mode", False)):
        return None
    modules = list(named_modules_once(model))  # type: ignore[arg-type]
    if attached_hooks(modules, whose="foreign") or attached_hooks(modules, whose="own"):
        return None
    _known[model] = None
    try:
        _known[model] = compare_logits(model, unwrapped(model))
    except (NoSharedCopyError, NotImplementedError, AttributeError, TypeError):
        # No causal language model with token ids in and logits out: there is nothing to compare with.
        return None
    return _known[model]


def note_agreement(model: HookedModel, found: Agreement) -> None:
    """Keep what a comparison found, so that it is not made again."""
    _known[model] = found


def check_agreement(model: HookedModel, name: str, found: Agreement, *, allow_difference: bool) -> None:
    """Raise ValueError if a loaded model differs from Hugging Face's beyond rounding, unless that is wanted."""
    note_agreement(model, found)
    if found.holds or allow_difference:
        return
    other = (
        "hooked_transformer=True (TransformerLens 3, where it converts this architecture)"
        if is_bridge(model)
        else "hooked_transformer=False"
    )
    raise ValueError(
        f"{_sentence(model, name, found)} Try {other}, another version of TransformerLens, or "
        f"allow_difference=True if this is the model that you want to study."
    )


def warn_of_difference(model: HookedModel) -> None:
    """Warn, once for each model object, if a bridge that somebody made differs from its Hugging Face model."""
    if model in _known:
        return
    found = bridge_agreement(model)
    if found is not None and not found.holds:
        warnings.warn(
            f"{_sentence(model, str(model.cfg.model_name), found)} Results are the bridge's, not the model's. Load it "
            f"with eg.load_model(..., hooked_transformer=True) or with another version of TransformerLens",
            LogitsWarning,
            stacklevel=4,
        )


def known_difference(model: HookedModel) -> float | None:
    """The relative error that was found, where it exceeds rounding."""
    found = _known.get(model)
    return None if found is None or found.holds else float(f"{found.error:.2g}")


def _sentence(model: HookedModel, name: str, found: Agreement) -> str:
    return (
        f"the logits of {type(model).__name__} (TransformerLens {version('transformer-lens')}) for {name!r} are not "
        f"those of Hugging Face's {found.architecture}: {found}."
    )


def _lengths(config: Any, n_parameters: int, n_ctx: int) -> list[int]:
    found = BehaviourLengths.of_config(config)
    beyond = [edge + 8 for edge in (*found.windows, *found.rope_switches)]
    most = min(n_ctx, _MOST_TOKENS, max(_LENGTHS[-1], int(_MOST_WORK / max(1, n_parameters))))
    return sorted({min(n, n_ctx) for n in _LENGTHS} | {n for n in beyond if n <= most})


def _sequences(model: HookedModel, lengths: Sequence[int]) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    special = torch.tensor(sorted(set(getattr(model.tokenizer, "all_special_ids", ()))), dtype=torch.long)
    ordinary = torch.arange(min(int(model.cfg.d_vocab), len(model.tokenizer)))
    ordinary = ordinary[~torch.isin(ordinary, special)]
    for n in lengths:
        chosen = ordinary[torch.randint(len(ordinary), (n,), generator=generator)]
        yield chosen[None].to(model_device(model))


def _logits(model: Callable[[Tensor], Any], ids: Tensor) -> Tensor:
    out = model(ids)
    logits: Tensor = out if isinstance(out, Tensor) else out.logits
    return logits.double().cpu()


def _relative_error(found: Tensor, wanted: Tensor) -> float:
    width = min(found.shape[-1], wanted.shape[-1])  # vocabularies padded to a round number
    found, wanted = found[..., :width], wanted[..., :width]
    error = float((found - wanted).norm() / wanted.norm().clamp(min=1e-30))
    return error if error == error else float("inf")


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Dropout off for the time of a block, each module's flag put back."""
    modules = [module for _, module in named_modules_once(model)]
    flags = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, flag in zip(modules, flags, strict=True):
            module.training = flag
