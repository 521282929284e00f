"""The public names of a module, each imported when it is first asked for (PEP 562)."""

import ast
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from empathy_geometry.foundation.old_names import OLD_NAMES

_ROOT = "empathy_geometry"


def public_names(module: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a module that lists its public names under `if TYPE_CHECKING:`.

    One list serves type checkers, which read it as ordinary imports, and the running module, which reads it in its own
    source. So importing a package costs next to nothing, and torch, scikit-learn and the like are imported when
    something needs them. No name may be that of a submodule, which would take its place once imported; a package that
    needs such names imports them in the ordinary way, outside the block.

    Args:
        module: `__name__` of the module; its lines look like `from package.module import name as name`.

    Returns:
        A function that imports a name, or raises an AttributeError that says where an old one is now; one that lists
        the names; and the names themselves.

    Example:
        >>> import empathy_geometry.ratings
        >>> empathy_geometry.ratings.RatingSheet
        <class 'empathy_geometry.ratings.sheet.RatingSheet'>
    """
    here = sys.modules[module]
    places = _imports(Path(str(here.__file__)))

    def load(name: str) -> Any:
        if name not in places:
            raise AttributeError(_missing(module, name, places), name=name, obj=here)
        place = places[name]
        value = import_module(f"{place}.{name}") if place == module else getattr(import_module(place), name)
        setattr(here, name, value)
        return value

    def listed() -> list[str]:
        return sorted([*places, *(name for name in vars(here) if name.startswith("__"))])

    return load, listed, sorted(places)


def _imports(path: Path) -> dict[str, str]:
    """Module of each name that a file imports from this package, in `if TYPE_CHECKING:` or outside, but for helpers."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _ROOT:
            found |= {alias.name: str(node.module) for alias in node.names if alias.asname == alias.name}
    return found


def _missing(module: str, name: str, there: Iterable[str]) -> str:
    inside = module.removeprefix(_ROOT).lstrip(".")
    now = OLD_NAMES.get(f"{inside}.{name}".lstrip("."))
    if now is None:
        near = get_close_matches(name, [*there], n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        return f"module {module!r} has no attribute {name!r}; {meant}dir({module}) lists what it has"
    return f"{module}.{name} is {_ROOT}.{now} now; docs/migration.md lists every name that moved"
