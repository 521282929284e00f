"""What a sparse autoencoder was trained on, and how well it reconstructs texts that it has not seen."""

from dataclasses import dataclass, field

from empathy_geometry.foundation.provenance import Provenance, hash_texts
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.texts.labeled_texts import LabeledTexts


@dataclass(frozen=True, eq=False)
class TrainingReport(Result):
    """Result of a training run, saved beside the weights.

    Attributes:
        n_texts: Texts whose tokens trained.
        n_tokens: Different tokens that trained; a few hundred do not train a dictionary.
        n_held_out: Tokens of held-out scenarios, for `explained_held_out`.
        n_massive: Tokens left out because their norm exceeds twenty times the median of their text.
        n_samples: Tokens shown, repetitions counted.
        explained: Share of the variance of training tokens that is reconstructed.
        explained_held_out: The same on held-out scenarios; None where none were held out.
        l0: Features that fire on a held-out token (a training token where none were held out), on average.
        dead: Features that fire on no token at all, of training and held-out ones.
        seconds: Time of the training itself, without the forward passes.
        provenance: Model, texts, seed and every setting.
        text_hashes: SHA-256 of each text that trained, so that one can say whether a text was among them.
    """

    n_texts: int
    n_tokens: int
    n_held_out: int
    n_massive: int
    n_samples: int
    explained: float
    explained_held_out: float | None
    l0: float
    dead: int
    seconds: float
    provenance: Provenance
    text_hashes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def passes(self) -> float:
        """How often each token was shown."""
        return self.n_samples / self.n_tokens

    def share_seen(self, texts: LabeledTexts) -> float:
        """Share of texts that the training has seen (without their labels)."""
        known = set(self.text_hashes)
        return sum(hash_texts([text]) in known for text in texts.texts) / len(texts)

    def tables(self) -> tuple[Table, ...]:
        """What went in and what came out, one row each."""
        rows: list[dict[str, object]] = [
            {"what": "tokens", "value": f"{self.n_tokens} of {self.n_texts} texts, {self.passes:.1f} passes"},
            {"what": "explained variance", "value": self.explained},
            {"what": "explained variance, held out", "value": self.explained_held_out},
            {"what": "L0", "value": f"{self.l0:.1f}"},
            {"what": "dead features", "value": self.dead},
            {"what": "massive tokens left out", "value": self.n_massive},
        ]
        return (Table.of(f"trained on {self.n_tokens} tokens of {self.n_texts} texts in {self.seconds:.0f} s", rows),)
