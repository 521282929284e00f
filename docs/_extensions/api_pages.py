"""Pages written before each build: what every package exports (from `__all__`), and the help of the command line."""

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx

FOLDER = "api"
ORDER = (
    *("command_line", "texts", "datasets", "models", "activations", "geometry", "evaluation", "metrics", "audit"),
    *("dimensionality", "similarity", "generation", "steering", "causal", "sae", "studies", "results", "plots"),
    *("reports", "pitfalls", "ratings", "foundation"),
)


def public_objects(package: ModuleType) -> dict[str, dict[str, Any]]:
    """Public objects by the package that they come from; what a public module adds stands on the page of its name.

    Args:
        package: `empathy_geometry`.

    Returns:
        {"evaluation": {"empathy_geometry.cross_validate": <function>, ...}, ...}
    """
    found: dict[str, dict[str, Any]] = {}
    exported = {name: getattr(package, name) for name in package.__all__}
    for name, value in exported.items():
        if inspect.ismodule(value):
            page_of = found.setdefault(name, {})
            for inner in value.__all__:
                if not any(getattr(value, inner) is other for other in exported.values()):
                    page_of[f"{value.__name__}.{inner}"] = getattr(value, inner)
        else:
            found.setdefault(value.__module__.split(".")[1], {})[f"{package.__name__}.{name}"] = value
    return found


def page(title: str, summary: str, objects: dict[str, Any]) -> str:
    """The source of one page."""
    parts = [f"# {title}", summary]
    for path, value in sorted(objects.items(), key=lambda entry: entry[0].lower()):
        if inspect.isclass(value):
            directive, options = "autoclass", "   :members:\n"
        else:
            directive, options = ("autofunction" if callable(value) else "autodata"), ""
        parts.append(f"```{{eval-rst}}\n.. {directive}:: {path}\n{options}```")
    return "\n\n".join(parts) + "\n"


def command_line_page() -> str:
    """The help of `python -m empathy_geometry` and of each of its commands, as they print it."""
    import argparse
    import os
    from unittest.mock import patch

    from empathy_geometry.command_line.parser import build_parser

    parser = build_parser()
    commands = next(a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    parts = ["# Command line", "What `--help` prints."]
    with patch.dict(os.environ, {"COLUMNS": "100"}):
        for name, each in {"": parser, **commands}.items():
            parts.append(f"## python -m empathy_geometry {name}".rstrip())
            parts.append(f"```text\n{each.format_help().strip()}\n```")
    return "\n\n".join(parts) + "\n"


def write_pages(app: Sphinx) -> None:
    """Write docs/api/*.md where they changed."""
    import importlib

    import empathy_geometry

    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    entries, wanted = ["command_line"], {"command_line.md"}
    _write(folder / "command_line.md", command_line_page())
    for name, objects in sorted(public_objects(empathy_geometry).items()):
        module = importlib.import_module(f"empathy_geometry.{name}")
        summary = (module.__doc__ or "").strip().splitlines()[0]
        title = f"empathy_geometry.{name}" if name in empathy_geometry.__all__ else name
        _write(folder / f"{name}.md", page(title, summary, objects))
        wanted.add(f"{name}.md")
        entries.append(name)
    listing = "\n".join(sorted(entries, key=lambda e: (ORDER.index(e) if e in ORDER else len(ORDER), e)))
    text = (
        "# API\n\nEverything public, from the docstrings. Names are written as they are imported; the pages "
        f"follow the packages, in the order in which data flow.\n\n```{{toctree}}\n:maxdepth: 1\n\n{listing}\n```\n"
    )
    _write(folder / "index.md", text)
    for old in folder.glob("*.md"):
        if old.name not in wanted | {"index.md"}:
            old.unlink()


def _write(path: Path, text: str) -> None:
    # An unchanged file keeps its time, so that Sphinx does not read it again.
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for sources."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
