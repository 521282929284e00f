"""The documentation builds without a warning, needs nothing from outside, and shows what its commands printed."""

import doctest
import importlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

import empathy_geometry as eg

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


class Page(HTMLParser):
    """What a built page loads, links and holds."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.tags: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = {name: value for name, value in attrs if value}
        self.ids |= {found[n] for n in ("id", "name") if n in found}
        if tag in ("script", "img", "iframe", "source"):
            self.loads += [found[n] for n in ("src", "srcset") if n in found]
        if tag == "link" and found.get("rel") in ("stylesheet", "preload", "icon", "prefetch"):
            self.loads.append(found.get("href", ""))
        if tag == "a":
            self.links.append(found.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it: warnings are errors."""
    pytest.importorskip("sphinx", reason="the site needs requirements/docs.in")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-E", "-W", "--keep-going", "-q", DOCS, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


def built(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_pages_load_nothing_from_outside(site: Path) -> None:
    for path, page in built(site).items():
        outside = [url for url in page.loads if re.match(r"(https?:)?//", url)]
        assert outside == [], path.name
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", style.read_text(encoding="utf-8")), style.name


def test_links_inside_the_site_lead_somewhere(site: Path) -> None:
    pages = built(site)
    broken = []
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link) or not link:
                continue
            target, _, fragment = link.partition("#")
            other = path if not target else (path.parent / target).resolve()
            if not other.exists() or (fragment and other in pages and fragment not in pages[other].ids):
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_formulae_are_mathml(site: Path) -> None:
    page = Page(site / "methods.html")
    assert page.tags.count("math") > 30
    assert "$$" not in (site / "methods.html").read_text(encoding="utf-8")


# Opens every page in a frame as wide as a small phone and reports how wide its content is.
MEASURE = """<pre id="out"></pre><script>(async () => {
  const found = [];
  for (const page of PAGES) {
    const frame = document.createElement("iframe");
    frame.style = "width:380px;height:900px;border:0";
    frame.src = page;
    document.body.append(frame);
    await new Promise(done => frame.onload = done);
    found.push(page + " " + frame.contentDocument.documentElement.scrollWidth);
    frame.remove();
  }
  document.getElementById("out").textContent = "DONE\\n" + found.join("\\n");
})()</script>"""


def test_no_page_scrolls_sideways_on_a_phone(site: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium")
    pages = [str(path.relative_to(site)) for path in built(site)]
    frame = site / "measure.html"
    frame.write_text(MEASURE.replace("PAGES", json.dumps(pages)), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += ["--disable-component-update", "--disable-sync", "--allow-file-access-from-files", "--dump-dom"]
    command = [browser, *options, f"--user-data-dir={tmp_path}", "--virtual-time-budget=60000", frame.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout
    frame.unlink()
    assert "DONE" in shown
    widths = dict(re.findall(r"^(\S+\.html) (\d+)", shown, re.MULTILINE))
    assert sorted(widths) == sorted(pages)
    assert {page: width for page, width in widths.items() if int(width) > 380} == {}


def test_the_api_has_every_public_name(site: Path) -> None:
    ids = set().union(*(page.ids for path, page in built(site).items() if path.parent.name == "api"))
    public = {name: getattr(eg, name) for name in eg.__all__}
    names = {f"empathy_geometry.{n}" for n, value in public.items() if not isinstance(value, ModuleType)}
    for space, module in public.items():
        if isinstance(module, ModuleType):
            names |= {f"{space}.{n}" for n in module.__all__}
    found = {i.rsplit(".", 1)[-1] for i in ids}
    assert sorted(n for n in names if n.rsplit(".", 1)[-1] not in found) == []


@pytest.mark.parametrize("page", [p for p in PAGES if ">>>" in p.read_text(encoding="utf-8")], ids=lambda p: p.stem)
def test_examples_in_pages_hold(page: Path) -> None:
    failed, tried = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS)
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_python_in_pages_is_python(page: Path) -> None:
    for block in re.findall(
        r"^```(?:python|py)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    ):
        if ">>>" not in block:
            compile(block, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_what_a_page_shows_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = re.findall(r"literalinclude\} (\S+)", text) + re.findall(r"!\[[^\]]+\]\((\S+?)\)", text)
    assert [name for name in shown if not (DOCS / name).is_file()] == []
    assert "(run docs/run_page.py)" not in text
    assert not re.search(r"^(TABLE|TODO|TBD)$", text, re.MULTILINE)


def test_readme_and_site_show_one_run_of_the_demo() -> None:
    shown = (DOCS / "outputs" / "measure_bandwidth.txt").read_text(encoding="utf-8")
    table = shown.split("\n\nHow a verdict follows")[0].strip()
    assert "Can it be read?" in table
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", ["run_page.py", "_extensions/plain_docstrings.py", "_extensions/api_pages.py"])
def test_the_tools_hold_their_own_examples(script: str) -> None:
    pytest.importorskip("sphinx", reason="the site needs requirements/docs.in")
    spec = importlib.util.spec_from_file_location(Path(script).stem, DOCS / script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert doctest.testmod(module, optionflags=FLAGS).failed == 0


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.parametrize("name", ["quickstart", "tutorial"])
def test_pages_run_from_top_to_bottom(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DOCS)
    monkeypatch.syspath_prepend(str(DOCS))
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    fresh = importlib.import_module("run_page").run(text)
    # The last digits may differ between machines; the words and the shape of the output may not.
    without_numbers = [re.sub(r"[-+]?\d[\d.e-]*", "0", part) for part in (text, fresh)]
    old, new = (set(part.splitlines()) for part in without_numbers)
    assert len(old & new) > 0.8 * len(old)
