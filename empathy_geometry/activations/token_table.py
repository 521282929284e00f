"""The token ids of many texts in a few arrays: four bytes a token, whatever the number of texts."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from empathy_geometry.activations.positions import Position, read_length, token_slots
from empathy_geometry.activations.reading import ReadingDesign
from empathy_geometry.foundation._types import IntArray
from empathy_geometry.models.hooked_model import HookedModel
from empathy_geometry.models.tokens import TokenizedText, tokenize
from empathy_geometry.texts.labeled_texts import LabeledTexts
from empathy_geometry.texts.token_ids import TokenIds

_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class TokenTable:
    """Tokenised texts, each cut after the last token that anything reads (causal models never look ahead).

    Attributes:
        ids: The tokens of all texts, one after the other.
        offsets: Where each text begins in `ids`, and where the last one ends, [n + 1].
        spans: Start and stop of the response, first and last + 1 of the prompt (-1: all before the response), [n, 4].
        keys: Texts with the same prompt have the same key, [n].
        slots_sha256: Hash of which tokens the position option reads, text by text.
    """

    ids: npt.NDArray[np.int32]
    offsets: IntArray
    spans: npt.NDArray[np.int32]
    keys: npt.NDArray[np.int32]
    slots_sha256: str

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, row: int) -> TokenizedText:
        start, stop, first, last = self.spans[row].tolist()
        return TokenizedText(tuple(self.row_ids(row).tolist()), start, stop, None if first < 0 else (first, last))

    def row_ids(self, row: int) -> npt.NDArray[np.int32]:
        """Token ids of one text."""
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    def responses(self, rows: IntArray) -> TokenIds:
        """The tokens of these texts' responses: what text-only baselines may see."""
        spans = self.spans[rows, :2].tolist()
        return TokenIds.from_rows([self.row_ids(int(row))[a:b] for row, (a, b) in zip(rows, spans, strict=True)])

    @property
    def lengths(self) -> IntArray:
        """Tokens of each text, [n]."""
        return np.diff(self.offsets)

    @property
    def sha256(self) -> str:
        """Hash of all ids, borders and read positions: what a run computes, but for the model and the layers."""
        digest = hashlib.sha256(self.slots_sha256.encode())
        for array in (self.ids, self.offsets, self.spans):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @classmethod
    def build(
        cls,
        model: HookedModel,
        texts: LabeledTexts,
        position: Position,
        reading: ReadingDesign = ReadingDesign(),  # noqa: B008 - immutable
    ) -> "TokenTable":
        """Tokenise texts for a run that reads `position`.

        Raises:
            ValueError: a text does not fit the context or has no token at `position`; names the text.
        """
        ids: list[npt.NDArray[np.int32]] = []
        lengths = np.zeros(len(texts), dtype=np.int64)
        spans = np.full((len(texts), 4), -1, dtype=np.int32)
        digest = hashlib.sha256()
        for row, text in enumerate(_tokenized(model, texts, reading)):
            try:
                slots = token_slots(text, position, reading.outlier_tokens)
            except ValueError as error:
                raise ValueError(f"text {row}: {error} (it begins {texts.texts[row][:40]!r})") from error
            end = read_length(text, slots)
            ids.append(np.asarray(text.ids[:end], dtype=np.int32))
            lengths[row] = end
            spans[row, :2] = text.start, text.stop
            if text.prompt is not None:
                spans[row, 2:] = text.prompt
            digest.update(str([list(slot) for slot in slots]).encode())
        # Without prompts all texts share one key: in a chat template they do have the same head.
        keys = np.zeros(len(texts), dtype=np.int32)
        if texts.prompts is not None:
            number = {prompt: i for i, prompt in enumerate(dict.fromkeys(texts.prompts))}
            keys[:] = [number[prompt] for prompt in texts.prompts]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return cls(np.concatenate(ids), offsets, spans, keys, digest.hexdigest())


def _tokenized(model: HookedModel, texts: LabeledTexts, reading: ReadingDesign) -> Iterator[TokenizedText]:
    for first in range(0, len(texts), _CHUNK):
        chunk = texts if len(texts) <= _CHUNK else texts[first : first + _CHUNK]
        try:
            yield from tokenize(model, chunk, **reading.tokenization)
        except ValueError as error:
            if first == 0:
                raise
            raise ValueError(f"in the texts from {first} on: {error}") from error
