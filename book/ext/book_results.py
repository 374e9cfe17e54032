"""Sphinx extension: tables and charts from `benchmarks/results/*.json`.

The directive `benchmark-results` shows all of a file, `benchmark-figure` one picture of how costs grow.

A result file is one JSON object. `title` and `note` are its words; a list of objects is a table, a row an object;
everything else says where the numbers come from. What is named below gets a reader's words; what is not is shown too,
under its own name.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"

# Table -> title and what it answers.
TABLES = {
    "rates": ("The machine", "What the machine can do, measured in the same run; bounds are computed from it."),
    "encoder_time": ("Encoder: time", "Seconds for one document through the encoder."),
    "encoder_memory": ("Encoder: memory", "Peak beyond the weights for one document through the encoder, in MiB."),
    "decoder_step": ("Decoder: one token", "Seconds for each token that `generate` writes, the first one left out."),
    "decoder_memory": ("Decoder: memory", "What the decoder keeps of the document, in MiB."),
    "summary": ("A summary from beginning to end", "Encoder and beam search together."),
    "model_time": ("The other models' encoders: time", "Two layers at base width; LSG has no class in transformers."),
    "half_precision": ("Half precision", "Encoders in bf16 beside our own fp32; the bound is that of bf16 products."),
    "attention_time": ("Attention alone", "One layer's sliding windows, 12 heads, without projections."),
    "model_memory": ("The other models' encoders: memory", "Peak beyond the weights for one document, in MiB."),
    "extract_means": ("Real documents: means", "ROUGE F1 against the documents' own abstracts."),
    "extract_ahead": ("Real documents: who is ahead", "On how many of the documents extract scores higher."),
    "extract_documents": ("Real documents: each", "Extract beside the first sentences (lead)."),
    "extract_corpus": (
        "The synthetic corpus",
        "Ten sentences of each document; facts: per cent of the key values in them.",
    ),
    "together": ("Written together", "Factors are the other program's CPU seconds by ours, of pairs in turns."),
    "streams": ("Streamed", "Short documents through `summarize_corpus`, and the memory that is held."),
    "engines": ("One machine, with and without Ray", "A job of 60 short documents with led-tiny, start included."),
    "throughput": ("Documents a minute", "Of 4,096 tokens each; one core."),
    "extract_seconds": ("Processor time of an extract", "The function alone, and the whole command with its imports."),
    "guard": ("Texts of the corpus and others", "How many were taken for what they are not."),
    "commands": ("The command on foreign texts", "Of each: an extract, exit code 2, or a sentence that is not there."),
    "real_files": ("Each file", "How many of the summary's sentences were found, and the processor time."),
    "desk_ratios": (
        "How many times less",
        "From one side to the other, round by round: median, lowest and highest ratio.",
    ),
    "desk_sides": ("Each side", "Medians; low and high are the lowest and highest round."),
    "counted_encoder": ("Encoder", "One document of 16,384 tokens; memory beside the weights."),
    "counted_training": ("Training", "Forward and backward on 8,192 tokens, layers checkpointed; gradients are in it."),
    "counted_layers": ("One encoder layer more", "Of 16,384 tokens, ours; counted in narrow layers."),
    "counted_decoding": ("One token of a summary", "With 4 beams; kernels that are started one by one."),
    "training_step": ("One training step", "Forward, backward and update on one document."),
}
COLUMNS = {
    "length": "tokens",
    "seconds": "ours (s)",
    "bound_seconds": "bound (s)",
    "times_bound": "ours / bound",
    "transformers_seconds": "transformers (s)",
    "times_faster": "times faster (over the rounds)",
    "full_seconds": "full attention (s)",
    "times_faster_than_full": "times faster than full",
    "largest_difference": "largest difference",
    "extra_mib": "ours (MiB)",
    "transformers_extra_mib": "transformers (MiB)",
    "full_extra_mib": "full attention (MiB)",
    "fraction_of_transformers": "ours / transformers",
    "cross_cache_mib": "document cache (MiB)",
    "transformers_cross_cache_mib": "transformers' cache (MiB)",
    "matmul_gflops": "matrix products (GFLOP/s)",
    "bfloat16_gflops": "the same in bf16 (GFLOP/s)",
    "bandwidth_gb_s": "copying (GB/s)",
    "read_gb_s": "reading (GB/s)",
    "float32_seconds": "our fp32 (s)",
    "times_faster_than_float32": "times faster than fp32",
    "relative_difference": "relative difference",
    "flex_seconds": "FlexAttention (s)",
    "times_faster_than_flex": "times faster than FlexAttention",
    "local_attention_seconds": "local-attention (s)",
    "times_faster_than_local_attention": "times faster than local-attention",
}
COLUMNS |= {
    "mib": "memory (MiB)",
    "kernels": "operations started",
    "waits": "waits for the card",
    "replays": "graph replays",
    **{f"rouge{name}": f"R-{name}" for name in ("1", "2", "L", "Lsum")},
    **{f"lead_rouge{name}": f"lead R-{name}" for name in ("1", "2", "Lsum")},
    "facts": "facts (%)",
    "in_words": "there, word for word",
    "in_letters": "there, by letters",
    "right_pages": "on the right page",
    "all": "all three",
    "function_seconds": "function (s)",
    "command_seconds": "command (s)",
    "their_cpu_seconds": "theirs (CPU s)",
    "cpu_seconds": "ours (CPU s)",
    "their_extra_mib": "their extra memory (MiB)",
    "lowest_factor": "lowest factor",
    "mib_after_100": "held after 100 (MiB)",
    "mib_at_the_end": "held at the end (MiB)",
    "peak_mib": "peak of all processes (MiB)",
    "wall_seconds": "seconds by the clock",
    "cpu_seconds_a_document": "CPU seconds a document",
    "documents_a_minute_a_core": "documents a minute and core",
}
CONSTANT = ("model", "dtype", "beams", "target_tokens", "new_tokens", "layers")  # left out where they do not vary
HIDDEN = {
    "case",
    "spread",
    "multiply_adds",
    "read_by",
    "runs",
    "details",
    "said",
    "seeds",
    "versions",
    "licence",
}  # for programs; the files have them
# Lines of a chart: column -> name and the palette's series.
LINES = {
    "full_seconds": ("full attention", 0),
    "transformers_seconds": ("transformers", 2),
    "seconds": ("longsum_lib", 1),
    "bound_seconds": ("bound", 3),
}
CHARTS = {"encoder_time"}
RAW = {"rows"}  # single rounds: the file has them
WORDS = ("title", "note")


class BenchmarkResults(SphinxDirective):
    """One section a result file; a sentence if there is none."""

    def run(self) -> list[nodes.Node]:
        """Build the sections."""
        self.env.note_reread()
        files = sorted(RESULTS.glob("*.json"), key=lambda path: path.stem)  # cpu before cpu-zen4
        if not files:
            return [nodes.paragraph(text="No results have been stored yet.")]
        return [self.section(path, json.loads(path.read_text(encoding="utf-8"))) for path in files]

    def section(self, path: Path, result: dict[str, Any]) -> nodes.section:
        """One result file as a section: title, note, origin, and a part for each table."""
        section = new_section(path.stem, result.get("title") or plain(path.stem))
        if result.get("note"):
            section += nodes.paragraph(text=result["note"])
        section += origin(path, result)
        for name, rows in result.items():
            if not is_table(rows) or name in RAW:
                continue
            title, sentence = TABLES.get(name, (plain(name), ""))
            part = new_section(f"{path.stem}-{name}", title)
            if sentence:
                part += nodes.paragraph(text=sentence)
            if name in CHARTS:
                part += self.chart(path.stem, name, rows)
            same, rows = split_constant(rows)
            if same:
                part += nodes.paragraph(text=same)
            part += table(rows)
            section += part
        return section

    def chart(self, stem: str, name: str, rows: list[dict[str, Any]]) -> list[nodes.Node]:
        """A chart of time against length, one panel for each allocator; nothing for a single length."""
        if len({row["length"] for row in rows}) < 2:
            return []
        file = Path(self.env.app.doctreedir).parent / "charts" / f"{stem}-{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        draw_chart(rows, file)
        uri = os.path.relpath(file, Path(self.env.srcdir) / Path(self.env.docname).parent)
        alt = "Time against input length on logarithmic axes: " + ", ".join(n for n, _ in LINES.values()) + "."
        image = nodes.image(uri=uri.replace(os.sep, "/"), alt=alt, classes=["dark-light"])
        words = f"{TABLES[name][0]} against input length, from the table below."
        return [nodes.figure("", image, nodes.caption(text=words))]


class BenchmarkFigure(SphinxDirective):
    """A picture of the stored results: `time`, `memory`, `bound` or `crossover`, with an alt text and a caption."""

    required_arguments = 1
    has_content = True
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012 - read by docutils

    def run(self) -> list[nodes.Node]:
        """Draw the picture and build the figure; the content is its caption."""
        self.env.note_reread()
        from longsum_lib import viz

        kind, results = self.arguments[0], viz.load_results()
        ax = viz.draw_crossover(results) if kind == "crossover" else viz.draw_scaling(results, kind)
        file = Path(self.env.app.doctreedir).parent / "charts" / f"scaling-{kind}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        viz.save(ax.figure, file)
        uri = os.path.relpath(file, Path(self.env.srcdir) / Path(self.env.docname).parent)
        image = nodes.image(uri=uri.replace(os.sep, "/"), alt=self.options["alt"], classes=["dark-light"])
        caption = nodes.caption()
        words, _ = self.state.inline_text(" ".join(self.content), self.lineno)
        caption += words
        return [nodes.figure("", image, caption)]


class BenchmarkScaling(SphinxDirective):
    """How many times more 65,536 tokens cost than 16,384, for every model; and the crossover."""

    def run(self) -> list[nodes.Node]:
        """Build the list."""
        self.env.note_reread()
        from longsum_lib import viz
        from longsum_lib.viz.scaling import growth

        results = viz.load_results()
        models = dict.fromkeys(row["model"] for name in ("encoder_time", "model_time") for row in results.rows(name))
        rows = []
        for model in models:
            times, memory = growth(results, model), growth(results, model, "memory")
            rows.append({"model": model, "times the time": times, "times the memory": memory})
        lines = [nodes.paragraph(text="65,536 tokens against 16,384, default allocator:"), table(rows)]
        lines.append(nodes.paragraph(text=f"{viz.crossover_words(results)}. {results.caption()}"))
        return lines


class BenchmarkTable(SphinxDirective):
    """One table of one result file: `benchmark-table FILE TABLE`."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        self.env.note_reread()
        rows = stored(self.arguments[0]).get(self.arguments[1])
        return [table(rows)] if rows else [not_measured()]


