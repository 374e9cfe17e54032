"""The benchmarks run, count right, and what README prints is what they stored."""

import json
import math
import re
from pathlib import Path

import pytest
import torch

from benchmarks import (
    attentions,
    bounds,
    cases,
    desk,
    encoders,
    formats,
    half,
    machine,
    merge,
    programs,
    readme,
    tables,
    windows,
    worker,
)
from benchmarks.run import ALLOCATORS, PACKAGED, RESULTS, jobs, new_result
from longsum_lib.attention import patterns
from longsum_lib.viz import scaling
from longsum_lib.viz.results import Results, load_results

SMALL = {"d_model": 16, "ffn": 24, "heads": 2, "window": 8, "vocabulary": 1000}


@pytest.fixture
def small(monkeypatch):
    """The real cases at a size that takes no time."""
    for name, value in SMALL.items():
        monkeypatch.setitem(programs.BASE, name, value)
    monkeypatch.setattr(cases, "DECODER_LENGTH", 50)
    monkeypatch.setattr(machine, "matmul_gflops", lambda **_: 100.0)
    monkeypatch.setattr(machine, "read_gb_s", lambda: 10.0)
    monkeypatch.setitem(cases.SUMMARY, "length", 64)
    monkeypatch.setitem(cases.SUMMARY, "new_tokens", 5)
    monkeypatch.setitem(cases.TRAINING, "length", 80)
    monkeypatch.setitem(cases.TRAINING, "target_tokens", 9)


# --- formulas -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "window"), [(1, 3), (7, 2), (40, 5), (9, 30)])
def test_pairs_are_those_of_the_pattern(length, window):
    assert bounds.window_pairs(length, window) == int(patterns.sliding_window(length, window).sum())


def test_products_are_those_that_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    length, d_model, ffn = 10, 16, 24
    states, wide = torch.zeros(length, d_model), torch.zeros(ffn, d_model)
    with FlopCounterMode(display=False) as counter:
        for _ in range(4):
            states @ torch.zeros(d_model, d_model)
        (states @ wide.T) @ wide
        scores = states @ states.T  # one head, everything visible
        scores @ states
    work = bounds.led_encoder(length, d_model=d_model, ffn=ffn, window=length, layers=3)
    assert 2 * work == 3 * counter.get_total_flops()


