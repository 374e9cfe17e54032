"""What runs in the reader's browser, against Python, and how fast: ``python -m benchmarks.live``.

Writes results/live.json. Ids: 50 held-out documents of 512 to 4,096 tokens, greedy, the engine in Node.js beside the
library, with the same rounded weights and with the checkpoint's own. Times and memory: Chromium, a page from a folder,
one document of 4,096 tokens.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from . import machine
from .live_engine import run_engine

FILE = Path(__file__).parent / "results" / "live.json"
LENGTHS = (512, 768, 1024, 1536, 2048, 3072, 4096)
FIRST_SEED, DOCUMENTS = 2000, 50
ROUNDS = 5
PAGE = "document.querySelector('.longsum-explorer')"
WITHOUT = {"WebAssembly SIMD": "", "JavaScript": "window.Worker = window.WebAssembly = undefined;"}

Row = dict[str, object]


def documents(count: int) -> list:
    """Documents of the test split, by seed, whose lengths take turns."""
    from longsum_lib import make_document

    return [make_document(FIRST_SEED + i, LENGTHS[i % len(LENGTHS)], "test") for i in range(count)]


def written(name: str, ids: list[list[int]], rounded: bool) -> list[list[int]]:
    """Greedy ids of the library, with the weights of the page or with the checkpoint's."""
    import torch

    from longsum_lib import load, load_tokenizer
    from longsum_lib.generation.writer import Options, Writer
    from longsum_lib.viz.explorers.live_weights import rounded_state

    model = load(name, device="cpu", dtype="fp32")
    if rounded:
        state = model.state_dict()
        for key, tensor in rounded_state(name).items():
            state[key][: len(tensor)] = torch.from_numpy(tensor)
        model.load_state_dict(state)
    writer = Writer(model, load_tokenizer(name), type(model).__name__, Options(generate={"num_beams": 1}))
    with torch.inference_mode():
        return [model.generate(**writer._inputs([one]), num_beams=1)[0, 1:].tolist() for one in ids]


def agreement(name: str, count: int) -> Row:
    """How many summaries of the page are those of Python, id by id."""
    from longsum_lib import load_tokenizer

    texts = [document.text for document in documents(count)]
    program = (
        "const tokenizer = engine.tokenizer();"
        f"return data.map((text) => {{ const {{ ids }} = tokenizer.encode(text);"
        f" const {{ ids: out, read, write }} = summarize({name!r}, ids); return {{ ids, out, read, write }}; }});"
    )
    page = run_engine(program, texts, (name,))
    ids = [load_tokenizer(name)(text).input_ids for text in texts]
    same, full = written(name, ids, rounded=True), written(name, ids, rounded=False)
    return {
        "model": name,
        "documents": count,
        "same_tokens": sum(one["ids"] == expected for one, expected in zip(page, ids, strict=True)),
        "same_summary_rounded_weights": sum(one["out"] == out for one, out in zip(page, same, strict=True)),
        "same_summary_full_weights": sum(one["out"] == out for one, out in zip(page, full, strict=True)),
    }


def in_browser(program: str, kernel: str) -> Row:
    """Times and memory of summaries in Chromium, each on a page of its own."""
    from longsum_lib.viz import LiveSummarizer
    from tests.site.chromium import Browser

    rows = []
    with tempfile.TemporaryDirectory() as folder, Browser(program) as browser:
        url = LiveSummarizer().write_html(Path(folder) / "page.html").as_uri()
        for _ in range(ROUNDS):
            page = browser.new_page(width=1280, height=900)
            page.send("Page.addScriptToEvaluateOnNewDocument", source=WITHOUT[kernel])
            page.open(url)
            before = memory_mib()
            start = time.perf_counter()
            page.evaluate(f"{PAGE}.querySelector('.lx-run').click()")
            page.wait_for(f"{PAGE}.dataset.summary", 60)
            data = page.evaluate(f"({{ ...{PAGE}.dataset }})")
            shown, held = time.perf_counter() - start, memory_mib()
            rows.append((int(data["read"]) / 1000, int(data["write"]) / 1000, shown, held, held - before))
            if data["kernel"] != kernel:
                raise RuntimeError(f"the page computed with {data['kernel']}, expected {kernel}")
            page.close()
    names = ("read_seconds", "write_seconds", "click_to_end_seconds", "renderer_mib", "renderer_growth_mib")
    medians = dict(zip(names, (round(statistics.median(column), 3) for column in zip(*rows, strict=True)), strict=True))
    slowest = {
        "slowest_read_seconds": max(row[0] for row in rows),
        "slowest_write_seconds": max(row[1] for row in rows),
    }
    return {"kernel": kernel, "rounds": ROUNDS, "tokens": 4086, **medians, **slowest}


def renderers() -> Iterator[object]:
    """Chromium's processes that hold pages."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        try:
            if "--type=renderer" in process.cmdline():
                yield process
        except psutil.Error:
            continue  # it has ended meanwhile


def memory_mib() -> float:
    """The largest renderer's share of memory: the page's, with its worker."""
    return max((process.memory_full_info().pss for process in renderers()), default=0) / 2**20


def loaded_bytes() -> Row:
    """What a click loads from the site."""
    from longsum_lib.viz.explorers import assets, live_weights

    engine = len(assets.engine_script().encode())
    return {name: engine + len(assets.model_script(name)) for name in live_weights.MODELS}


def main() -> int:
    """Measure and write the file."""
    from longsum_lib.viz.explorers.live_weights import MODELS
    from tests.conftest import find_chromium

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=DOCUMENTS, metavar="N", help="documents (default: 50)")
    count = parser.parse_args().documents
    program = find_chromium()
    if program is None:
        parser.error("needs Chromium; install it or set CHROMIUM to its path")
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "loaded_bytes": loaded_bytes(),
        "agreement": [agreement(name, count) for name in MODELS],
        "chromium": [in_browser(program, kernel) for kernel in WITHOUT],
    }
    FILE.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
