"""Runs the Python blocks of a page from top to bottom and puts what they printed into the text blocks below them.

    python docs/run_page.py docs/tutorial.md docs/quickstart.md

A block that opens with ```python is run; if the next thing is a ```text block, its content is replaced by the block's
output. Blocks that open with ```py are shown only. `run(page)` does the same without writing.
"""

import contextlib
import io
import os
import re
import sys
from pathlib import Path

_BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def run(text: str) -> str:
    r"""The page with fresh outputs.

    Example:
        >>> print(run("```python\nprint(1 + 1)\n```\n\n```text\n?\n```\n").splitlines()[-2])
        2
    """
    names: dict[str, object] = {"__name__": "__page__"}

    def fresh(match: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(match["code"], "page", "exec"), names)
        block = f"```python\n{match['code']}```\n"
        if match["output"] is None:
            return block
        shown = "\n".join(line.rstrip() for line in printed.getvalue().strip("\n").splitlines())
        return f"{block}\n```text\n{shown}\n```\n"

    return _BLOCK.sub(fresh, text)


def main() -> None:
    """Rewrite each page."""
    pages = [Path(p).resolve() for p in sys.argv[1:]]
    for page in pages:
        os.chdir(page.parent)
        page.write_text(run(page.read_text(encoding="utf-8")), encoding="utf-8")
        print(page)


if __name__ == "__main__":
    main()