class BenchmarkFacts(SphinxDirective):
    """What a result file says beside tables, its words and where it comes from: `benchmark-facts FILE`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the list."""
        self.env.note_reread()
        result = stored(self.arguments[0])
        facts = {name: value for name, value in result.items() if isinstance(value, bool | int | float)}
        rows = [{"what": plain(name), "counted": text(value)} for name, value in facts.items()]
        return [table(rows)] if rows else [not_measured()]


class BenchmarkPlan(SphinxDirective):
    """Hours of a million documents by cores: `benchmark-plan FILE TABLE`, whose rows have seconds a document."""

    required_arguments = 2
    cores = (1, 8, 64, 512)

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        self.env.note_reread()
        rows = stored(self.arguments[0]).get(self.arguments[1])
        if not rows:
            return [not_measured()]
        plans = [
            {"hours of a million documents": row["model"]}
            | {f"{n} cores": 1e6 * row["cpu_seconds_a_document"] / 3600 / n for n in self.cores}
            for row in rows
        ]
        return [table(plans)]


def stored(name: str) -> dict[str, Any]:
    """A result file, empty where it was not measured yet."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def not_measured() -> nodes.paragraph:
    """What stands in the place of a table that is not there yet."""
    return nodes.paragraph(text="This was not measured yet.")


def draw_chart(rows: list[dict[str, Any]], file: Path) -> None:
    """Draw seconds against length for every program."""
    from longsum_lib import viz

    allocators = list(dict.fromkeys(row.get("allocator") for row in rows))
    figure, axes = viz.new_figure(1, len(allocators), height=3.3, squeeze=False, sharey=True)
    for ax, allocator in zip(axes[0], allocators, strict=True):
        chosen = [row for row in rows if row.get("allocator") == allocator and row.get("dtype") in (None, "float32")]
        lines = {
            name: ([row["length"] for row in chosen], [row.get(column) for row in chosen])
            for column, (name, _) in LINES.items()
            if any(row.get(column) for row in chosen)
        }
        title = f"allocator: {allocator}" if allocator else None
        viz.draw_cost(lines, ylabel="time (s)", ax=ax, title=title, styles=dict(LINES.values()))
        ax.label_outer()
        ax.tick_params(axis="x", rotation=30)
    viz.save(figure, file)


def new_section(name: str, title: str) -> nodes.section:
    """An empty section with a title and an anchor."""
    section = nodes.section(ids=[nodes.make_id(name)], names=[nodes.fully_normalize_name(title)])
    section += nodes.title(text=title)
    return section


def is_table(value: Any) -> bool:
    """Whether a value of a result file is a list of rows."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def plain(name: str) -> str:
    """A JSON name as words."""
    return name.replace("_", " ").capitalize()


