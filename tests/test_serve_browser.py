"""The page of `tinymed serve` in a real browser: an image goes in, an answer comes out, names stay text."""

from pathlib import Path

import pytest
from conftest import CHROMIUM, absence

pytest.importorskip("starlette", reason="pip install '.[serve]'")
from serving import TOKEN, picture, server

SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
NAME = "<img src=x onerror=document.title='taken'>.png"  # what a file may be called


@pytest.fixture(scope="module")
def browser():
    if why := absence("chromium"):
        pytest.skip(why)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(finished_run, browser):
    with server(finished_run) as where:
        yield where


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1000, "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    told: list[str] = []
    opened.on("console", lambda message: told.append(message.text))
    opened.on("pageerror", lambda error: told.append(str(error)))
    yield opened, told
    context.close()


def test_an_image_goes_in_and_an_answer_comes_out(page, address, tmp_path: Path):
    opened, told = page
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(f"{address}/#token={TOKEN}")
    opened.wait_for_selector("#drop:not([hidden])")
    assert TOKEN not in opened.url  # not in the history, nor in a screenshot
    assert not [url for url in asked if TOKEN in url]
    assert "lenet5_modern" in opened.inner_text("#about")
    assert "not for diagnosis" in opened.inner_text("#notice")
    opened.set_input_files("#file", {"name": NAME, "mimeType": "image/png", "buffer": picture()})
    opened.wait_for_selector("#result:not([hidden])")
    assert opened.inner_text("#state") == NAME
    assert opened.title() == "tinymed serve"
    assert opened.locator("#scores tbody tr").count() == 2
    assert "%" in opened.inner_text("#answer")
    sizes = opened.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(sizes) == 2
    assert min(sizes) >= 300
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)
    assert told == []
    opened.screenshot(path=tmp_path / "page.png", full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_a_dropped_file_is_answered(page, address):
    opened, _ = page
    opened.goto(f"{address}/#token={TOKEN}")
    opened.wait_for_selector("#drop:not([hidden])")
    opened.evaluate(
        """bytes => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "dropped.png"));
          document.getElementById("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
        }""",
        list(picture(2)),
    )
    opened.wait_for_selector("#result:not([hidden])")
    assert opened.inner_text("#state") == "dropped.png"


def test_what_cannot_be_read_is_said_as_text(page, address):
    opened, _ = page
    opened.goto(f"{address}/#token={TOKEN}")
    opened.wait_for_selector("#drop:not([hidden])")
    opened.set_input_files("#file", {"name": NAME, "mimeType": "image/png", "buffer": b"no image"})
    opened.wait_for_selector("#state.bad")
    assert opened.inner_text("#state").startswith(f"{NAME}: the image: not an image")
    assert opened.title() == "tinymed serve"
    assert opened.is_hidden("#result")


def test_without_the_token_the_page_asks_for_it(page, address):
    opened, _ = page
    opened.goto(address)
    opened.wait_for_selector("#access:not([hidden])")
    assert opened.is_hidden("#drop")
    opened.fill("#token", TOKEN)
    opened.press("#token", "Enter")
    opened.wait_for_selector("#drop:not([hidden])")


def test_a_page_of_others_gets_nothing(browser, address):
    """A page of another origin cannot read an answer, frame the page, or send an image with the token that it lacks."""
    context = browser.new_context()
    opened = context.new_page()
    opened.route(
        "http://evil.example/", lambda route: route.fulfill(body="<title>evil</title>", content_type="text/html")
    )
    opened.goto("http://evil.example/")
    for path in ("/", "/about"):
        blocked = opened.evaluate("url => fetch(url).then(() => 'read', () => 'blocked')", address + path)
        assert blocked == "blocked"
    context.close()


def test_a_small_screen(browser, address):
    context = browser.new_context(viewport={"width": 360, "height": 700}, color_scheme="dark")
    opened = context.new_page()
    opened.goto(f"{address}/#token={TOKEN}")
    opened.wait_for_selector("#drop:not([hidden])")
    opened.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": picture()})
    opened.wait_for_selector("#result:not([hidden])")
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()
