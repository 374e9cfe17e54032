"""Every page in a real browser: light and dark, desk and telephone, with no network."""

import pytest
from chromium import Browser

pytestmark = pytest.mark.browser

VIEWS = {
    "desk, light": {"width": 1280, "height": 900, "dark": False},
    "desk, dark": {"width": 1280, "height": 900, "dark": True},
    "telephone, light": {"width": 390, "height": 844, "dark": False},
    "telephone, dark": {"width": 390, "height": 844, "dark": True},
}

# What a page says about itself once it has settled.
REPORT = """(() => {
  const shown = (element) => element.getClientRects().length && getComputedStyle(element).visibility !== "hidden";
  const inFrame = (element) => {
    for (let e = element; e && e !== document.body; e = e.parentElement)
      if (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth) return true;
    return false;
  };
  const edge = document.documentElement.clientWidth;
  const parts = "main p, main li, main h1, main h2, main h3, main img, main td, .bd-sidebar a";
  const cut = [...document.querySelectorAll(parts)]
    .filter((e) => shown(e) && e.getBoundingClientRect().right > edge + 1 && !inFrame(e) && !e.closest("dialog"))
    .map((e) => e.tagName + " " + e.textContent.trim().slice(0, 40));
  return {
    theme: document.documentElement.dataset.theme ?? null,
    title: document.title,
    wider: document.documentElement.scrollWidth - edge,
    cut,
    broken: [...document.images].filter((i) => shown(i) && !i.naturalWidth).map((i) => i.src),
    formulas: document.querySelectorAll(".math").length,
    drawn: document.querySelectorAll("mjx-container").length,
    badFormulas: document.querySelectorAll("mjx-merror, [data-mjx-error]").length,
    searchFields: [...document.querySelectorAll(".search-button__button, .search-button-field")].filter(shown).length,
    unnamed: [...document.querySelectorAll("button, a[href], input, select")]
      .filter((e) => shown(e) && !(e.textContent.trim() || e.ariaLabel || e.title || e.querySelector("img[alt]")
        || e.labels?.length || e.placeholder))
      .map((e) => e.outerHTML.slice(0, 90)),
  };
})()"""

# Text whose colour is too close to what lies behind it (WCAG 2: 4.5 to 1, 3 to 1 for large text).
PALE = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3])).concat(1);
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const layer = rgba(getComputedStyle(e).backgroundColor);
      layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = new Map();
  const walker = document.createTreeWalker(document.querySelector("article, main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.getClientRects().length) continue;
    if (element.closest("mjx-container, svg, script, style, .headerlink, [hidden]")) continue;
    const style = getComputedStyle(element), back = behind(element);
    const ink = over(rgba(style.color), back);
    const [a, b] = [light(ink), light(back)].sort((x, y) => y - x);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.6 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) {
      const name = `${element.tagName}.${element.className} ${style.color}`;
      const words = walker.currentNode.textContent.trim().slice(0, 30);
      if (!found.has(name)) found.set(name, `${ratio.toFixed(2)} ${name}: ${words}`);
    }
  }
  return [...found.values()];
})()"""


def look(browser: Browser, urls: list[str], view: dict, own: str) -> list[str]:
    """Open every address in one view; return what is wrong, one line each."""
    problems = []
    page = browser.new_page(**view)
    for url in urls:
        page.open(url)
        name = url.removeprefix(own)
        problems += [f"{name}: {error}" for error in page.errors]
        problems += [
            f"{name}: asks for {request}"
            for request in page.requests
            if not request.startswith((own, "data:", "blob:"))
        ]
        report = page.evaluate(REPORT)
        is_plain = name == "404.html"
        if not report["title"]:
            problems.append(f"{name}: no title")
        if report["theme"] != ("dark" if view["dark"] else "light") and not is_plain:
            problems.append(f"{name}: theme is {report['theme']}")
        if report["wider"] > 0:
            problems.append(f"{name}: {report['wider']} pixels wider than the window")
        problems += [f"{name}: cut off: {text}" for text in report["cut"]]
        problems += [f"{name}: picture does not load: {source}" for source in report["broken"]]
        problems += [f"{name}: no name for {element}" for element in report["unnamed"]]
        if report["badFormulas"] or report["drawn"] < report["formulas"]:
            problems.append(
                f"{name}: {report['formulas']} formulas, {report['drawn']} drawn, {report['badFormulas']} bad"
            )
        if report["searchFields"] > 1:
            problems.append(f"{name}: {report['searchFields']} search fields")
        problems += [f"{name}: pale text {text}" for text in page.evaluate(PALE)]
    page.close()
    return problems


@pytest.mark.parametrize("view", VIEWS)
def test_every_page(browser, pages, address, view):
    urls = [address + path for path, page in pages.items() if not page.refresh]
    assert look(browser, urls, VIEWS[view], address) == []


def test_every_page_from_the_disk(browser, pages, site):
    own = site.resolve().as_uri() + "/"
    urls = [own + path for path, page in pages.items() if not page.refresh]
    assert look(browser, urls, VIEWS["desk, light"], own) == []


def test_front_page_leads_to_the_introduction(browser, address):
    page = browser.new_page()
    page.open(address + "index.html")
    page.wait_for("location.pathname === '/book/introduction.html' && document.readyState === 'complete'")
    assert page.errors == []
    page.close()


def test_search_finds_a_word(browser, address):
    page = browser.new_page()
    page.open(address + "search.html?q=window")
    page.wait_for("document.querySelectorAll('#search-results li').length > 0")
    page.wait_for("document.querySelector('#search-results').innerText.includes('Notation')")  # results come in turns
    assert page.errors == []
    page.close()


def test_theme_button_changes_the_theme(browser, address):
    page = browser.new_page()
    page.open(address + "book/notation.html")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    for _ in range(3):
        page.evaluate("document.querySelector('.theme-switch-button').click()")
        if page.evaluate("document.documentElement.dataset.theme") == "dark":
            break
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.close()


def test_keyboard_reaches_the_text_and_shows_where_it_is(browser, address):
    page = browser.new_page()
    page.open(address + "book/introduction.html")
    page.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to main content"
    page.evaluate("document.querySelector('article a[href]').focus({focusVisible: true})")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.close()


def test_missing_page_shows_a_way_back(browser, address):
    page = browser.new_page(width=390, height=844, dark=True)
    page.open(address + "404.html")
    assert page.evaluate("document.querySelector('#home').getAttribute('href')") == "/"
    assert page.errors == []
    page.close()


def test_driver_reports_errors_and_foreign_requests(browser, tmp_path):
    """The driver itself must be able to fail."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!DOCTYPE html><html><head><title>x</title></head><body><main>"
        "<p style='width:3000px;color:#999;background:#fff'>wide and pale</p><img src='gone.png' alt='a'>"
        "<script src='http://example.org/a.js'></script><script>undefinedName();</script></main></body></html>"
    )
    own = tmp_path.resolve().as_uri() + "/"
    problems = "\n".join(look(browser, [own + "bad.html"], VIEWS["telephone, light"], own))
    for part in (
        "exception",
        "asks for http://example.org/a.js",
        "wider than",
        "does not load",
        "pale text",
        "theme is",
    ):
        assert part in problems, problems
