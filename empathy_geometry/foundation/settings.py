"""Settings that belong together: small frozen classes, checked when they are made, before any work."""

from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypeVar

S = TypeVar("S", bound="Settings")


class Settings:
    """Base of frozen dataclasses of settings: a name that is none is refused, and the nearest one named.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Design(Settings):
        ...     n_prompts: int = 6
        >>> Design(n_promts=3)
        Traceback (most recent call last):
        TypeError: Design has no setting 'n_promts'; did you mean 'n_prompts'? It has n_prompts
    """

    def __new__(cls: type[S], *positional: object, **given: object) -> S:
        """A new object, once every name is known."""
        check_names(given, (f.name for f in fields(cls) if f.init), cls.__name__)  # type: ignore[arg-type]
        return super().__new__(cls)

    def to_dict(self) -> dict[str, Any]:
        """Every setting, ready for JSON; an estimator as it is written."""
        return {
            f.name: " ".join(str(v).split()) if hasattr(v := getattr(self, f.name), "get_params") else v
            for f in fields(self)  # type: ignore[arg-type]
        }


def check_names(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise TypeError for the first name that is not known, with the nearest one that is."""
    names = list(known)
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, n=1, cutoff=0.5)
            meant = f"; did you mean {near[0]!r}?" if near else ";"
            raise TypeError(f"{what} has no setting {name!r}{meant} It has {', '.join(names)}")


def check_count(value: object, name: str, least: int) -> None:
    """Raise TypeError unless a whole number came, ValueError unless it is at least so large."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if int(value.__index__()) < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
