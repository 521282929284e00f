"""The form in a real browser, where there is one: rated by keyboard, kept, saved, and read back."""

import json
import re
import shutil
import subprocess
from base64 import b64encode
from hashlib import sha256
from html import unescape

import pytest

import empathy_geometry as eg

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")

PRELUDE = """
const press = key => document.activeElement.dispatchEvent(
  new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const out = {};
"""
EPILOGUE = """
document.body.replaceChildren(Object.assign(document.createElement("pre"), { id: "out",
  textContent: JSON.stringify(out) }));
"""


@pytest.fixture
def sheet(tmp_path):
    texts = ["one", "two <b>", "a" * 300]
    return eg.ratings.export_rating_sheet(texts, tmp_path / "sheet", seed=1, scale=(0, 4), raters=["Zoë"])


def with_script(page, script):
    """The form with a script of the test's own, which its content-security policy is told of as a user could not."""
    allowed = b64encode(sha256(script.encode()).digest()).decode()
    page, n_policies = re.subn(r"script-src ('sha256-[^']+')", rf"script-src \1 'sha256-{allowed}'", page)
    assert n_policies == 1
    return page.replace("</body>", f"<script>{script}</script></body>")


def drive(sheet, tmp_path, script, *, width=1000):
    """Run a script inside the form, and give what it put into `out`."""
    page = sheet.forms[0].read_text()
    driven = tmp_path / "driven.html"
    if width >= 500:
        driven.write_text(with_script(page, PRELUDE + script + EPILOGUE))
        shown = driven
    else:
        # Browsers refuse narrower windows, but not narrower frames.
        driven.write_text(with_script(page, PRELUDE + script + "parent.postMessage(JSON.stringify(out), '*');"))
        shown = tmp_path / "frame.html"
        shown.write_text(
            f'<iframe src="driven.html" width="{width}" height="900" style="border:0"></iframe><script>onmessage = e =>'
            f" document.body.append(Object.assign(document.createElement('pre'), {{ id: 'out', textContent: e.data }}))"
            f"</script>"
        )
    return json.loads(unescape(re.search(r'<pre id="out">(.*?)</pre>', dumped(shown, tmp_path), re.S)[1]))


def dumped(page, tmp_path):
    """The document as the browser has it once its scripts ran."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_a_script_that_the_policy_does_not_know_does_not_run(sheet, tmp_path):
    page = tmp_path / "foreign.html"
    page.write_text(sheet.forms[0].read_text().replace("</body>", "<script>document.title = 'taken'</script></body>"))
    assert "<title>taken" not in dumped(page, tmp_path)
    page.write_text(with_script(sheet.forms[0].read_text(), "document.title = 'taken'"))
    assert "<title>taken" in dumped(page, tmp_path)


def test_rated_by_keyboard_saved_and_read_back(sheet, tmp_path):
    found = drive(
        sheet,
        tmp_path,
        """
        press("Enter"); out.unrated = state.at;
        press("3"); press("9"); press("Enter"); press("0"); press("ArrowRight"); press("4"); press("ArrowLeft");
        press("1"); $("comment").value = 'so "so"'; $("comment").dispatchEvent(new Event("input"));
        $("comment").focus(); press("2");
        Object.assign(out, { shown: $("progress").textContent, json: asJson(), csv: asCsv(),
          kept: localStorage.getItem(place), ids: content.items.map(i => i.id) });
        """,
    )
    assert found["unrated"] == 0
    assert found["shown"] == "Text 2 of 3, 3 rated: all done, please save to a file"
    assert list(json.loads(found["kept"])["ratings"].values()) == [3, 1, 4]
    for name in ("json", "csv"):
        path = tmp_path / f"ratings.{name}"
        path.write_text(found[name], encoding="utf-8")
        ratings = eg.ratings.import_ratings(path, sheet.key)
        by_id = {item.id: v for item, v in zip(ratings.key.items, ratings.values[0], strict=True)}
        assert [by_id[i] for i in found["ids"]] == [3, 1, 4]
        assert ratings.raters == ("Zoë",)
        assert 'so "so"' in ratings.comments[0]


def test_progress_is_kept_when_the_form_is_opened_again(sheet, tmp_path):
    drive(sheet, tmp_path, 'press("2"); press("Enter");')
    again = drive(sheet, tmp_path, "Object.assign(out, { at: state.at, ratings: state.ratings });")
    assert again["at"] == 1
    assert list(again["ratings"].values()) == [2]


def test_a_narrow_screen_needs_no_sideways_scrolling(sheet, tmp_path):
    script = """
        const widest = () => Math.max(...content.items.map((_, i) => { state.at = i; show(false);
          return document.documentElement.scrollWidth; }));
        out.widest = widest(); out.inner = document.documentElement.clientWidth;
    """
    found = drive(sheet, tmp_path, script, width=380)
    assert 340 < found["inner"] <= 380
    assert found["widest"] <= found["inner"]