def text(value: Any) -> str:
    """A JSON value as a reader wants it: three digits also where they are zeros, thousands separated."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
    if isinstance(value, list):
        return ", ".join(text(item) for item in value)
    return str(value)


def with_spread(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose ratio to transformers has the smallest and the largest one that its rounds allow behind it."""
    if row.get("times_faster") is None:
        return row
    spread = row["spread"]
    ours, theirs = (spread[name] for name in ("longsum_lib", "transformers"))
    low, high = theirs["low"] / ours["high"], theirs["high"] / ours["low"]
    if "times_faster" in spread:  # of several runs: two programs are compared within a run
        low, high = (spread["times_faster"][name] for name in ("low", "high"))
    rounds = "one round" if ours["rounds"] == 1 else f"{low:.1f} to {high:.1f}"
    return {**row, "times_faster": f"{row['times_faster']:.1f} ({rounds})"}


def split_constant(rows: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """What is the same in all rows of a table, in words, and the rows without it.

    Example:
        >>> split_constant([{"model": "LED", "length": 1}, {"model": "LED", "length": 2}])
        ('In all rows: model LED.', [{'length': 1}, {'length': 2}])
    """
    names = [n for n in CONSTANT if len({text(row.get(n)) for row in rows}) == 1 and rows[0].get(n) is not None]
    if len(rows) < 2 or not names:
        return "", rows
    words = ", ".join(f"{COLUMNS.get(n, n)} {text(rows[0][n])}" for n in names)
    return f"In all rows: {words}.", [{k: v for k, v in row.items() if k not in names} for row in rows]


def columns_of(rows: list[dict[str, Any]]) -> list[str]:
    """Columns worth showing, in order of appearance: not empty, not nested, not for programs only."""
    names = dict.fromkeys(name for row in rows for name in row if name not in HIDDEN)
    return [n for n in names if any(row.get(n) is not None and not isinstance(row[n], dict) for row in rows)]


def table(rows: list[dict[str, Any]]) -> nodes.table:
    """A docutils table with the union of the rows' columns."""
    rows = [with_spread(row) if "spread" in row else row for row in rows]
    columns = columns_of(rows)
    group = nodes.tgroup(cols=len(columns))
    group += [nodes.colspec(colwidth=1) for _ in columns]
    head = nodes.row()
    head += [nodes.entry("", nodes.paragraph(text=COLUMNS.get(n, n.replace("_", " ")))) for n in columns]
    body = nodes.tbody()
    for row in rows:
        line = nodes.row()
        line += [nodes.entry("", nodes.paragraph(text=text(row.get(name)))) for name in columns]
        body += line
    group += nodes.thead("", head)
    group += body
    return nodes.table("", group, classes=["numbers"])


def origin(path: Path, result: dict[str, Any]) -> nodes.field_list:
    """Where the numbers come from: file, machine, versions, settings."""
    fields = nodes.field_list()
    entries = {"file": f"benchmarks/results/{path.name}"}
    for name, value in result.items():
        if name in WORDS or is_table(value) or value in ([], {}, "", None):  # nothing was missing: nothing to say
            continue
        if isinstance(value, dict):
            value = "; ".join(f"{k.replace('_', ' ')} {text(v)}" for k, v in value.items() if not isinstance(v, dict))
        entries[name] = text(value)
    for name, value in entries.items():
        body = nodes.field_body("", nodes.paragraph(text=value))
        fields += nodes.field("", nodes.field_name(text=plain(name)), body)
    return fields


def setup(app: Sphinx) -> dict:
    """Register the directive."""
    app.add_directive("benchmark-results", BenchmarkResults)
    app.add_directive("benchmark-figure", BenchmarkFigure)
    app.add_directive("benchmark-scaling", BenchmarkScaling)
    app.add_directive("benchmark-table", BenchmarkTable)
    app.add_directive("benchmark-facts", BenchmarkFacts)
    app.add_directive("benchmark-plan", BenchmarkPlan)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
