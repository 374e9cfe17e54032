"""The explorers' scripts and styles, put together from ``assets/``; needs nothing but Python."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from longsum_lib.budget import formulas
from longsum_lib.viz import palette
from longsum_lib.viz.explorers.live_patterns import extract_tables
from longsum_lib.viz.palette import KINDS, SERIES

FOLDER = Path(__file__).resolve().parent / "assets"
_DATA = Path(__file__).resolve().parents[2] / "data"

#: Name of each explorer -> its scripts in ``assets/``, in order. ``common.js`` comes before all of them.
SCRIPTS: dict[str, tuple[str, ...]] = {
    "mask": ("patterns", "controls", "mask"),
    "reach": ("patterns", "controls", "reach"),
    "source": ("source",),
    "cost": ("cost_formulas", "cost"),
    "merge": ("patterns", "merge_parts", "merge"),
    "summarizer": ("source", "live_page", "live_tries", "live"),
}


def load(name: str) -> Any:
    """Return what ``assets/<name>.json`` holds."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def _constant(match: re.Match[str]) -> str:
    """Value of a name like ``__KINDS__`` in a script: the palette, or a JSON file of ``assets/``."""
    name = match[1].lower()
    if name == "kinds":
        value: Any = [
            {"name": k.name, "label": k.label, "color": k.color, "hatch": k.hatch, "hatchColor": k.hatch_color}
            for k in KINDS
        ]
    elif name == "kind_codes":
        value = {kind: getattr(palette, kind) for kind in ("NONE", "LOCAL", "GLOBAL", "SELECTED", "RANDOM")}
    elif name == "cost_constants":
        value = {constant: getattr(formulas, constant) for constant in formulas.CONSTANTS}
    elif name == "series":
        value = [color for color, _, _ in SERIES]
    elif name == "live_world":
        value = json.loads((_DATA / "world.json").read_text(encoding="utf-8"))
    elif name == "live_rules":
        value = extract_tables()
    elif name == "live_tokenizer":
        value = _tokenizer_tables()
    else:
        value = load(name)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _tokenizer_tables() -> dict[str, Any]:
    """What ``live_tokenizer.js`` needs: the tiny models' pieces by id, and merges and special pieces as ids."""
    tokenizer = json.loads((_DATA / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))
    ids = tokenizer["model"]["vocab"]
    return {
        "pieces": sorted(ids, key=ids.get),
        "merges": [[ids[left], ids[right]] for left, right in tokenizer["model"]["merges"]],
        "special": [token["id"] for token in tokenizer["added_tokens"]],
    }


@lru_cache(maxsize=64)
def _read(name: str) -> str:
    path = FOLDER / name
    if path.suffix == ".css" and not path.is_file():  # most explorers need no style of their own
        return ""
    return re.sub(r"\b__([A-Z_]+?)__\b", _constant, path.read_text(encoding="utf-8"))


def source(explorers: Iterable[str]) -> str:
    """Return the script of some explorers: what they share, then each one's own, every part once."""
    names = dict.fromkeys(name for explorer in explorers for name in SCRIPTS[explorer])
    return "\n".join(_read(f"{name}.js") for name in ("common", *names))


def style(explorers: Iterable[str]) -> str:
    """Return the style sheet of some explorers."""
    names = dict.fromkeys(name for explorer in explorers for name in SCRIPTS[explorer])
    return "\n".join(filter(None, [_read("common.css"), *(_read(f"{name}.css") for name in names)]))


def module(explorer: str) -> str:
    """Return the ES module that anywidget loads."""
    return (
        source([explorer]) + f'\nexport default {{ render: ({{ model, el }}) => mount("{explorer}", '
        'el.appendChild(h("div", { "data-mounted": "1" })), model) };\n'
    )


def page_script() -> str:
    """Return the script of a page without a kernel: all explorers, in a scope of their own."""
    return f"(() => {{\n{source(SCRIPTS)}\nmountAll();\n}})();\n"


def page_style() -> str:
    """Return the style sheet of such a page."""
    return style(SCRIPTS)


#: Parts of the live summarizer's engine, in order.
ENGINE = (
    "patterns",
    "live_math",
    "live_tokenizer",
    "live_families",
    "live_model",
    "live_guard",
    "live_world",
    "live_sentences",
    "live_layout",
    "live_extract",
    "live_worker",
    "live_engine",
)

_LIVE = "(globalThis.longsumLive ??= { models: {} })"


def engine_script() -> str:
    """Return the script of the live summarizer's engine, which a page loads at the first click.

    It defines one function, ``longsumLive.engine``: a worker is made of its text.
    """
    return f"{_LIVE}.engine = function () {{\n" + "\n".join(_read(f"{name}.js") for name in ENGINE) + "};\n"


def model_script(model: str) -> str:
    """Return the script that holds a tiny model's weights, as :func:`.live_weights.pack_model` rounds them.

    Raises:
        OptionError: the page does not run this model.
    """
    from longsum_lib.viz.explorers.live_weights import pack_model

    file, data = pack_model(model)
    entry = json.dumps({"file": file, "bytes": base64.b64encode(data).decode("ascii")}, separators=(",", ":"))
    return f"{_LIVE}.models[{json.dumps(model)}] = {entry};\n"


def frame(explorer: str, state: Mapping[str, object], description: str) -> str:
    """Return the element that a script fills: the state as an attribute, and words for readers without scripts.

    Args:
        explorer: name of the explorer, a key of :data:`SCRIPTS`.
        state: what it shows; anything that JSON can hold.
        description: what the explorer shows, in a sentence or two of plain text.

    Returns:
        The same HTML for the same arguments, without line breaks.
    """
    stored = json.dumps(state, separators=(",", ":"), ensure_ascii=False)
    # In single quotes, so that the quotes of JSON stay short.
    attribute = stored.replace("&", "&amp;").replace("'", "&#39;").replace("<", "&lt;").replace("\n", "&#10;")
    return (
        f'<div class="longsum-explorer" data-explorer="{explorer}" data-state=\'{attribute}\'>'
        f"<p>{html.escape(description, quote=False)}</p></div>"
    )


def static_html(explorer: str, state: Mapping[str, object], description: str) -> str:
    """Return an explorer as HTML that needs nothing else: no kernel, no network, no other file.

    The book does not use the style and the script in it: it puts them once into a file of the site
    (``book/ext/book_assets.py``), and ``tools/notebooks.py normalise`` drops them from stored notebooks.
    """
    script = f"{source([explorer])}\nmountAll();"
    if "</script" in script.lower() or "</style" in style([explorer]).lower():
        raise ValueError(f"the script or the style of {explorer!r} would end its own element")
    return (
        frame(explorer, state, description)
        + f'<style>{style([explorer])}</style><script type="module">{script}</script>'
    )
