"""Scores of tokens, and how they are looked at: aligned text for a terminal, a self-contained page for a browser."""

import os
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np

from empathy_geometry.foundation._types import BoolArray, FloatArray, Layer
from empathy_geometry.foundation.result import Result
from empathy_geometry.foundation.table import Table
from empathy_geometry.foundation.terminal import printable

Reading = Literal["unsteered", "steered"]

# Blue and orange stay apart in every common colour blindness.
_BELOW, _ABOVE = (33, 102, 172), (217, 119, 6)
_WIDTH = 100

_STYLE = """
.token-scores{color-scheme:light dark;font:15px/1.9 system-ui,sans-serif;max-width:52rem;color:CanvasText;
background:Canvas;padding:.5rem}
.token-scores p{margin:.4rem 0;overflow-wrap:anywhere}
.token-scores .text{white-space:pre-wrap;border-inline-start:3px solid GrayText;padding-inline-start:.6rem}
.token-scores span[title]{border-radius:3px;padding:.1em 0}
.token-scores .outside{opacity:.75}
.token-scores .plain{opacity:.65}
.token-scores .below{text-decoration:underline dotted;text-underline-offset:.25em}
.token-scores .scale{display:inline-block;width:12rem;max-width:40vw;height:.8em;border:1px solid GrayText;
vertical-align:middle;margin:0 .4rem;background:linear-gradient(90deg,rgb(33 102 172/.6),transparent,
rgb(217 119 6/.6))}
.token-scores small{opacity:.7}
"""


@dataclass(frozen=True, eq=False)
class TokenScores(Result):
    """A score for each token of each text.

    Prints as aligned tokens and scores (in colour on a terminal), and shows as HTML in a notebook.

    Attributes:
        tokens: What each token adds to the text, [n_texts][n_tokens]; "" before the end of a character that takes
            several tokens.
        scores: Score at each token, [n_texts][n_tokens].
        counted: Which scores mean something, [n_texts][n_tokens]: not outlier tokens (the first position, whose stream
            is an attention sink of huge norm whatever the text is, and others of outlying norm, see
            `activations.outlier_tokens`), and not special tokens. The others are shown without colour.
        spans: (start, stop) of what was written or counts as the response, in tokens.
        scorer: What scored.
        units: Unit of the scores.
        centre: Score that is neither class: the midpoint of the classes where known, 0 for probes, else the median.
        layer: Where the stream was read.
        reading: "steered": the stream was read under a `SteeringHook`; "unsteered": by the model as it is.
        note: What to know before the scores are taken as evidence, or "".
    """

    tokens: tuple[tuple[str, ...], ...]
    scores: tuple[FloatArray, ...]
    counted: tuple[BoolArray, ...]
    spans: tuple[tuple[int, int], ...]
    scorer: str
    units: str
    centre: float
    layer: Layer
    reading: Reading
    note: str = ""

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def means(self) -> FloatArray:
        """Mean of the counted scores in each text's span, [n_texts]; NaN where none counts."""
        found = np.full(len(self), np.nan)
        for i, (start, stop) in enumerate(self.spans):
            inside = self.scores[i][start:stop][self.counted[i][start:stop]]
            if inside.size:
                found[i] = inside.mean()
        return found

    @property
    def reach(self) -> float:
        """Distance from the centre at which colours are full: 98 % of counted scores lie within."""
        away = np.concatenate([np.abs(s[c] - self.centre) for s, c in zip(self.scores, self.counted, strict=True)])
        return float(np.quantile(away, 0.98)) or 1.0 if away.size else 1.0

    def json_content(self) -> dict[str, Any]:
        """Every field and the mean of each text."""
        return super().json_content() | {"means": self.means}

    def tables(self) -> tuple[Table, ...]:
        """One row for each text; `print` and notebooks show the texts themselves, coloured."""
        rows = [
            {"text": i, "mean score": float(mean), "tokens": len(row), "in span": stop - start}
            for i, (mean, row, (start, stop)) in enumerate(zip(self.means, self.tokens, self.spans, strict=True))
        ]
        title = f"{len(self)} texts by {self.scorer}, layer {self.layer}, {self.units}"
        return (Table.of(title, rows, notes=[self.note] if self.note else []),)

    def to_frame(self) -> Any:
        """One row per token, as a pandas DataFrame (pandas must be installed)."""
        import pandas as pd

        rows = [
            {
                "text": i,
                "position": t,
                "token": token,
                "score": float(self.scores[i][t]),
                "counted": bool(self.counted[i][t]),
                "in_span": self.spans[i][0] <= t < self.spans[i][1],
            }
            for i, tokens in enumerate(self.tokens)
            for t, token in enumerate(tokens)
        ]
        return pd.DataFrame(rows)

    def to_html(self) -> str:
        """A whole page, with its style inside: no network, no script, for light and dark."""
        return as_html(self, page=True)

    def _repr_html_(self) -> str:
        return as_html(self, page=False)

    @printable
    def __str__(self) -> str:
        return as_terminal(self, colour=sys.stdout.isatty())


