"""What `tinymed report` writes, looked at in a browser: screenshot, requests, accessibility, print."""

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import CHROMIUM, absence
from PIL import Image

from tinymed.cli import main

SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

# Contrast as WCAG 2 computes it; text on a picture or a gradient is not on this page.
AUDIT = """() => {
  const found = [];
  const say = (what, e) => found.push(what + ': ' + (e ? e.outerHTML.slice(0, 120) : ''));
  if (!document.documentElement.lang) say('no language');
  if (!document.title.trim()) say('no title');
  for (const name of ['header', 'nav', 'main', 'footer'])
    if (document.querySelectorAll('body > ' + name).length !== 1) say('not one ' + name);
  if (document.querySelectorAll('h1').length !== 1) say('not one h1');
  let level = 0;
  for (const h of document.querySelectorAll('h1, h2, h3, h4')) {
    const n = Number(h.tagName[1]);
    if (n > level + 1) say('a level of headings is left out', h);
    if (!h.textContent.trim()) say('an empty heading', h);
    level = n;
  }
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  if (new Set(ids).size !== ids.length) say('an id is there twice');
  for (const a of document.querySelectorAll('a')) {
    if (!a.textContent.trim()) say('a link without text', a);
    if (!document.getElementById(decodeURIComponent(a.hash.slice(1)))) say('a link to nowhere', a);
  }
  for (const i of document.querySelectorAll('img')) {
    if (!i.alt.trim()) say('a picture without alt', i);
    if (!i.complete || !i.naturalWidth) say('a picture that is not shown', i);
  }
  for (const t of document.querySelectorAll('table')) {
    if (!t.caption || !t.caption.textContent.trim()) say('a table without caption', t);
    for (const c of t.querySelectorAll('th')) if (!['col', 'row'].includes(c.scope)) say('a head without scope', c);
    const width = t.rows[0].cells.length;
    for (const r of t.rows) if (r.cells.length !== width) say('a row of another length', r);
  }
  for (const e of document.querySelectorAll('[tabindex]'))
    if (!e.getAttribute('role') || !e.getAttribute('aria-label')) say('what takes the focus has no name', e);
  for (const e of document.querySelectorAll('[aria-labelledby]'))
    if (!document.getElementById(e.getAttribute('aria-labelledby'))) say('a label that is not there', e);
  const rgb = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m; };
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  for (const e of document.querySelectorAll('body *')) {
    const text = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!text) continue;
    let under = e, back = null;
    while (under && !(back = rgb(getComputedStyle(under).backgroundColor))) under = under.parentElement;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(back || [255, 255, 255])].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) say('contrast ' + ((a + .05) / (b + .05)).toFixed(2), e);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, with a profile of its own."""
    if why := absence("chromium"):
        pytest.skip(why)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def report(finished_run, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    assert main(["report", str(finished_run), "--out", str(path), "--cases", "2"]) == 0
    return path


def opened(browser, path, **more):
    """(a page, what it said on the console and which addresses it asked for)."""
    page, told = browser.new_page(**more), []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: told.append(request.url) if not request.url.startswith("data:") else None)
    page.goto(path.as_uri())
    return page, told


def test_the_page_asks_for_nothing_and_says_no_error(browser, report):
    page, told = opened(browser, report)
    assert told == [report.as_uri()]
    page.close()


@pytest.mark.parametrize("width", [360, 1200])
def test_a_screenshot_shows_the_page_within_its_width(browser, report, width):
    page, _ = opened(browser, report, viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    pixels = np.asarray(Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB"))
    assert pixels.shape[1] == width
    assert pixels.shape[0] > 5000 / (width / 360) ** 0.5
    seen = {tuple(p) for p in pixels[::9, ::9].reshape(-1, 3).tolist()}
    assert len(seen) > 300  # text, pictures and maps, not an empty page
    for picture in page.query_selector_all("img"):
        box = picture.bounding_box()
        assert box["width"] > 100
        assert box["x"] + box["width"] <= width
    page.close()


def test_the_page_can_be_used_by_everyone(browser, report):
    page, _ = opened(browser, report, viewport={"width": 1200, "height": 900})
    assert page.evaluate(AUDIT) == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.close()


def test_the_audit_finds_what_is_wrong(browser, report, tmp_path):
    """Each fault is planted in the page and must be found."""
    text = report.read_text("utf-8")
    faults = {
        "no language": ('<html lang="en">', "<html>"),
        "not one main": ("<main ", "<div "),
        "a level of headings": ("<h2 ", "<h4 "),
        "a picture without alt": ('alt="', 'title="'),
        "a picture that is not shown": ("data:image/png;base64,", "data:image/png;base64,xx"),
        "a head without scope": ('scope="row"', ""),
        "a table without caption": ("caption>", "tfoot>"),
        "a link to nowhere": ('href="#data"', 'href="#nothing"'),
        "contrast": ("--ink: #1c2430", "--ink: #a0a8b0"),
        "what takes the focus": ('role="group"', ""),
    }
    page = browser.new_page()
    for fault, (right, wrong) in faults.items():
        assert right in text
        (tmp_path / "page.html").write_text(text.replace(right, wrong), "utf-8")
        page.goto((tmp_path / "page.html").as_uri())
        assert any(found.startswith(fault) for found in page.evaluate(AUDIT)), fault
    page.close()


def test_the_page_prints(browser, report):
    page, _ = opened(browser, report)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    printed = page.pdf(format="A4", prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    assert 4 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") + printed.count(b"/Type /Page/") <= 40
    page.close()


def test_hostile_names_do_nothing_in_a_browser(browser, tmp_path):
    from tinymed.report.document import Document, Section, Table, Text
    from tinymed.report.page import to_html

    text = (
        "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\"><svg onload=alert(1)>"
    )
    section = Section("one", text, [Text(text), Table(text, (text, "b"), [(text, "c")])])
    (tmp_path / "page.html").write_text(to_html(Document(text, [text], [section])), "utf-8")
    page, told = opened(browser, tmp_path / "page.html")
    assert page.title() == text
    assert told == [(tmp_path / "page.html").as_uri()]
    assert page.query_selector_all("script, main img, svg") == []
    page.close()
