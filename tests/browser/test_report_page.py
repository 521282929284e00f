"""The HTML report in a real browser: headless Chromium, no network, every control used as a reader would."""

import os
import re
import shutil
from pathlib import Path

import pytest
from small_result import HOSTILE, readable_json, signed

import empathy_geometry as eg

for package in ("matplotlib", "jinja2"):
    pytest.importorskip(package)
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright, to drive the browser")

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; install one, or set CHROMIUM to its path")

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "bandwidth.json").write_text(signed(readable_json()))
    (path,) = eg.report(folder, formats=["html"])
    return Path(path).as_uri()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, address):
    """Opens the report; at the end nothing may have gone wrong in it, nor been asked of the network."""
    contexts, trouble = [], []

    def opened(width=1100, height=900, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: trouble.append(("console", m.text)))
        page.on("pageerror", lambda e: trouble.append(("error", str(e))))
        page.on("dialog", lambda d: (trouble.append(("dialog", d.message)), d.dismiss()))
        page.on("request", lambda r: None if r.url in (address, "data:,") else trouble.append(("request", r.url)))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert trouble == []


@pytest.fixture
def page(open_page):
    return open_page()


def sweep(role="concept"):
    return readable_json()[role]["sweep"]


def slide(page, index):
    page.locator("[data-role=alpha]").evaluate(
        "(node, i) => { node.value = i; node.dispatchEvent(new Event('input', {bubbles: true})); }", str(index)
    )


def text(page, role):
    return page.locator(f"[data-role={role}]").text_content()


def test_the_slider_shows_what_was_written_at_each_alpha(page):
    found = sweep()
    zero = found["alphas"].index(0.0)
    assert page.locator("[data-role=alpha]").input_value() == str(zero)
    for a, alpha in enumerate(found["alphas"]):
        slide(page, a)
        assert text(page, "steered") == found["texts"][a][0]
        assert text(page, "unsteered") == found["texts"][zero][0]
        assert f"{alpha:.2f}" in text(page, "at")
        smallest = min(part[a][0] for part in found["parts"].values())
        scores = text(page, "scores")
        assert f"{smallest:.2f}" in scores
        for name, part in found["parts"].items():
            assert re.search(rf"{name}\s*{part[a][0]:.2f}", scores)
        assert f"{found['concept'][a][0]:.2f}" in scores
        assert page.locator("[data-role=bars] i.here").count() == 1
        broken = page.locator(".scores .low").count()
        assert broken == (1 if smallest < 0.7 else 0)
    assert len({row[0] for row in found["texts"]}) == len(found["alphas"])


def test_the_slider_moves_with_the_keyboard(page):
    found = sweep()
    slider = page.locator("[data-role=alpha]")
    slider.focus()
    zero = found["alphas"].index(0.0)
    page.keyboard.press("ArrowRight")
    assert text(page, "steered") == found["texts"][zero + 1][0]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert text(page, "steered") == found["texts"][zero - 1][0]
    page.keyboard.press("Home")
    assert text(page, "steered") == found["texts"][0][0]
    assert "coherence" in slider.get_attribute("aria-valuetext")
    page.keyboard.press("End")
    assert text(page, "steered") == HOSTILE


def test_prompt_and_direction_can_be_chosen(page):
    slide(page, 0)
    page.locator("[data-role=prompt]").select_option("2")
    assert text(page, "asked") == "Prompt 2 of the concept"
    assert text(page, "steered") == sweep()["texts"][0][2]
    page.locator("[data-role=sweep]").select_option("1")
    other = sweep("control")
    assert text(page, "asked") == "Prompt 2 of the control"
    assert text(page, "unsteered") == other["texts"][other["alphas"].index(0.0)][2]
    assert page.locator("[data-role=bars] i").count() == len(other["alphas"])
    slide(page, len(other["alphas"]) - 1)
    assert text(page, "steered") == other["texts"][-1][2]


def test_hostile_texts_are_shown_and_do_nothing(page):
    page.locator("[data-role=prompt]").select_option("1")
    assert text(page, "asked") == HOSTILE
    assert page.title() == "Bandwidth: tiny-llama"
    assert page.locator("img").count() == 0


def column(table, i):
    return [t.strip() for t in table.locator(f"tbody tr td:nth-child({i + 1})").all_text_contents()]


