"""Reports say what the JSON says, in every format; texts stay texts; planted and measured never meet."""

import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from small_result import HOSTILE, readable_json, signed, small_bandwidth, small_json, with_tables

import empathy_geometry as eg
from empathy_geometry.foundation.result_file import read_folder
from empathy_geometry.foundation.table import Table, markdown_text
from empathy_geometry.plots.reading import read_estimate
from empathy_geometry.reports.build import document_of
from empathy_geometry.reports.figures import find_typed
from empathy_geometry.reports.generic_tables import find_estimates

for package in ("matplotlib", "jinja2", "fpdf", "pypdf"):
    pytest.importorskip(package)


class Page(HTMLParser):
    """Elements, attributes and visible text of a page, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements, self.words, self._inside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._inside.append(tag)

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self._inside):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def write(folder, content, name="bandwidth.json"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else signed(content))
    return folder


def pdf_pages(path):
    import pypdf

    return [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(path).pages]


def squeezed(text):
    return re.sub(r"\s", "", text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("measured"), with_tables(readable_json()))
    paths = eg.report(folder)
    assert [p.name for p in paths] == ["report.md", "report.html", "report.pdf"]
    return folder


def test_every_estimate_is_in_every_format_as_in_the_json(folder):
    page = squeezed(Page((folder / "report.html").read_text()).text)
    document = squeezed("".join(pdf_pages(folder / "report.pdf")))
    text = squeezed((folder / "report.md").read_text())
    content = json.loads((folder / "bandwidth.json").read_text())
    found = [read_estimate(fields) for _, fields in find_estimates(content)]
    assert len(found) > 60
    for estimate in found:
        shown = squeezed(str(estimate))
        assert shown in page, shown
        assert shown in document, shown
        assert squeezed(markdown_text(shown)) in text, shown
    assert f"p={content['permutation']['pvalue']:.4f}" in page
    assert f"p={content['permutation']['pvalue']:.4f}" in document
    for value in (*content["provenance"]["texts"].values(), content["provenance"]["model"]["fingerprint"]):
        assert value in page
        assert value in document
        assert value in text


def test_other_numbers_give_another_report(tmp_path, folder):
    content = readable_json()
    content["concept"]["bandwidth"] |= {"value": 777.125, "low": 700.5, "high": 800.25}
    eg.report(write(tmp_path / "other", with_tables(content)), formats=["md"])
    assert "777.125 [700.500, 800.250]" in (tmp_path / "other" / "report.md").read_text()
    assert "777.125" not in (folder / "report.md").read_text()


def test_what_the_model_wrote_is_there_word_for_word(folder):
    sweep = readable_json()["concept"]["sweep"]
    page = Page((folder / "report.html").read_text()).text
    document = squeezed("".join(pdf_pages(folder / "report.pdf")))
    for row in sweep["texts"]:
        assert " ".join(row[1].split()) in page
        assert squeezed(row[1]) in document


def test_hostile_texts_stay_texts(tmp_path):
    content = readable_json()
    content["concept"]["name"] = content["provenance"]["model"]["name"] = HOSTILE
    content["provenance"]["settings"]["probe"] = HOSTILE
    folder = write(tmp_path, with_tables(content))
    eg.report(folder, title=HOSTILE)
    html = (folder / "report.html").read_text()
    page = Page(html)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 2
    assert "img" not in tags
    assert not [a for _, a in page.elements if any(k.startswith("on") for k in a)]
    assert page.text.count("onerror=alert(1)") >= 6
    data = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL).group(1)
    assert json.loads(data)[0]["texts"][-1][0] == HOSTILE
    text = (folder / "report.md").read_text()
    assert "<script" not in text
    assert "<img" not in text
    # An unescaped bar would make further cells.
    for line in text.splitlines():
        if line.startswith("| ") and "onerror" in line:
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 6)
    assert squeezed(HOSTILE[:40]) in squeezed("".join(pdf_pages(folder / "report.pdf")))


def test_characters_that_the_pdf_font_lacks_do_no_harm(tmp_path):
    content = readable_json()
    content["concept"]["sweep"]["texts"][0][0] = "\u4f60\u597d \U0001f642 caf\u00e9 \u0000 end"
    folder = write(tmp_path, content)
    eg.report(folder, formats=["html", "pdf"])
    assert "\u4f60\u597d" in (folder / "report.html").read_text()
    assert "caf\u00e9" in "".join(pdf_pages(folder / "report.pdf"))


def test_the_page_asks_nothing_of_anyone(folder):
    html = (folder / "report.html").read_text()
    for tag, attributes in Page(html).elements:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert re.match(r"#|data:", attributes.get(name) or "#"), (tag, attributes)
    assert not re.search(r"@import|url\((?!#)", html)
    ids = [a["id"] for _, a in Page(html).elements if "id" in a]
    targets = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html)
    assert {a or b for a, b in targets} <= set(ids)


def test_planted_is_marked_in_titles_pages_and_file_names(tmp_path):
    content = readable_json()
    content["provenance"]["kind"] = "planted"
    folder = write(tmp_path, content, "PLANTED_bandwidth.json")
    paths = eg.report(folder)
    assert [p.name for p in paths] == ["PLANTED_report.md", "PLANTED_report.html", "PLANTED_report.pdf"]
    assert all(p.name.startswith("PLANTED_") for p in folder.rglob("*.png"))
    assert list(folder.rglob("*.png"))
    page = Page(paths[1].read_text())
    assert re.search("<title>PLANTED DATA, NOT A MEASUREMENT", paths[1].read_text())
    assert "PLANTED DATA - NOT A MEASUREMENT" in page.text
    assert ("body", {"class": "planted"}) in page.elements
    pages = pdf_pages(paths[2])
    assert all("PLANTED DATA, NOT A MEASUREMENT" in p for p in pages)
    assert paths[0].read_text().startswith("# PLANTED DATA, NOT A MEASUREMENT")


def test_measured_carries_no_such_mark(folder):
    # The word occurs in the style sheet only.
    assert "PLANTED" not in Page((folder / "report.html").read_text()).text
    assert "PLANTED" not in "".join(pdf_pages(folder / "report.pdf"))
    assert ("body", {}) in Page((folder / "report.html").read_text()).elements


def test_planted_beside_measured_is_refused_and_named(tmp_path):
    folder = write(tmp_path, small_json())
    planted = small_json()
    planted["provenance"]["kind"] = "planted"
    write(folder, planted, "other.json")
    with pytest.raises(ValueError, match=r"other\.json is planted, bandwidth\.json is measured"):
        eg.report(folder)
    assert not list(folder.glob("*report*"))
    alone = write(tmp_path / "planted", planted, "PLANTED_bandwidth.json")
    with pytest.raises(ValueError, match=r"PLANTED_bandwidth\.json is planted, bandwidth\.json is measured"):
        small_bandwidth().save(alone)
    # What was measured is kept, but not reported on.
    kept = json.loads((alone / "bandwidth.json").read_text())
    assert {k: v for k, v in kept.items() if k not in ("version", "sha256", "tables")} == small_json()
    assert not list(alone.glob("*report*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not complete JSON"),
        ("\x00\x01", "not complete JSON"),
        ('{"study": "bandwidth"}', "measured.*planted.*got None"),
        ('{"study": "bandwidth", "provenance": {"kind": "guessed"}}', "got 'guessed'"),
        ('{"no": "study"}', "no result in"),
        ("[1, 2]", "no result in"),
    ],
)
def test_damaged_folders_are_named(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        eg.report(write(tmp_path, content), unsigned=True)


def test_results_without_a_checksum_need_a_word_and_wrong_ones_are_refused(tmp_path):
    folder = write(tmp_path, json.dumps(small_json()))
    with pytest.raises(ValueError, match=r"bandwidth\.json has no checksum.*unsigned=True"):
        eg.report(folder, formats=["md"])
    assert eg.report(folder, formats=["md"], unsigned=True)
    changed = signed(small_json()).replace('"layer": ', '"layer": 1', 1)
    with pytest.raises(ValueError, match=r"bandwidth\.json is damaged or was changed"):
        eg.report(write(tmp_path, changed), formats=["md"], unsigned=True)


def test_missing_folders_and_unknown_formats_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        eg.report(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no result in"):
        eg.report(tmp_path)
    with pytest.raises(ValueError, match="formats must be"):
        eg.report(tmp_path, formats=["docx"])


def test_a_study_that_nobody_foresaw_is_rendered(tmp_path):
    estimate = {"value": 0.5, "low": 0.25, "high": 0.75, "level": 0.9, "n": 4, "n_groups": 2, "method": "guess"}
    study = {
        "study": "new thing",
        "provenance": {"kind": "measured"},
        "table": {"columns": ["claim", "number"], "rows": [["first | claim", 1.5], ["second", estimate]]},
        "verdicts": {"first claim": "supported", "second": {"verdict": "cannot tell", "reason": "too few"}},
        "limitations": ["Only two scenarios."],
        "sections": [{"name": "part", "numbers": {"by": small_json()["transfer"]}}],
    }
    folder = write(tmp_path, study, "new.json")
    eg.report(folder)
    page = Page((folder / "report.html").read_text())
    for words in ("first | claim", "0.500 [0.250, 0.750]", "too few", "Only two scenarios.", "90 %", "guess"):
        assert words in page.text
    verdicts = [a["class"] for tag, a in page.elements if tag == "td" and "verdict" in a.get("class", "")]
    assert verdicts == ["verdict supported", "verdict cannot-tell"]
    assert len([a for tag, a in page.elements if tag == "svg"]) == 1
    assert "too few" in "".join(pdf_pages(folder / "report.pdf"))


def test_several_studies_go_into_one_report(tmp_path):
    folder = write(tmp_path, small_json())
    write(folder, {"study": "second", "provenance": {"kind": "measured"}, "rows": [{"a": 1}]}, "second.json")
    (folder / "not_a_result.json").write_text('{"settings": 1}')
    document = document_of(read_folder(folder))
    assert [part.key for part in document.parts] == ["bandwidth", "second"]
    assert document.title == "Bandwidth, second: tiny-llama"


def test_types_are_found_where_they_lie():
    found = {(f.type, f.path) for f in find_typed(small_json())}
    assert ("Bandwidth", ()) in found
    assert ("SteeringSweep", ("concept", "sweep")) in found
    assert ("SteeringSweep", ("control", "sweep")) in found
    assert ("PermutationTest", ("permutation",)) in found
    assert not [path for _, path in found if "null" in path]


def test_the_page_shows_the_table_that_print_shows(folder):
    text = (folder / "report.md").read_text()
    result = eg.load_result(folder / "bandwidth.json")
    cells = [markdown_text(c) for table in result.tables() for row in table.rows for c in row]
    assert len(cells) > 40
    assert all(c in text for c in cells)
    saved = json.loads((folder / "bandwidth.json").read_text())
    assert [v["verdict"] for v in saved["verdicts"]] == [f.verdict for f in result.findings]
    assert all(v["rule"] for v in saved["verdicts"] if v["verdict"])


def test_pages_break_between_blocks(folder):
    pages = pdf_pages(folder / "report.pdf")
    headings = (
        "Results",
        "Figures",
        "What was computed",
        "Limitations",
        "Where the numbers come from",
        "Every estimate",
    )
    for number, page in enumerate(pages, 1):
        body = page.removesuffix(str(number)).removesuffix(" ").removesuffix("Bandwidth: tiny-llama").strip()
        assert len(body) > 40, f"page {number} is nearly empty: {body!r}"
        assert not body.endswith(headings), f"page {number} ends with a heading"


def test_tables_of_any_size_fit_the_page():
    from fpdf import FPDF

    from empathy_geometry.reports.document import Document
    from empathy_geometry.reports.figures import Drawings
    from empathy_geometry.reports.pdf import _Pages

    pages = _Pages(FPDF(), Document("t", False, "", ()), Drawings(planted=False))
    rng = np.random.default_rng(0)
    for _ in range(60):
        n_columns = int(rng.integers(1, 14))
        longest = int(rng.choice([3, 30, 900]))
        rows = [
            [("ab " if rng.random() < 0.5 else "w") * int(rng.integers(longest)) for _ in range(n_columns)]
            for _ in "123"
        ]
        columns = tuple(f"column_{'x' * int(rng.integers(12))}" for _ in range(n_columns))
        assert sum(pages.widths(columns, rows, 8)) <= pages.pdf.epw
        pages.table(Table("heading", columns, tuple(map(tuple, rows))), 8)
    assert pages.pdf.output()[:5] == b"%PDF-"


def test_saving_writes_the_report_of_the_folder(tmp_path):
    folder = small_bandwidth().save(tmp_path / "out")
    names = {p.name for p in folder.iterdir()}
    assert names == {"bandwidth.json", "report.md", "report.html", "report.pdf", "figures"}
    assert str(small_bandwidth().bandwidth) in Page((folder / "report.html").read_text()).text


@pytest.mark.parametrize(("package", "kind"), [("jinja2", "html"), ("fpdf", "pdf")])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package, kind):
    monkeypatch.setitem(sys.modules, package, None)
    folder = write(tmp_path, {"study": "x", "provenance": {"kind": "measured"}, "rows": [{"a": 1}]})
    with pytest.raises(ImportError, match=r"empathy-geometry\[report\]"):
        eg.report(folder, formats=[kind])