def as_terminal(scores: TokenScores, *, colour: bool) -> str:
    """Tokens over their scores, wrapped; colour only where asked for and NO_COLOR is not set."""
    colour = colour and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    lines = [_headline(scores)]
    if scores.note:
        lines.append(f"note: {scores.note}")
    for i, (start, stop) in enumerate(scores.spans):
        lines.append(f"text {i}: mean {scores.means[i]:+.3f} over tokens {start} to {stop - 1}, between the marks [ ]")
        above, below, used = "  ", "  ", 2
        for t, (token, score) in enumerate(zip(scores.tokens[i], scores.scores[i], strict=True)):
            shown = ("[" if t == start else "") + _visible(token) + ("]" if t == stop - 1 else "")
            number = f"{score:+.2f}" if scores.counted[i][t] else "."
            width = max(_columns(shown), len(number))
            if used + width + 1 > _WIDTH and used > 2:
                lines += [above.rstrip(), below.rstrip()]
                above, below, used = "  ", "  ", 2
            painted = _painted(shown, scores, i, t) if colour else shown
            above += painted + " " * (width - _columns(shown) + 1)
            below += number.ljust(width + 1)
            used += width + 1
        lines += [above.rstrip(), below.rstrip()]
    return "\n".join(lines)


def as_html(scores: TokenScores, *, page: bool) -> str:
    """The texts with coloured tokens, a legend, and each score as a tooltip; every text escaped."""
    low, high = scores.centre - scores.reach, scores.centre + scores.reach
    legend = (
        f'<p>{low:+.2f}<span class="scale" role="img" aria-label="colour scale from {low:+.2f} to {high:+.2f}"></span>'
        f"{high:+.2f} {escape(scores.units)} <small>(dotted underline: below {scores.centre:+.2f}; grey: does not "
        f"count; faded: not part of the response)</small></p>"
    )
    body = [f'<div class="token-scores"><p><strong>{escape(_headline(scores))}</strong></p>', legend]
    if scores.note:
        body.append(f"<p><em>{escape(scores.note)}</em></p>")
    for i in range(len(scores)):
        body.append(f"<p><small>text {i}, mean {scores.means[i]:+.3f}</small></p>")
        body.append(f'<p class="text" dir="auto">{"".join(_spans(scores, i))}</p>')
    inside = f"<style>{_STYLE}</style>" + "".join(body) + "</div>"
    if not page:
        return inside
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><title>{escape(_headline(scores))}</title></head><body>{inside}</body></html>'
    )


def _headline(scores: TokenScores) -> str:
    return f"{scores.scorer}, {scores.units}, layer {scores.layer}, {scores.reading} reading"


def _spans(scores: TokenScores, i: int) -> Iterator[str]:
    start, stop = scores.spans[i]
    waiting: list[str] = []
    for t, token in enumerate(scores.tokens[i]):
        score, counted = float(scores.scores[i][t]), bool(scores.counted[i][t])
        waiting.append(f"{score:+.3f}" if counted else "does not count")
        if not token:
            continue
        names = [] if start <= t < stop else ["outside"]
        style = ""
        if counted:
            away = max(-1.0, min(1.0, (score - scores.centre) / scores.reach))
            red, green, blue = _ABOVE if away > 0 else _BELOW
            style = f' style="background:rgb({red} {green} {blue}/{0.6 * abs(away):.2f})"'
            if away < 0:
                names.append("below")
        else:
            names.append("plain")
        shown = f' class="{" ".join(names)}"' if names else ""
        yield f'<span title="{", ".join(waiting)}"{shown}{style}>{escape(token)}</span>'
        waiting = []


def _painted(shown: str, scores: TokenScores, i: int, t: int) -> str:
    if not scores.counted[i][t]:
        return f"\x1b[2m{shown}\x1b[0m"
    away = max(-1.0, min(1.0, (float(scores.scores[i][t]) - scores.centre) / scores.reach))
    full = _ABOVE if away > 0 else _BELOW
    # Mixed with white and written in black, so that it reads on light and dark terminals alike.
    red, green, blue = (round(255 + 0.75 * abs(away) * (c - 255)) for c in full)
    return f"\x1b[38;2;0;0;0;48;2;{red};{green};{blue}m{shown}\x1b[0m"


def _visible(token: str) -> str:
    """White space and control characters as signs, so that a column stays a column."""
    if not token:
        return "\u00b7"  # part of a character that ends at a later token
    signs = {"\n": "\u21b5", "\t": "\u21e5", "\r": "\u240d"}
    return "".join(
        signs.get(c, "\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\u200d" else c) for c in token
    ).replace(" ", "\u2423" if not token.strip(" ") else " ")


def _columns(text: str) -> int:
    """Terminal columns: two for wide characters, none for combining ones."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 or c == "\u200d" for c in text)
