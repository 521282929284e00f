"""Settings that belong together: small frozen classes, checked when they are made, before any work."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

S = TypeVar("S", bound="Settings")
F = TypeVar("F", bound=Callable[..., Any])


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


Adapt = Callable[[dict[str, Any], dict[str, Any]], None]
"""Puts keywords of before (taken out of the second) where they belong among the arguments of today (the first)."""


def takes_settings(
    *, gone: Mapping[str, str] | None = None, adapt: Adapt | None = None, **objects: type[Settings]
) -> Callable[[F], F]:
    """Decorator: a keyword that a function does not have is told what to write.

    A setting given as a plain keyword, as before version 0.2, goes into its object with a FutureWarning that says how
    it is written now (until version 1.0). A misspelt keyword is a TypeError that names the nearest that there is.

    Args:
        gone: What to write instead of other keywords that the function no longer has.
        adapt: Takes those of them that still mean something.
        **objects: The class of each settings argument; a setting that is itself such an object counts with its own.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Design(Settings):
        ...     n_prompts: int = 6
        >>> @takes_settings(design=Design)
        ... def study(*, design: Design = Design()) -> int:
        ...     return design.n_prompts
        >>> with warnings.catch_warnings(record=True) as told:
        ...     warnings.simplefilter("always")
        ...     found = study(n_prompts=3)
        >>> found, str(told[0].message)
        (3, "study: 'n_prompts' is no keyword any more; write design=Design(n_prompts=...)")
        >>> study(desing=Design())
        Traceback (most recent call last):
        TypeError: study has no keyword 'desing'; did you mean 'design'? It has design
    """

    def decorate(function: F) -> F:
        name = function.__name__
        parameters = signature(function).parameters
        order = [*parameters]
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        instead = {**_keywords(objects), **(gone or {})}

        @wraps(function)
        def called(*args: Any, **given: Any) -> Any:
            old = {keyword: given.pop(keyword) for keyword in [*given] if keyword in instead}
            if not open_ended:
                check_names(given, order, name, "keyword")
            everything = {**dict(zip(order, args, strict=False)), **given}
            if old:
                args = ()
                given = everything = _as_before(name, everything, old, instead, objects, gone or {}, adapt)
            for keyword, kind in objects.items():
                if keyword in everything and not isinstance(everything[keyword], kind):
                    got = type(everything[keyword]).__name__
                    raise TypeError(f"{keyword} must be a {kind.__name__}, got {got}; try {keyword}={kind.__name__}()")
            return function(*args, **given)

        called.moved_keywords = instead  # type: ignore[attr-defined]
        return called  # type: ignore[return-value]

    return decorate


def _as_before(
    name: str,
    given: dict[str, Any],
    old: dict[str, Any],
    instead: Mapping[str, str],
    objects: Mapping[str, type[Settings]],
    gone: Mapping[str, str],
    adapt: Adapt | None,
) -> dict[str, Any]:
    """The arguments with keywords of before put into the objects that they belong to now."""
    names = list(old)
    if adapt is not None:
        adapt(given, old)
    for argument, kind in objects.items():
        own = {f.name for f in fields(kind) if f.init and f.name in old and f.name not in gone}  # type: ignore[arg-type]
        if own and argument in given:
            raise TypeError(f"{name} got {sorted(own)} beside {argument}=; write {instead[min(own)]}")
        if own:
            given[argument] = kind(**{keyword: old.pop(keyword) for keyword in sorted(own)})
    for keyword in old:
        raise TypeError(f"{name} has no keyword {keyword!r}; write {instead[keyword]}")
    for keyword in names:
        warnings.warn(
            f"{name}: {keyword!r} is no keyword any more; write {instead[keyword]}", FutureWarning, stacklevel=3
        )
    return given


def _keywords(objects: Mapping[str, type[Settings]]) -> dict[str, str]:
    """How each setting is written now."""
    found: dict[str, str] = {}
    for keyword, kind in objects.items():
        for field in fields(kind):  # type: ignore[arg-type]
            inner = type(field.default)
            if issubclass(inner, Settings):
                nested = _keywords({field.name: inner})
                found |= {
                    name: f"{keyword}={kind.__name__}({how})" for name, how in nested.items() if name not in found
                }
            found[field.name] = f"{keyword}={kind.__name__}({field.name}=...)"
    return found


def check_names(given: Iterable[str], known: Iterable[str], what: str, kind: str = "setting") -> None:
    """Raise TypeError for the first name that is not known, with the nearest one that is."""
    names = list(known)
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, n=1, cutoff=0.5)
            meant = f"; did you mean {near[0]!r}?" if near else ";"
            raise TypeError(f"{what} has no {kind} {name!r}{meant} It has {', '.join(names)}")


def check_count(value: object, name: str, least: int) -> None:
    """Raise TypeError unless a whole number came, ValueError unless it is at least so large."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if int(value.__index__()) < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
