"""The result file: rows that belong together, columns that follow from others, tables for a terminal."""

from __future__ import annotations

TABLES = (
    "rates",
    "encoder_time",
    "encoder_memory",
    "decoder_step",
    "decoder_memory",
    "summary",
    "training_step",
    "model_time",
    "model_memory",
    "half_precision",
    "attention_time",
)
KEYS = ("model", "dtype", "length", "beams", "target_tokens", "new_tokens", "layers", "allocator")
RATIOS = {  # column -> numerator, denominator
    "times_bound": ("seconds", "bound_seconds"),
    "times_faster": ("transformers_seconds", "seconds"),
    "times_faster_than_full": ("full_seconds", "seconds"),
    "fraction_of_transformers": ("extra_mib", "transformers_extra_mib"),
    "times_faster_than_float32": ("float32_seconds", "seconds"),
    "times_faster_than_flex": ("flex_seconds", "seconds"),
    "times_faster_than_local_attention": ("local_attention_seconds", "seconds"),
}
CACHE_RATIO = ("cross_cache_mib", "transformers_cross_cache_mib")
COLUMNS = (
    *KEYS,
    "same_ids",
    "matmul_gflops",
    "bfloat16_gflops",
    "bandwidth_gb_s",
    "read_gb_s",
    "seconds",
    "bound_seconds",
    "times_bound",
    "transformers_seconds",
    "times_faster",
    "full_seconds",
    "times_faster_than_full",
    "float32_seconds",
    "times_faster_than_float32",
    "relative_difference",
    "flex_seconds",
    "times_faster_than_flex",
    "local_attention_seconds",
    "times_faster_than_local_attention",
    "largest_difference",
    "extra_mib",
    "transformers_extra_mib",
    "full_extra_mib",
    "cross_cache_mib",
    "transformers_cross_cache_mib",
    "fraction_of_transformers",
    "multiply_adds",
    "spread",
    "runs",
)


def add_row(result: dict, table: str, row: dict) -> None:
    """Add a row to a table, or its columns to the row that has the same keys."""
    rows = result.setdefault(table, [])
    key = _key(row)
    for old in rows:
        if _key(old) == key:
            old.update(row)
            return
    rows.append(dict(row))


def ratio_range(spread: dict) -> tuple[float, float]:
    """How much faster than transformers: from its fastest round beside our slowest to the opposite.

    Example:
        >>> ratio_range({"longsum_lib": {"low": 1, "high": 2}, "transformers": {"low": 4, "high": 8}})
        (2.0, 8.0)
    """
    if "times_faster" in spread:  # of several runs: found run by run when they were merged
        return spread["times_faster"]["low"], spread["times_faster"]["high"]
    ours, theirs = (spread[name] for name in ("longsum_lib", "transformers"))
    return theirs["low"] / ours["high"], theirs["high"] / ours["low"]


def _key(row: dict) -> tuple:
    return tuple(row.get(name) for name in KEYS)


def derived(result: dict) -> dict:
    """Return a copy with ratios, every table in order, every row of a table with the same columns."""
    plain = {name: value for name, value in result.items() if name not in TABLES}
    tables = {}
    for name in TABLES:
        rows = [_with_ratios(row) for row in result.get(name, [])]
        columns = [c for c in COLUMNS if any(c in row for row in rows)]
        rows.sort(key=lambda row: [str(row.get("dtype")) != "float32", *_order(row)])
        if rows:
            tables[name] = [{c: row.get(c) for c in columns} for row in rows]
    return {**plain, **tables}


def _order(row: dict) -> list:
    model = "" if row.get("model") == "LED" else str(row.get("model"))
    return [model, row.get("length") or 0, row.get("beams") or 0, str(row.get("allocator"))]


def _with_ratios(row: dict) -> dict:
    ratios = dict(RATIOS)
    if "cross_cache_mib" in row:
        ratios["fraction_of_transformers"] = CACHE_RATIO
    values = {name: (row.get(top), row.get(bottom)) for name, (top, bottom) in ratios.items()}
    found = {name: top / bottom for name, (top, bottom) in values.items() if top is not None and bottom}
    return {**row, **found}


def rounded(value: object) -> object:
    """Return a value with four significant digits in every float.

    Example:
        >>> rounded({"seconds": [1.23456, 1234567]})
        {'seconds': [1.235, 1234567]}
    """
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return value


def format_tables(result: dict) -> str:
    """Return the tables as aligned text, without the columns that only a program wants."""
    return "\n\n".join(f"{name}\n{_format(result[name])}" for name in TABLES if name in result)


def _format(rows: list[dict]) -> str:
    columns = [c for c in rows[0] if c not in ("spread", "multiply_adds", "runs")]
    cells = [columns] + [[_text(row[c]) for c in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)
