"""A text with the score of each of its tokens."""

import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from empathy_geometry.foundation._types import ArrayLike, FloatArray
from empathy_geometry.foundation._validation import to_numpy
from empathy_geometry.plots.reading import read_result
from empathy_geometry.plots.style import INK, SMALL, axes_or_new, plain, readable_on, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from empathy_geometry.steering.token_scores import TokenScores

_FONT = "DejaVu Sans Mono"


def token_scores(
    result: "TokenScores | Mapping[str, Any] | Sequence[str]",
    scores: ArrayLike | None = None,
    *,
    row: int = 0,
    units: str = "class gaps; 0 = between the classes",
    width: int = 64,
    ax: "Axes | None" = None,
) -> "Axes":
    """A text, every token on a background that says how it scores: orange above the midpoint, purple below.

    Tokens whose score means nothing (the first position, special tokens) have no background.

    Args:
        result: What `eg.token_scores` returned, or its JSON; or the tokens of one text, with their blanks.
        scores: With plain tokens, one score for each; NaN leaves a token without background.
        row: Which of a result's texts.
        units: With plain tokens, the unit of the scores and what zero means.
        width: Characters in a line.
        ax: Axes to draw on; None makes a figure of the height that the text needs.

    Raises:
        ValueError: there is no such text, no token, or another number of scores.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    if scores is None:
        tokens, values, centre, heading, units = _read(result, row)
    else:
        tokens, values = list(result), to_numpy(scores).astype(float)  # type: ignore[arg-type]
        centre, heading = 0.0, "Score of each token"
    if not tokens or values.shape != (len(tokens),):
        raise ValueError(f"scores must be one for each of the {len(tokens)} tokens (at least one), got {values.shape}")
    shown = [_shown(t) for t in tokens]
    places, n_lines = _layout(shown, width)
    ax = axes_or_new(ax, width=0.08 * width + 0.4, height=1.35 + 0.3 * n_lines)
    away = np.abs(values - centre)
    reach = float(np.nanmax(away)) if np.isfinite(away).any() else 1.0
    shade = ScalarMappable(Normalize(centre - reach, centre + reach), colormaps["PuOr_r"])
    for text, value, (line, column) in zip(shown, values, places, strict=True):
        ink = INK
        if np.isfinite(value):
            colour = tuple(shade.to_rgba(value))
            ink = readable_on(colour)
            ax.add_patch(Rectangle((column, line), _columns(text), 0.86, facecolor=colour, edgecolor="none"))
        _write(ax, text, column, line, ink)
    ax.set_xlim(0, width)
    ax.set_ylim(n_lines, -0.1)
    ax.set_axis_off()
    title(ax, heading)
    bar = ax.figure.colorbar(shade, ax=ax, location="bottom", shrink=0.5, pad=0.04, aspect=40)
    bar.set_label(plain(f"score ({units})"), color=INK, fontsize=SMALL)
    bar.ax.tick_params(colors=INK, labelsize=SMALL)
    bar.outline.set_visible(False)
    return ax


def _read(result: object, row: int) -> tuple[list[str], FloatArray, float, str, str]:
    """Tokens, scores (NaN where they do not count), midpoint, heading and unit of one text of a result."""
    needed = ("tokens", "scores", "counted", "centre", "units", "scorer", "layer")
    found = read_result(result, "TokenScores", needed)
    if not 0 <= row < len(found["tokens"]):
        raise ValueError(f"row must be from 0 to {len(found['tokens']) - 1}, got {row}")
    values = np.where(found["counted"][row], np.asarray(found["scores"][row], dtype=float), np.nan)
    heading = f"{found['scorer']}, layer {found['layer']}, token by token"
    units = f"{found['units'].replace('_', ' ')}; {found['centre']:.2g} = between the classes"
    return list(found["tokens"][row]), values, float(found["centre"]), heading, units


def _write(ax: Any, text: str, column: int, line: int, ink: str) -> None:
    """Character by character, so that each stands in its column whatever the width of the font."""
    for character in text:
        if not character.isspace():
            at = (column + _columns(character) / 2, line + 0.45)
            style = {"family": _FONT, "fontsize": SMALL, "color": ink, "ha": "center", "va": "center"}
            ax.text(*at, character, parse_math=False, **style)
        column += _columns(character)


def _layout(texts: Sequence[str], width: int) -> tuple[list[tuple[int, int]], int]:
    """(line, column) of each token, and the number of lines; a line break ends its line."""
    places, line, column = [], 0, 0
    for text in texts:
        if column and column + _columns(text) > width:
            line, column = line + 1, 0
        places.append((line, column))
        column += _columns(text)
        if text.endswith("\u00b6"):
            line, column = line + 1, 0
    return places, line + (1 if column else 0)


def _shown(token: str) -> str:
    """A token as it is drawn: line breaks as a pilcrow, what the font lacks as an empty box."""
    text = token.replace("\r\n", "\n").replace("\n", "\u00b6").expandtabs(4)
    return "".join(c if ord(c) in _glyphs() else "\u25af" for c in text)


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(_FONT)).get_charmap())


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