def test_tables_sort_by_number_and_by_name_and_back(page):
    page.locator("summary").first.click()
    table = page.locator("details[open] table").first
    heads = table.locator("thead th")
    original = column(table, 1)
    assert len(original) > 20
    heads.nth(1).locator("button").click()
    assert heads.nth(1).get_attribute("aria-sort") == "ascending"
    assert column(table, 1) == sorted(original, key=float)
    heads.nth(1).locator("button").click()
    assert heads.nth(1).get_attribute("aria-sort") == "descending"
    assert [float(v) for v in column(table, 1)] == sorted(map(float, original), reverse=True)
    heads.nth(1).locator("button").click()
    assert heads.nth(1).get_attribute("aria-sort") == "none"
    assert column(table, 1) == original
    heads.nth(4).locator("button").click()
    words = column(table, 4)
    assert words == page.evaluate("names => [...names].sort((a, b) => a.localeCompare(b))", words)
    assert heads.nth(1).get_attribute("aria-sort") == "none"


def test_values_with_intervals_sort_by_the_value(page):
    page.locator("summary", has_text="Every estimate").click()
    table = page.locator("details[open] table")
    table.locator("thead th").nth(1).locator("button").click()
    values = [float(re.sub(r"^[<>]= ", "", v).split(" ")[0]) for v in column(table, 1) if v != "-"]
    assert values == sorted(values)
    assert len(set(values)) > 20


def test_everything_is_reached_and_used_by_keyboard(page):
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "() => { const e = document.activeElement; const s = getComputedStyle(e);"
                "return [e.tagName + (e.id ? '#' + e.id : e.dataset.role ? '.' + e.dataset.role : ''),"
                " e.textContent.trim().slice(0, 30), s.outlineStyle]; }"
            )
        )
        if seen[-1][0] == "SUMMARY":
            break
    names = [name for name, _, _ in seen]
    assert names[0] == "A"
    for needed in ("BUTTON#theme", "SELECT.sweep", "SELECT.prompt", "INPUT.alpha", "SUMMARY"):
        assert needed in names, names
    assert all(outline != "none" for name, _, outline in seen if name != "BODY")
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == 1
    head = page.locator("table").first.locator("thead th").first
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize("width", [320, 380, 850, 1400])
def test_nothing_scrolls_sideways(open_page, width):
    page = open_page(width=width, height=800)
    for fold in page.locator("summary").all():
        fold.click()
    page.locator("[data-role=prompt]").select_option("1")
    slide(page, len(sweep()["alphas"]) - 1)
    wide = page.evaluate(
        "width => [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > width + 1"
        " && !e.closest('svg') && getComputedStyle(e).position !== 'absolute').map(e => e.outerHTML.slice(0, 80))",
        width,
    )
    assert wide == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


CONTRASTS = """() => {
  const channel = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const rgb = s => s.match(/[\\d.]+/g).map(Number);
  const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  return [...document.querySelectorAll('h1, h2, h3, h4, p, td, th button, figcaption, summary, a, select, dt, dd, li')]
    .filter(e => e.textContent.trim() && e.getClientRects().length)
    .map(e => { const a = light(rgb(getComputedStyle(e).color)), b = light(ground(e));
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.tagName + '.' + e.className]; });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_have_contrast(open_page, scheme):
    page = open_page(scheme=scheme)
    found = page.evaluate(CONTRASTS)
    assert len(found) > 100
    assert min(found)[0] >= 4.5, min(found)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) > 380) == (scheme == "light")


def test_the_button_overrules_the_system(open_page):
    page = open_page(scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    button = page.locator("#theme")
    button.click()
    light = page.evaluate(ground)
    assert (button.text_content(), button.get_attribute("aria-label")) == ("Light", "Colours: light")
    button.click()
    assert page.evaluate(ground) == dark
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) == dark
    button.click()
    assert button.text_content() == "Auto"
    assert page.evaluate(ground) == light != dark


def test_figures_follow_the_colours(open_page):
    inks = []
    for scheme in ("light", "dark"):
        page = open_page(scheme=scheme)
        assert page.locator("figure svg").count() > 8
        assert page.locator("figure [role=img]").first.get_attribute("aria-label")
        inks.append(page.locator("figure svg [style*='--fig-ink']").first.evaluate("e => getComputedStyle(e).stroke"))
    assert inks[0] != inks[1]


def test_print_shows_all_and_no_controls(page):
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    for hidden in ("#theme", "nav", ".controls", ".dial"):
        assert not page.locator(hidden).first.is_visible()
    printed = page.pdf(format="A4")
    assert printed[:5] == b"%PDF-"
    # Tables stay tables on paper, however narrow it is.
    page.set_viewport_size({"width": 600, "height": 800})
    assert page.locator("table").first.evaluate("e => getComputedStyle(e).display") == "table"
    assert page.evaluate("document.documentElement.scrollWidth") <= 600
