"""Docstrings here are plain text with `code` in single quotes; what reST would read as other markup is escaped."""

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(`[^`]+`)")
_CHOICE = re.compile(r'^ +"[^"]+": ')
_ANY = "~numpy.ndarray[tuple[~typing.Any, ...], ~numpy.dtype[~numpy.{}]]"
_ALIASES = (
    (f"~torch.Tensor | {_ANY.format('floating')} | ~collections.abc.Sequence[float]", "ArrayLike"),
    (f"~torch.Tensor | {_ANY.format('generic')} | ~collections.abc.Sequence[object]", "LabelsLike"),
    (_ANY.format("float64"), "FloatArray"),
    (_ANY.format("int64"), "IntArray"),
    (_ANY.format("bool"), "BoolArray"),
    (_ANY.format("str_"), "StrArray"),
    # The default of a field with a factory; Sphinx would take the whole signature for one that it cannot read.
    ("<factory>", "..."),
)
_LIST = re.compile(r"^(\s*)([-*]) ")


def escaped(line: str) -> str:
    r"""One line of prose with |bars|, *stars* and trailing_ underscores taken literally.

    Example:
        >>> escaped("the |alpha| of `a_` and b_ * c")
        'the \\|alpha\\| of `a_` and b\\_ \\* c'
    """
    parts = _CODE.split(line)
    for i in range(0, len(parts), 2):
        bullet = _LIST.match(parts[i]) if i == 0 else None
        head = bullet.group() if bullet else ""
        body = re.sub(r"(?<!\\)([|*])", r"\\\1", parts[i][len(head) :])
        parts[i] = head + re.sub(r"(?<=\w)_(?=\W|$)", r"\\_", body)
    return "".join(parts)


def prose(lines: list[str]) -> list[str]:
    """Everything but doctests escaped, and lines such as `"add": h + v` made a list.

    Example:
        >>> prose(["Kinds:", '    "a": one,', "        more", "    >>> 2 * 3 * 4"])
        ['Kinds:', '', '    - "a": one,', '      more', '    >>> 2 * 3 * 4']
    """
    found: list[str] = []
    in_doctest, item = False, -1
    for line in lines:
        stripped, indent = line.strip(), len(line) - len(line.lstrip())
        if stripped.startswith(">>>"):
            in_doctest = True
        elif not stripped:
            in_doctest = False
        if in_doctest:
            found.append(line)
            continue
        if _CHOICE.match(line):
            if item != indent and found and found[-1].strip():
                found.append("")
            item = indent
            line = f"{' ' * indent}- {stripped}"
        elif stripped and item >= 0 and indent > item:
            line = f"{' ' * (item + 2)}{stripped}"
        elif stripped:
            item = -1
        found.append(escaped(line))
    return found


def as_plain_text(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Before napoleon reads the sections."""
    lines[:] = prose(lines)


def short_types(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Unions that have a name in `foundation._types` by that name, and jaxtyping's shapes without the module."""
    return tuple(None if text is None else _shortened(text) for text in (signature, returns))  # type: ignore[return-value]


def _shortened(text: str) -> str:
    for long, short in _ALIASES:
        text = text.replace(long, short)
    return text


def skip_foreign(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class has from scikit-learn: it is documented there."""
    home = getattr(obj, "__module__", None)
    return True if home is not None and not str(home).startswith("empathy_geometry") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Before napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", as_plain_text, priority=400)
    app.connect("autodoc-process-signature", short_types)
    app.connect("autodoc-skip-member", skip_foreign)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
