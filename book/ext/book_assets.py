"""Sphinx extension: what the built site needs beyond Jupyter Book's configuration.

* Vendored scripts (`book/vendor`) are copied to `_static`. They may not lie in the root `_static` folder: Jupyter
  Book loads every script it finds there on every page.
* `{{ repository_url }}` and `{{ repository_name }}` in a page become what `_config.yml` says, in code blocks too, where
  MyST's own substitutions do not reach.
* A title and a description for link previews on every page, from `description` in a page's front matter or from
  its first paragraph.
* No button leads to the repository while its address is the placeholder.
* The site's own address, from the repository's: `og:url`, a picture for link previews, and `sitemap.xml`.
* Figures lead to themselves at full size, for small screens.
* Clean pages: an inline script that Sphinx wrote twice is written once (the second would raise an error in the
  browser), and widget state without a widget is dropped. The search index (400 kB) is loaded by the page that searches.
* Explorers: their script and style are files of the site, made from the library at every build, and only the pages
  that have one load them. Stored notebooks hold the state alone (`tools/notebooks.py normalise`), so that a change
  of a script changes no notebook.
* A front page: `index.html` leads to the introduction, with a title for those who share the address.
"""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from notebook_head import is_placeholder  # noqa: E402

MAX_DESCRIPTION = 200

INLINE_SCRIPT = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>.*?</script>\s*", re.DOTALL)
WIDGET_STATE = re.compile(r'<script type="application/vnd\.jupyter\.widget-state\+json">.*?</script>\s*', re.DOTALL)
WIDGET_SOURCE = re.compile(r"<style>(?:(?!</style>).)*</style><script type=\"module\">.*?</script>", re.DOTALL)
# For a search while one types, which is off; `search.html` brings them itself.
SEARCH_SCRIPT = re.compile(r'<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"></script>\s*')
SEARCH_RESULTS = 'id="search-results"'
EXPLORER = 'data-explorer="'
# A picture that is no link yet; badges and drawings in text are links or have no file of their own.
PICTURE = re.compile(
    r'(?P<link><a\b[^>]*>\s*)?(?P<picture><img\b[^>]*?\bsrc="(?P<file>(?:\.\./)*_images/[^"]+)"[^>]*>)'
)
PREVIEW = "_images/patterns.png"
PREVIEW_WORDS = "Six patterns of attention, drawn as squares of coloured pairs."
# Between these comments stands what is true of a published repository only.
PUBLISHED = re.compile(r"^% published$.*?^% end of published$\n", re.DOTALL | re.MULTILINE)
NOT_LISTED = {"404", "search", "genindex"}
COST_LINE = "Runs on:"  # the first line of every notebook says nothing of what it is about
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

FRONT_PAGE = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>{title}</title>
    <meta name="description" content="{description}" />
    <meta property="og:title" content="{title}" />
    <meta property="og:description" content="{description}" />
    <meta property="og:type" content="website" />
    <meta http-equiv="refresh" content="0; url={target}" />
    <link rel="icon" href="data:," />
  </head>
  <body><p><a href="{target}">{title}</a></p></body>
</html>
"""


def add_vendored_files(app: Sphinx) -> None:
    """Copy `book/vendor` to the site's `_static` (too late for Jupyter Book to load it on every page)."""
    if app.builder.name == "epub":  # readers of electronic books run no scripts
        return
    app.config.html_static_path.append(str(ROOT / "book" / "vendor"))