@pytest.mark.parametrize("model", list(encoders.ENCODERS))
def test_pairs_of_every_model_are_those_of_its_pattern(model):
    """Per layer, the cells of the pattern that the pictures show; rows and columns of global tokens beside them."""
    length = 1024
    wanted = {
        "PEGASUS-X": lambda: patterns.block_local(length, 512, num_globals=encoders.GLOBALS)[encoders.GLOBALS :],
        "LongT5 local": lambda: patterns.window(length, encoders.RADIUS),
        "LongT5 transient-global": lambda: torch.cat(
            [patterns.window(length, encoders.RADIUS), torch.ones(length, length // 16, dtype=torch.bool)], 1
        ),
        "BigBird-Pegasus": lambda: patterns.big_bird(length, 64, num_random_blocks=0),
        "LSG-Pegasus": lambda: patterns.lsg(length, 128, sparse_block_size=128, sparsity_factor=2),
    }[model]()
    assert encoders.ENCODERS[model].pairs(length) == int(wanted.sum())


@pytest.mark.parametrize("model", list(encoders.ENCODERS))
def test_encoders_of_both_programs_agree(small, model):
    found = encoders.ENCODERS[model]
    outputs = [encoders.encode(found.build(p, 300), 300)() for p in encoders.programs_of(model, alone=False)]
    for output in outputs[1:]:
        torch.testing.assert_close(output, outputs[0], rtol=1e-3, atol=1e-4)
    (row,) = encoders.model_time(model, 300, rounds=1)
    assert row["bound_seconds"] > 0
    assert ("transformers_seconds" in row) == (found.reference is not None)


# --- cases ----------------------------------------------------------------------------------------


def test_encoder_rows_compare_equal_programs(small):
    (row,) = cases.encoder_time([80], rounds=2)
    assert row["largest_difference"] < 1e-5
    assert {row["seconds"] > 0, row["transformers_seconds"] > 0, row["full_seconds"] > 0} == {True}
    assert row["bound_seconds"] == 2 * row["multiply_adds"] / 100e9
    assert all(spread["rounds"] == 2 for spread in row["spread"].values())


def test_full_attention_has_the_same_weights(small, monkeypatch):
    monkeypatch.setitem(programs.BASE, "window", 100)  # a window over everything is full attention
    document = programs.Document.random(40)
    document.global_attention_mask.zero_()
    ours, full = (
        programs.encode(name, programs.led_encoder(name, 40, 2), document)() for name in (programs.OURS, programs.FULL)
    )
    torch.testing.assert_close(ours, full, rtol=0, atol=1e-4)


def test_decoding_rows(small):
    found = list(cases.decoder_step([1, 4], rounds=1))
    steps = [row for table, row in found if table == "decoder_step"]
    memory = [row for table, row in found if table == "decoder_memory"]
    assert [row["beams"] for row in steps] == [1, 4]
    assert max(row["largest_difference"] for row in steps) < 1e-4
    assert memory[1]["transformers_cross_cache_mib"] == 4 * memory[1]["cross_cache_mib"]
    assert memory[0]["cross_cache_mib"] == 6 * 2 * 50 * 16 * 4 / 2**20


def test_summaries_have_the_same_ids(small):
    row = cases.summary_time(rounds=1)
    assert row["same_ids"] is True
    assert row["new_tokens"] == 5


def test_training_row(small):
    row = cases.training_time(rounds=1)
    assert row["length"] == 80
    assert set(row["spread"]) == {"longsum_lib", "transformers"}


@pytest.mark.parametrize("case", ["encoder_memory", "summary_memory", "training_memory"])
def test_memory_rows(small, monkeypatch, case):
    monkeypatch.setattr(cases, "extra_mebibytes", lambda run, warm_up: [warm_up(), run()] and 1.5)
    options = {"length": 80} if case == "encoder_memory" else {}
    ((_, row),) = worker.rows({"case": case, "program": "transformers", **options})
    assert row["transformers_extra_mib"] == 1.5


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc")
def test_a_peak_is_seen_after_it_is_gone():
    from benchmarks.measure import extra_mebibytes

    def run():
        torch.ones(40 * 2**18).sum()  # 40 MiB, freed at once

    assert 35 < extra_mebibytes(run, lambda: torch.ones(10).sum()) < 60


# --- result files ---------------------------------------------------------------------------------


def test_rows_with_the_same_keys_become_one():
    result = {}
    tables.add_row(result, "summary", {"model": "LED", "allocator": "default", "seconds": 2.0})
    tables.add_row(result, "summary", {"model": "LED", "allocator": "default", "transformers_seconds": 5.0})
    tables.add_row(result, "summary", {"model": "LED", "allocator": "kept pages", "seconds": 1.0})
    first, second = tables.derived(result)["summary"]
    assert first["times_faster"] == 2.5
    assert second["transformers_seconds"] is None
    assert "times_faster" not in second or second["times_faster"] is None
    assert "kept pages" in tables.format_tables(tables.derived(result))


def test_of_several_runs_the_lowest_ratio_is_the_headline_and_all_are_kept():
    def run(date, ours, theirs, peak):
        spread = {
            n: {"low": t - 1, "high": t + 1, "rounds": 5} for n, t in (("longsum_lib", ours), ("transformers", theirs))
        }
        case = {"model": "LED", "length": 9, "allocator": "default"}
        times = {"seconds": ours, "transformers_seconds": theirs, "spread": spread}
        memory = {"model": "LED", "length": 9, "extra_mib": peak, "transformers_extra_mib": 100.0}
        more = {"encoder_time": [case | times], "encoder_memory": [memory], "rates": [{"allocator": "default", "x": 1}]}
        return {"date": date, "machine": {"cores": 2}, "versions": {}, "settings": {}, "note": date, **more}

    runs = [run("first", 2.0, 12.0, 20.0), run("second", 3.0, 9.0, 30.0), run("third", 2.0, 10.0, 25.0)]
    merged = merge.merge(runs)
    assert (merged["note"], merged["dates"]) == ("third", ["first", "second", "third"])
    (row,) = merged["encoder_time"]
    assert (row["seconds"], row["times_faster"]) == (3.0, 3.0)
    assert [(r["date"], r["times_faster"]) for r in row["runs"]] == [("first", 6.0), ("second", 3.0), ("third", 5.0)]
    assert row["spread"]["longsum_lib"] == {"low": 1.0, "high": 4.0, "rounds": 15}
    assert readme.times_faster(row) == "**3.0 ×** (2.0 to 13.0)"
    assert merged["encoder_memory"][0]["fraction_of_transformers"] == 0.3  # the least that is saved
    assert "runs" not in tables.format_tables(merged)
    assert merge.merge([merge.merge(runs[:2]), runs[2]]) == merged  # a later run joins what was merged before
    (row,) = merge.merge([runs[0], run("a slow hour", 6.0, 30.0, 20.0)])["encoder_time"]
    assert readme.times_faster(row) == "**5.0 ×** (3.7 to 13.0)"  # 1.6 to 31, were one hour compared with the other
    with pytest.raises(ValueError, match="differ in machine"):
        merge.merge([runs[0], runs[1] | {"machine": {"cores": 4}}])


def test_sides_at_the_desk_are_compared_round_by_round():
    rows = [
        {"case": "start", "side": side, "round": number, "cpu_s": seconds, "peak_mib": 100}
        for side, times in (("before", [4.0, 6.0, 9.0]), ("now", [2.0, 2.0, 3.0]))
        for number, seconds in enumerate(times)
    ]
    rows += [{"case": "one beam", "side": "now", "kind": "int8", "round": 0, "cpu_ms": 3.0, "same_ids": True}]
    ratios = desk.beside_each_other(rows)
    assert [row["measured"] for row in ratios] == ["cpu_s", "peak_mib"]  # of the beam only one side was measured
    assert (ratios[0]["times"], ratios[0]["low"], ratios[0]["high"], ratios[0]["rounds"]) == (3.0, 2.0, 3.0, 3)
    before, now, beam = desk.sides(rows)
    assert (before["program"], before["cpu_s"], before["cpu_s_low"], before["cpu_s_high"]) == ("before", 6.0, 4.0, 9.0)
    assert (now["program"], beam["program"], beam["same_ids"]) == ("now", "now int8", True)
    for case, _, first, second, _ in desk.AIMS:
        kinds = [f"{side} {kind}" for side, kind in desk.CASES.get(case, [])] or ["before", "now"]
        assert {first, second} <= set(kinds), case


def test_number_formats_are_compared_with_fp32_and_an_older_int8():
    times = {"now fp32": 4.0, "now bf16": 8.0, "now int8": 2.0, "before int8": 6.0}
    rows = [
        {"case": "encoder", "side": key.split()[0], "kind": key.split()[1], "round": number, "cpu_s": seconds + number}
        for number in range(2)
        for key, seconds in times.items()
    ]
    found = {(row["from"], row["to"]): row for row in desk.beside_each_other(rows, formats.comparisons())}
    assert {pair: row["low"] for pair, row in found.items()} == {
        ("now fp32", "now bf16"): 0.5,
        ("now fp32", "now int8"): 1.67,
        ("before int8", "now int8"): 2.33,
    }
    assert all("aim" not in row and row["rounds"] == 2 for row in found.values())
    for case in formats.CASES:
        assert case in desk.LAYERS
        assert "," not in case  # desk.measure takes what follows for other work beside it


def test_every_job_names_a_case():
    known = {"rates", "encoder_time", "encoder_memory", "decoder_step"}
    known |= {"summary_time", "summary_memory", "training_time", "training_memory", "model_time", "model_memory"}
    known |= {"half_time", "attention_time"}
    for full in (False, True):
        listed = list(jobs(full))
        assert {job["case"] for _, job in listed} <= known
        assert {allocator for allocator, _ in listed} == set(ALLOCATORS)


def test_the_stored_result_is_complete_and_names_no_machine():
    stored = json.loads((RESULTS / "cpu.json").read_text(encoding="utf-8"))
    assert {"rates", "encoder_time", "encoder_memory", "decoder_step", "summary", "training_step"} <= set(stored)
    assert set(new_result("full")) <= set(stored)
    assert stored["versions"]["torch"]
    text = json.dumps(stored)
    assert not re.search(r"/(work|home|root|tmp|usr)/", text)
    for row in stored["encoder_time"]:
        assert row["seconds"] > 0
        assert row["allocator"] in ALLOCATORS
        low, high = (row["spread"]["longsum_lib"][name] for name in ("low", "high"))
        assert low <= row["seconds"] <= high
    assert all(row["same_ids"] for row in stored["summary"])


def test_merged_runs_keep_the_lowest_ratio_the_best_rates_and_peaks_of_any_run():
    head = {"machine": {}, "versions": {}, "settings": {}}
    spread = {name: {"low": 1.0, "high": 2.0, "rounds": 2} for name in ("longsum_lib", "transformers")}
    slow, fast = (
        {"model": "LED", "seconds": s, "transformers_seconds": 6.0, "spread": spread} | more
        for s, more in ((3.0, {}), (2.0, {"extra_mib": 10.0, "transformers_extra_mib": 40.0}))
    )
    runs = [
        {**head, "date": date, "rates": [{"matmul_gflops": rate}], "summary": [row]}
        for date, rate, row in (("2026-01-01", 156.0, fast), ("2026-01-02", 150.0, slow))
    ]
    merged = merge.merge(runs)
    (row,) = merged["summary"]
    assert (row["times_faster"], row["fraction_of_transformers"]) == (2.0, 0.25)
    assert row["spread"]["longsum_lib"]["rounds"] == 4
    assert merged["rates"][0]["matmul_gflops"] == 156.0
    stored = Results(merged | {"date": "2026-01-02"})
    assert "dates" not in stored.tables
    assert len(stored.rows("summary", model="LED")) == 1


def test_the_package_carries_the_stored_result():
    assert (PACKAGED / "cpu.json").read_bytes() == (RESULTS / "cpu.json").read_bytes()


def test_a_processor_is_more_than_its_name(monkeypatch):
    info = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nflags\t\t: avx2 ssse3\n"
    monkeypatch.setattr(machine, "_read", lambda path: info if path == "/proc/cpuinfo" else "")
    found = machine.describe()
    assert (found["processor"], found["generation"]) == ("AMD EPYC", "family 25, model 17")
    assert found["instructions"] == ["avx2"]
    monkeypatch.setattr(machine, "_read", lambda path: "")
    assert "generation" not in machine.describe()


@pytest.mark.parametrize("name", ["cpu", "cpu-zen4"])
def test_ratios_of_the_stored_result_follow_from_its_figures(name):
    stored = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    for table in tables.TABLES:
        for row in stored.get(table, []):
            ratios = [r for r in ("times_bound", "times_faster", "times_faster_than_full") if row.get(r)]
            for ratio in ratios:
                top, bottom = tables.RATIOS[ratio]
                assert row[ratio] == pytest.approx(row[top] / row[bottom], rel=2e-3)


def test_every_figure_of_readmes_table_is_in_the_stored_result():
    text = readme.README.read_text(encoding="utf-8")
    assert readme.with_table(text, readme.table(load_results())) == text
    block = text[text.index(readme.BEGIN) : text.index(readme.END)]
    numbers = _numbers([load_results().content, load_results(readme.OTHER).content])
    printed = re.findall(r"([\d.,]*\d) (?:×|times\b|of it\b)", block)
    assert len(printed) >= 16
    for figure in printed:
        value, digits = float(figure.replace(",", "")), len(figure.partition(".")[2])
        assert any(abs(value - number) <= 0.51 * 10**-digits for number in numbers), figure


def test_readmes_table_has_both_allocators_and_the_spread_of_every_time():
    text = readme.README.read_text(encoding="utf-8")
    block = text[text.index(readme.BEGIN) : text.index(readme.END)]
    timed = [line for line in block.splitlines() if "×" in line]
    assert len(timed) >= 8
    for line in timed:
        assert len(re.findall(r"\*\*[\d.]+ ×\*\* \((?:[\d.]+ to [\d.]+|one round)\)", line)) == len(
            readme.ALLOCATORS
        ), line


def test_one_crossover_stands_on_every_page():
    words = scaling.crossover_words(load_results())
    assert words in readme.README.read_text(encoding="utf-8")
    assert "crossover_words(results)" in (readme.README.parent / "book" / "ext" / "book_results.py").read_text()
    low, high = scaling.crossovers(load_results())
    stored = load_results()
    for allocator in readme.ALLOCATORS:
        assert low <= float(f"{scaling.crossover(stored, allocator=allocator):.2g}") <= high


def _numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


# --- scaling --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["time", "memory", "bound"])
def test_scaling_pictures_show_every_stored_value(kind):
    stored = load_results()
    ax = scaling.draw_scaling(stored, kind)
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines}
    assert set(lines) == {"LED", *encoders.ENCODERS}
    led, others, value, _ = scaling.KINDS[kind]
    for row in [*stored.rows(led), *stored.rows(others)]:
        if row.get("allocator", "default") == "default" and value(row) is not None:
            lengths, values = lines[row["model"]]
            assert values[lengths.index(row["length"])] == value(row)


def test_crossover_lies_between_the_lengths_that_it_separates():
    def at(*ratios):
        rows = [
            {"length": 1024 * 2**i, "allocator": "default", "times_faster_than_full": ratio}
            for i, ratio in enumerate(ratios)
        ]
        return scaling.crossover(Results({"encoder_time": rows}))

    assert at(0.5, 2.0) == pytest.approx(1024 * 2**0.5)
    assert at(0.5, 1.1, 0.9, 1.1) == pytest.approx(4096 * 2 ** (math.log(0.9) / (math.log(0.9) - math.log(1.1))))
    assert at(1.2, 2.0) == 1024
    assert at(0.5, 0.9) is None


def test_growth_is_the_ratio_of_two_rows():
    rows = [{"model": "x", "length": n, "allocator": "default", "seconds": s} for n, s in ((16384, 2.0), (65536, 9.0))]
    stored = Results({"encoder_time": rows, "model_time": []})
    assert scaling.growth(stored, "x") == 4.5
    assert scaling.growth(stored, "y") is None
    with pytest.raises(ValueError, match="'speed'"):
        scaling.draw_scaling(stored, "speed")


def test_half_precision_rows_compare_with_our_own_fp32(small):
    row = half.half_time("LED", 80, rounds=1)
    assert row["dtype"] == "bfloat16"
    assert row["relative_difference"] < 0.05
    assert {row["seconds"] > 0, row["float32_seconds"] > 0, row["bound_seconds"] > 0} == {True}


def test_attention_rows_compare_equal_programs(small):
    row = attentions.attention_time(100, rounds=1, programs=("longsum_lib", "full", "local_attention"))
    assert {row["seconds"] > 0, row["full_seconds"] > 0} == {True}
    assert row["bound_seconds"] > 0


def test_bounds_of_the_decoder_are_what_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    tokens, keys, d_model, ffn, vocabulary = 5, 9, 8, 12, 30
    states, document, square = torch.zeros(tokens, d_model), torch.zeros(keys, d_model), torch.zeros(d_model, d_model)
    with FlopCounterMode(display=False) as counter:
        for _ in range(6):
            states @ square
        (states @ torch.zeros(d_model, ffn)) @ torch.zeros(ffn, d_model)
        (states @ document.T) @ document
        states @ torch.zeros(d_model, vocabulary)
    own = 2 * (tokens * (tokens + 1) // 2) * d_model  # causal: half of the pairs
    shape = {"d_model": d_model, "ffn": ffn, "vocabulary": vocabulary, "layers": 1}
    assert 2 * (bounds.decoder(tokens, keys, **shape) - own) == counter.get_total_flops()


# --- reader ---------------------------------------------------------------------------------------


def test_reader_filters_and_says_what_is_missing():
    rows = [{"length": 1, "seconds": 0.5}, {"length": 2, "seconds": None}]
    stored = Results({"title": "x", "machine": {}, "encoder_time": rows})
    assert stored.tables == ["encoder_time"]
    assert stored.row("encoder_time", length=1)["seconds"] == 0.5
    assert stored.series("encoder_time", "length", "seconds") == ([1, 2], [0.5, None])
    with pytest.raises(KeyError, match="encoder_time"):
        stored.rows("decoder")
    with pytest.raises(KeyError, match=r"0 rows .* length=3"):
        stored.row("encoder_time", length=3)
    with pytest.raises(FileNotFoundError, match="make bench"):
        load_results("no-such-result")


# --- windows of today's models ----------------------------------------------------------------------


def rounds(*numbers, case="modernbert_windows", tokens=16384):
    """Rows as a round of a case writes them."""
    programs = windows.CASES[case].programs
    common = {"case": case, "tokens": tokens, "date": "2026-01-02", "extra_mib": 5.0, "difference": 1e-7}
    return [{**common, "round": n, "program": p, "seconds": 10.0 * (n + 1)} for n in numbers for p in programs]


def test_a_round_of_windows_compares_all_programs_in_turn():
    row = {}
    for number in (0, 1):
        found = windows.measure("modernbert_windows", number, windows.CASES["modernbert_windows"].programs, 70)
        order = [row["program"] for row in found]
        assert order == [["longsum", "sdpa", "left_out"], ["sdpa", "left_out", "longsum"]][number]
        row = {one["program"]: one for one in found}
        assert row["longsum"]["difference"] == row["sdpa"]["difference"] < 1e-5
        assert row["left_out"]["difference"] is None


def test_windows_are_summed_up_and_what_was_not_measured_again_stays():
    before = [{"case": "gemma_prefill", "program": "sdpa", "median": 7.0, "date": "2025-01-01"}]
    before += [{"case": "modernbert_windows", "program": "sdpa", "median": 1.0, "date": "2025-01-01"}]
    rows = windows.result_of(rounds(0, 1, 2), before)["windows"]
    assert rows[-1] == before[0]
    assert [row["program"] for row in rows[:-1]] == ["longsum", "sdpa", "left_out"]
    assert {(row["median"], row["low"], row["high"], row["rounds"], row["date"]) for row in rows[:-1]} == {
        (20.0, 10.0, 30.0, 3, "2026-01-02")
    }


def test_an_interrupted_run_of_windows_goes_on_and_a_complete_one_begins_anew():
    versions = machine.versions()
    part = {"measured": rounds(0), "versions": versions}
    assert windows.already(part, None) == part["measured"]
    assert windows.already(part, 512) == []
    assert windows.already({**part, "versions": {}}, None) == []
    every = [row for name, case in windows.CASES.items() for row in rounds(0, 1, 2, case=name, tokens=case.length)]
    assert windows.already({"measured": every, "versions": versions}, None) == []
    assert windows.already({"measured": every[:-1], "versions": versions}, None) == every[:-1]


def test_what_a_gpu_would_be_given_is_counted(tmp_path):
    from benchmarks import counted

    counted.main(["--small", "--output", str(tmp_path / "counted.json")])
    stored = json.loads((tmp_path / "counted.json").read_text())
    for case in ("encoder", "training", "decoding"):
        ours, theirs = stored[f"counted_{case}"]
        assert (ours["program"], theirs["program"]) == ("longsum_lib", "transformers")
        assert ours["waits"] < theirs["waits"]
        assert ours["mib"] <= theirs["mib"]
    assert stored["counted_decoding"][0]["replays"] == 1  # a token, a replay
    assert stored["counted_decoding"][0]["waits"] == 1
    assert len(stored["counted_layers"]) == 6
    assert all(row["waits"] == 0 < row["kernels"] for row in stored["counted_layers"])


def test_the_stored_counts_reach_what_is_said_of_them():
    """What the notes and the changelog say: a seventeenth of the encoder's memory, a third of a training step's."""
    stored = json.loads((Path(__file__).parents[1] / "benchmarks" / "results" / "counted.json").read_text())
    ratios = {case: [row["mib"] for row in stored[f"counted_{case}"]] for case in ("encoder", "training")}
    assert ratios["encoder"][1] / ratios["encoder"][0] > 17
    assert ratios["training"][1] / ratios["training"][0] > 3
