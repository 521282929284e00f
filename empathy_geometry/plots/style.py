"""The one style of every figure: palette, axes, legend. Nothing here touches pyplot or global settings."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito's palette: told apart with any colour vision. Lines also differ in dash or marker, so that they can be
# told apart in grey.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6E6E6E"
INK = "#1B1F27"

# (colour, marker, dash) of the i-th of several equals.
CYCLE = (
    (BLUE, "o", "-"),
    (ORANGE, "s", "--"),
    (GREEN, "^", "-."),
    (PURPLE, "D", ":"),
    (GREY, "v", (0, (5, 1, 1, 1, 1, 1))),
    ("#56B4E9", "P", (0, (8, 2))),
)

SMALL = 8.5


def axes_or_new(ax: "Axes | None", *, width: float = 6.4, height: float = 4.6) -> Any:
    """`ax` in this style, or the axes of a new figure that belongs to no window.

    Raises:
        ImportError: matplotlib is missing.
    """
    if ax is None:
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("figures need matplotlib; try: pip install 'empathy-geometry[report]'") from error
        # A Figure of its own, not pyplot's: no global state, no window, nothing to close.
        figure: Any = Figure(figsize=(width, height), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
        ax = figure.add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(INK)
    ax.tick_params(colors=INK, labelsize=SMALL)
    ax.set_axisbelow(True)
    return ax


def png_bytes(figure: Any, *, dpi: int = 150) -> bytes:
    """A figure as the content of a PNG file on white."""
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, facecolor="white")
    return stream.getvalue()


def title(ax: Any, text: str) -> None:
    """The figure's message, above the axes on the left."""
    ax.set_title(plain(text), loc="left", fontsize=11, fontweight="bold", color=INK)


def labels(ax: Any, x: str = "", y: str = "") -> None:
    """Axis labels; units belong into them."""
    ax.set_xlabel(plain(x), color=INK)
    ax.set_ylabel(plain(y), color=INK)


def legend(ax: Any, *, columns: int = 2, gap: float = 38.0) -> None:
    """A legend `gap` points below the axes, where it can hide nothing."""
    from matplotlib.transforms import ScaledTranslation

    below = ax.transAxes + ScaledTranslation(0, -gap / 72, ax.figure.dpi_scale_trans)
    handles, names = ax.get_legend_handles_labels()
    if handles:
        ax.legend(
            handles,
            names,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            bbox_transform=below,
            ncols=columns,
            frameon=False,
            fontsize=SMALL,
            labelcolor=INK,
            borderaxespad=0.4,
            handlelength=2.6,
        )


def plain(text: str) -> str:
    r"""Text of the user's, with dollar signs kept from meaning mathematics.

    Example:
        >>> print(plain("a $5 lunch"))
        a \$5 lunch
    """
    return text.replace("\\$", "$").replace("$", r"\$")


def short(text: str, longest: int = 40) -> str:
    """`plain` on one line, cut where it would push the figure off its page.

    Example:
        >>> short("a  name of many words", 10)
        'a name ...'
    """
    line = " ".join(text.split())
    return plain(line if len(line) <= longest else f"{line[: longest - 3]}...")


def readable_on(colour: Sequence[float]) -> str:
    """Black or white, whichever has more contrast on a colour (relative luminance of WCAG 2).

    Example:
        >>> readable_on((1.0, 1.0, 1.0)), readable_on((0.0, 0.0, 0.5))
        ('black', 'white')
    """
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"
