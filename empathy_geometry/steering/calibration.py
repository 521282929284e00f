"""At what coherence text counts as broken: where the model's own unsteered text lies, and where shuffled text does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from empathy_geometry.evaluation.bootstrap import cluster_bootstrap
from empathy_geometry.evaluation.metrics import auroc
from empathy_geometry.foundation._types import BoolArray, FloatArray, IntArray
from empathy_geometry.foundation._validation import check_choice
from empathy_geometry.foundation.estimate import Estimate
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.generation.continuations import Continuations, generate
from empathy_geometry.generation.likelihood import Reading, read_continuations
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.steering.coherence import Coherence, CoherencePart, coherence_of
from empathy_geometry.steering.range import DEFAULT_THRESHOLD

Shuffle = Literal["words", "tokens"]
SHUFFLES: tuple[Shuffle, ...] = ("words", "tokens")


@dataclass(frozen=True, eq=False)
class Calibration(Result):
    """Coherence of text that is certainly sound and of text that is certainly not.

    Attributes:
        threshold: `quantile` of the coherence of unsteered re-seeds, with its interval over prompts.
        separation: AUROC of re-seeds against shuffled text; the parts tell the two apart if it is near 1.
        quantile: Share of sound text that the threshold calls broken.
        reseeds: Coherence of sampled continuations against other sampled ones of the same prompt, [n_prompts, n_pairs].
        shuffled: The same for shuffled continuations, [n_prompts, n_pairs]; NaN for those too short to be shuffled.
        reseed_parts: Each part of `reseeds`.
        shuffled_parts: Each part of `shuffled`.
        temperature: At which was sampled.
        max_new_tokens: Length of the continuations.
        shuffle: What was shuffled.
        seed: Of sampling, shuffling and bootstrap.
    """

    threshold: Estimate
    separation: Estimate
    quantile: float
    reseeds: FloatArray
    shuffled: FloatArray
    reseed_parts: Mapping[str, FloatArray]
    shuffled_parts: Mapping[str, FloatArray]
    temperature: float
    max_new_tokens: int
    shuffle: Shuffle
    seed: int | None = None

    def shares_below(self, threshold: float) -> tuple[float, float]:
        """Share of unsteered re-seeds and share of shuffled texts that a threshold calls broken."""
        broken = self.shuffled[~np.isnan(self.shuffled)]
        return float((self.reseeds < threshold).mean()), float((broken < threshold).mean())

    def tables(self) -> tuple[Table, ...]:
        """Quantiles of every part for re-seeds and shuffled texts, what the thresholds call broken below."""
        n_prompts, n_pairs = self.reseeds.shape
        title = (
            f"coherence threshold {self.threshold}: {self.quantile:.0%} of unsteered re-seeds lie below\n"
            f"({n_prompts} prompts x {n_pairs} pairs, temperature {self.temperature:g}, {self.max_new_tokens} tokens)"
        )
        shares = {"5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95}
        rows = [
            {"part": name, "texts": kind} | {q: float(np.nanquantile(values, share)) for q, share in shares.items()}
            for name, sound, broken in self._rows()
            for kind, values in (("re-seeds", sound), ("shuffled", broken))
        ]
        notes = [f"separation of re-seeds from shuffled {self.shuffle}: AUROC {self.separation}"]
        for threshold in (self.threshold.value, DEFAULT_THRESHOLD):
            sound_share, broken_share = self.shares_below(threshold)
            notes.append(
                f"threshold {threshold:.3f} calls {sound_share:.0%} of the re-seeds broken and {broken_share:.0%} of "
                f"the shuffled texts"
            )
        return (Table.of(title, rows, notes=notes),)

    def _rows(self) -> list[tuple[str, FloatArray, FloatArray]]:
        parts = [(name, part, self.shuffled_parts[name]) for name, part in self.reseed_parts.items()]
        return [("smallest", self.reseeds, self.shuffled), *parts]


def calibrate_threshold(
    model: HookedModel,
    prompts: Sequence[str],
    *,
    n_reseeds: int = 4,
    temperature: float = 1.0,
    max_new_tokens: int = 32,
    chat: bool = True,
    quantile: float = 0.05,
    shuffle: Shuffle = "words",
    parts: Mapping[str, CoherencePart] = MappingProxyType({}),
    n: int = 2,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Calibration:
    """Sample every prompt several times without steering, and see how coherent each sample is beside the others.

    The threshold is the low quantile of what sound text scores; shuffled text is the other anchor, which any useful
    threshold must lie above. Calibrate at the temperature and length of the sweep: sampled text varies more in its
    likelihood than greedy text, and greedy decoding has no re-seeds.

    Args:
        model: HookedTransformer or TransformerBridge, with nothing attached.
        prompts: User messages, at least three.
        n_reseeds: Samples of each prompt; all ordered pairs of them are compared.
        temperature: Of the sampling, above 0.
        max_new_tokens: Length of the continuations.
        chat: As in `generate`.
        quantile: Share of sound text that the threshold may call broken.
        shuffle: "words" (between white space; the harder and usual anchor) or "tokens" (any script).
        parts: Further coherence parts of the user's own, as in `coherence`.
        n: Length of n-grams, as in `coherence`.
        n_resamples: Bootstrap resamples of prompts.
        level: Coverage of the intervals.
        seed: Seed of sampling, shuffling and bootstrap.
        progress: Called with the number of texts written after each batch.

    Raises:
        ValueError: fewer than three prompts or two re-seeds, greedy decoding, or most texts too short to be
            shuffled.
    """
    check_choice(shuffle, "shuffle", SHUFFLES)
    if isinstance(prompts, str) or len(prompts) < 3:
        raise ValueError("calibration needs at least three prompts, as a sequence of strings")
    if n_reseeds < 2:
        raise ValueError(f"n_reseeds must be at least 2, got {n_reseeds}: a text is compared with another")
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, got {temperature}: greedy decoding has no re-seeds")
    if not 0 < quantile < 0.5:
        raise ValueError(f"quantile must lie between 0 and 0.5, got {quantile}; try 0.05")
    written = generate(
        model,
        [p for p in prompts for _ in range(n_reseeds)],
        max_new_tokens=max_new_tokens,
        chat=chat,
        temperature=temperature,
        seed=seed,
        progress=progress,
    )
    broken, usable = _shuffled(model, written, shuffle, np.random.default_rng([seed, 1]))
    sound_reading, broken_reading = read_continuations(model, written), read_continuations(model, broken)
    first, second = _ordered_pairs(len(prompts), n_reseeds)
    found: dict[str, Coherence] = {}
    for kind, texts, reading in (("reseeds", written, sound_reading), ("shuffled", broken, broken_reading)):
        found[kind] = coherence_of(
            texts[first],
            written[second],
            _rows_of(reading, first),
            _rows_of(sound_reading, second),
            parts=parts,
            n=n,
        )
    groups = np.repeat(np.arange(len(prompts)), len(first) // len(prompts))
    sound, bad = found["reseeds"].headline, found["shuffled"].headline
    bootstrap = cluster_bootstrap(
        lambda rows: float(np.quantile(sound[rows], quantile)),
        groups=groups,
        n_resamples=n_resamples,
        level=level,
        seed=seed,
        progress=False,
    )
    kept = usable[first]
    separation = auroc(
        np.concatenate([sound, bad[kept]]),
        np.repeat([True, False], [len(sound), kept.sum()]),
        groups=np.concatenate([groups, groups[kept]]),
        level=level,
    )

    def by_prompt(values: FloatArray) -> FloatArray:
        return values.reshape(len(prompts), -1)

    return Calibration(
        replace(
            bootstrap.estimate, method=f"{quantile:.0%} quantile of unsteered re-seeds, BCa bootstrap over prompts"
        ),
        separation,
        quantile,
        by_prompt(sound),
        by_prompt(np.where(kept, bad, np.nan)),
        {name: by_prompt(part) for name, part in found["reseeds"].parts.items()},
        {name: by_prompt(np.where(kept, part, np.nan)) for name, part in found["shuffled"].parts.items()},
        temperature,
        max_new_tokens,
        shuffle,
        seed,
    )


def _ordered_pairs(n_prompts: int, n_reseeds: int) -> tuple[IntArray, IntArray]:
    """Rows of all ordered pairs of different samples of one prompt, prompt by prompt."""
    a, b = np.nonzero(~np.eye(n_reseeds, dtype=bool))
    offsets = n_reseeds * np.arange(n_prompts)[:, None]
    return (offsets + a).reshape(-1), (offsets + b).reshape(-1)


def _rows_of(reading: Reading, rows: IntArray) -> Reading:
    return replace(reading, nll=tuple(reading.nll[i] for i in rows), projections=None)


def _shuffled(
    model: HookedModel, written: Continuations, shuffle: Shuffle, generator: np.random.Generator
) -> tuple[Continuations, BoolArray]:
    """The same prompts, each followed by its continuation in another order; and which had another order."""
    new_ids, texts, usable = list(written.new_ids), list(written.texts), np.zeros(len(written), dtype=bool)
    for i, (ids, text) in enumerate(zip(written.new_ids, written.texts, strict=True)):
        units: Sequence[Any] = text.split() if shuffle == "words" else ids
        if len(set(units)) < 2:
            continue
        usable[i] = True
        order = _another_order(units, generator)
        if shuffle == "tokens":
            new_ids[i] = tuple(ids[j] for j in order)
            texts[i] = model.tokenizer.decode(list(new_ids[i]), skip_special_tokens=True)
            continue
        # The white space before the first word belongs to how the reply begins, not to its order.
        start = text[: len(text) - len(text.lstrip())]
        texts[i] = start + " ".join(units[j] for j in order)
        encoded = model.tokenizer(texts[i], add_special_tokens=False)["input_ids"]
        end = ids[-1:] if ids[-1] == model.tokenizer.eos_token_id else ()
        new_ids[i] = (*encoded, *end)
    if usable.mean() < 0.5:
        raise ValueError(
            f"{int((~usable).sum())} of {len(usable)} continuations have fewer than two different {shuffle} to shuffle "
            f"(first: {written.texts[int(np.argmin(usable))][:40]!r}); try shuffle='tokens', or longer continuations"
        )
    return Continuations(written.prompt_ids, tuple(new_ids), tuple(texts)), usable


def _another_order(units: Sequence[Any], generator: np.random.Generator) -> list[int]:
    while True:
        order = [int(j) for j in generator.permutation(len(units))]
        if [units[j] for j in order] != list(units):
            return order