def write_explorers(app: Sphinx) -> None:
    """Write the explorers' script and style into the site's `_static`."""
    if app.builder.format != "html" or app.builder.name == "epub":
        return
    from longsum_lib.viz.explorers import assets
    from longsum_lib.viz.explorers.live_weights import MODELS

    folder = Path(app.outdir) / "_static" / "explorers"
    folder.mkdir(parents=True, exist_ok=True)
    files = {"explorers.js": assets.page_script(), "explorers.css": assets.page_style()}
    files["live_engine.js"] = assets.engine_script()  # this and the weights are loaded at the reader's click
    files |= {f"live_{model}.js": assets.model_script(model) for model in MODELS}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def add_explorers(app: Sphinx, pagename: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Let a page that has an explorer load their script and style; its own copies go."""
    body = context.get("body") or ""
    if EXPLORER not in body or app.builder.name == "epub":
        return
    context["body"] = WIDGET_SOURCE.sub("", body)
    app.add_css_file("explorers/explorers.css")
    app.add_js_file("explorers/explorers.js", loading_method="defer")


def fill_in_repository(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the repository's address into a page's source."""
    url = app.config.html_theme_options.get("repository_url", "")
    name = url.rstrip("/").rsplit("/", 1)[-1]
    if is_placeholder(url):
        source[0] = PUBLISHED.sub("", source[0])
    source[0] = source[0].replace("{{ repository_url }}", url).replace("{{ repository_name }}", name)


def hide_placeholder(app: Sphinx) -> None:
    """Take away the buttons and addresses that lead nowhere while `_config.yml` holds the placeholder."""
    options = app.config.html_theme_options
    if is_placeholder(options.get("repository_url", "")):
        options["launch_buttons"] = {}
        options |= {f"use_{button}_button": False for button in ("repository", "edit_page", "issues", "source")}


def site_address(repository_url: str) -> str:
    """Return where GitHub serves the site of a repository.

    Example:
        >>> site_address("https://github.com/someone/a-book")
        'https://someone.github.io/a-book/'
    """
    owner, name = repository_url.rstrip("/").rsplit("/", 2)[-2:]
    return f"https://{owner.lower()}.github.io/{name}/"


def set_address(app: Sphinx) -> None:
    """Let Sphinx know the site's address, if the configuration does not say another."""
    url = app.config.html_theme_options.get("repository_url", "")
    if url and not is_placeholder(url) and not app.config.html_baseurl and app.builder.name != "epub":
        app.config.html_baseurl = site_address(url)


def link_figures(app: Sphinx, pagename: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Make every figure a link to itself at full size."""
    if app.builder.format != "html" or app.builder.name == "epub" or not context.get("body"):
        return

    def linked(match: re.Match[str]) -> str:
        if match["link"]:
            return match[0]
        return f'<a class="image-reference" href="{match["file"]}">{match["picture"]}</a>'

    context["body"] = PICTURE.sub(linked, context["body"])


def write_sitemap(app: Sphinx) -> None:
    """List every page for search engines."""
    pages = sorted(name for name in app.env.found_docs if name not in NOT_LISTED)
    lines = "".join(f"<url><loc>{html.escape(app.config.html_baseurl + name)}.html</loc></url>\n" for name in pages)
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{lines}</urlset>\n'
    (Path(app.outdir) / "sitemap.xml").write_text(text, encoding="utf-8")


def describe(doctree: nodes.document | None, metadata: dict) -> str:
    """Return a page's description: its own, or its first paragraph of prose cut at a word."""
    if metadata.get("description"):
        return " ".join(str(metadata["description"]).split())
    if doctree is None:
        return ""
    for paragraph in doctree.findall(nodes.paragraph):
        in_prose = isinstance(paragraph.parent, nodes.section)
        text = " ".join(paragraph.astext().split())
        if in_prose and len(text) > 40 and not text.startswith(COST_LINE) and not any(paragraph.findall(nodes.image)):
            return text if len(text) <= MAX_DESCRIPTION else text[:MAX_DESCRIPTION].rsplit(" ", 1)[0] + " …"
    return ""


def add_description(app: Sphinx, pagename: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Add description and link preview tags to a page's head."""
    title = html.unescape(re.sub(r"<[^>]+>", "", context.get("title") or app.config.html_title))
    description = describe(doctree, app.env.metadata.get(pagename, {})) or app.config.html_title
    tags = {
        'name="description"': description,
        'property="og:title"': title,
        'property="og:description"': description,
        'property="og:type"': "article",
        'property="og:site_name"': app.config.html_title,
        'name="twitter:card"': "summary_large_image",
    }
    if app.config.html_baseurl:
        tags |= {
            'property="og:url"': f"{app.config.html_baseurl}{pagename}.html",
            'property="og:image"': app.config.html_baseurl + PREVIEW,
            'property="og:image:alt"': PREVIEW_WORDS,
        }
    lines = [f'<meta {name} content="{html.escape(content, quote=True)}" />' for name, content in tags.items()]
    context["metatags"] = context.get("metatags", "") + "\n    " + "\n    ".join(lines)


def clean_page(text: str) -> str:
    """Drop repeated inline scripts, the search of a page that does not search, and widget state without a widget."""
    seen: set[str] = set()

    def once(match: re.Match[str]) -> str:
        script = match.group().strip()
        if script in seen and "THEBE" in script:
            return ""
        seen.add(script)
        return match.group()

    text = INLINE_SCRIPT.sub(once, text)
    if SEARCH_RESULTS not in text:
        text = SEARCH_SCRIPT.sub("", text)
    return text if WIDGET_VIEW in WIDGET_STATE.sub("", text) else WIDGET_STATE.sub("", text)


def finish_site(app: Sphinx, exception: Exception | None) -> None:
    """Clean every written page and write the front page."""
    if exception is not None or app.builder.format != "html" or app.builder.name == "epub":
        return
    out = Path(app.outdir)
    for page in out.rglob("*.html"):
        if "_static" in page.parts:
            continue
        before = page.read_text(encoding="utf-8")
        after = clean_page(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
    if app.config.html_baseurl:
        write_sitemap(app)
    root = app.config.root_doc
    if root != "index":
        description = app.env.metadata.get(root, {}).get("description") or app.config.html_title
        page = FRONT_PAGE.format(
            title=html.escape(app.config.html_title),
            description=html.escape(" ".join(description.split()), quote=True),
            target=f"{root}.html",
        )
        (out / "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    """Register the extension."""
    sys.path.insert(0, str(ROOT))  # autodoc imports longsum_lib from this clone
    app.connect("builder-inited", add_vendored_files)
    app.connect("builder-inited", write_explorers)
    app.connect("builder-inited", set_address)
    app.connect("builder-inited", hide_placeholder)
    app.connect("source-read", fill_in_repository)
    app.connect("html-page-context", add_description)
    app.connect("html-page-context", add_explorers)
    app.connect("html-page-context", link_figures)
    app.connect("build-finished", finish_site)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
