"""Sphinx extension: icons as drawings in the page, without the script of 1.5 MB that would draw them.

The theme marks an icon by an empty element, `<i class="fa-solid fa-list">`, and loads all of Font Awesome to replace
some twenty of them. Here they are replaced when the site is written, by the same drawings out of the same file, and the
file is left out. Font Awesome Free's icons are CC BY 4.0; each page says so.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from sphinx.application import Sphinx

ICON = re.compile(r'<i\b(?P<before>[^>]*?)class="(?P<classes>[^"]*\bfa-[^"]*)"(?P<after>[^>]*)>\s*</i>')
SCRIPT = re.compile(r'<script\b[^>]*\bsrc="[^"]*fontawesome\.js[^"]*"></script>\s*')
HINT = re.compile(r'<link\b[^>]*\bhref="[^"]*fontawesome\.js[^"]*"[^>]*>\s*')
STYLES = {"fa-solid", "fas", "fa-brands", "fab", "fa-regular", "far", "fa-lg", "fa-fw"}
CREDIT = "<!-- Icons: Font Awesome Free, fontawesome.com, CC BY 4.0 -->\n</body>"
# "name":[width,height,[other names],"code","path"]
DRAWING = re.compile(r'(?P<name>"[a-z0-9-]+"|[a-z0-9]+):(?P<drawing>\[\d+,\d+,\[[^\]]*\],"[0-9a-f]+","[^"]+"\])')


@cache
def drawings(script: Path) -> dict[str, tuple[int, int, str]]:
    """Return width, height and path of every icon of Font Awesome's script, by all of its names."""
    found: dict[str, tuple[int, int, str]] = {}
    for match in DRAWING.finditer(script.read_text(encoding="utf-8")):
        width, height, others, _, path = json.loads(match["drawing"])
        for name in (match["name"].strip('"'), *map(str, others)):
            found.setdefault(name, (width, height, path))
    return found


def draw_icons(page: str, known: dict[str, tuple[int, int, str]]) -> str:
    """Replace the icons of a page by drawings, and drop the script.

    Args:
        page: The page's HTML.
        known: The drawings.

    Raises:
        KeyError: The theme uses an icon that its script does not have.
    """

    def drawn(match: re.Match[str]) -> str:
        classes = match["classes"].split()
        name = next(c for c in classes if c.startswith("fa-") and c not in STYLES)
        width, height, path = known[name.removeprefix("fa-")]
        attributes = f"{match['before']}{match['after']}".strip()
        hidden = "" if "aria-" in attributes else ' aria-hidden="true"'
        return (
            f'<svg class="svg-inline--fa {" ".join(classes)}" {attributes}{hidden} viewBox="0 0 {width} {height}">'
            f'<path fill="currentColor" d="{path}"/></svg>'
        )

    page, count = ICON.subn(drawn, page)
    page = HINT.sub("", SCRIPT.sub("", page))
    return page.replace("</body>", CREDIT) if count else page


def draw_all(app: Sphinx, exception: Exception | None) -> None:
    """Do so in every written page, then remove the script from the site."""
    if exception is not None or app.builder.format != "html" or app.builder.name == "epub":
        return
    script = Path(app.outdir) / "_static" / "scripts" / "fontawesome.js"
    if not script.is_file():
        return
    for page in Path(app.outdir).rglob("*.html"):
        if "_static" not in page.parts:
            before = page.read_text(encoding="utf-8")
            after = draw_icons(before, drawings(script))
            if after != before:
                page.write_text(after, encoding="utf-8")
    for file in script.parent.glob("fontawesome.js*"):
        file.unlink()


def setup(app: Sphinx) -> dict:
    """Register the extension."""
    app.connect("build-finished", draw_all, priority=900)  # behind what else changes written pages
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
