"""Predicted memory and work against what the models hold and allocate; the formulas; the command."""

import copy
import gc
import itertools
import json
import re
import subprocess
import sys
from functools import cache

import pytest
import torch
from families import FAMILIES

from longsum_lib import LSGBartConfig, LSGPegasusConfig, memory
from longsum_lib.attention import patterns
from longsum_lib.budget.formulas import FAMILIES as KINDS
from longsum_lib.budget.formulas import WORKSPACE, plan
from longsum_lib.cli import main
from longsum_lib.errors import ModelNotFound, OptionError, UnsupportedModel
from tools.pretend_gpu import pretended_gpu

GIB = 2**30
SIZES = {"d_model": 64, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "vocab_size": 300}
T5_SIZES = {"d_model": 64, "d_kv": 16, "d_ff": 128, "vocab_size": 300}
LSG = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
NAMES = [*FAMILIES, "lsg_pegasus", "lsg_bart"]


def config(name, **changes):
    if name == "lsg_pegasus":
        return LSGPegasusConfig(**LSG | SIZES | changes)
    if name == "lsg_bart":
        return LSGBartConfig(**LSG | SIZES | changes)
    return FAMILIES[name].config(**(T5_SIZES if name.startswith("longt5") else SIZES) | changes)


def build(name, **changes):
    import longsum_lib

    if name in FAMILIES:
        return FAMILIES[name].ours()(config(name, **changes)).eval()
    classes = {"lsg_pegasus": "LSGPegasus", "lsg_bart": "LSGBart"}
    return getattr(longsum_lib, classes[name] + "ForConditionalGeneration")(config(name, **changes)).eval()


def stored(model):
    return sum(t.numel() for t in [*model.parameters(), *model.buffers()])


# --- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_number_of_a_model_is_counted(name):
    found = memory.predict(memory.config_numbers(config(name)), length=64)
    assert found["parameters"] == stored(build(name))


@pytest.mark.parametrize("gated", ["relu", "gated-gelu"])
@pytest.mark.parametrize("tied", [True, False])
def test_every_number_of_other_longt5_is_counted(gated, tied):
    changes = {"feed_forward_proj": gated, "tie_word_embeddings": tied}
    found = memory.predict(memory.config_numbers(config("longt5_local", **changes)), length=64)
    assert found["parameters"] == stored(build("longt5_local", **changes))


FORMATS = {
    "fp32": {"dtype": "fp32"},
    "bf16": {"dtype": "bf16"},
    "int8": {"quantization": "int8"},
    "slow bf16": {"dtype": "bf16", "half": False},
    "slow int8": {"quantization": "int8", "half": False},
}


@pytest.fixture
def form(request, monkeypatch):
    """A number format on a processor with instructions for bf16, "slow" ones on one without, whichever is here."""
    half = FORMATS[request.param].get("half", True)
    monkeypatch.setattr("longsum_lib.attention.engine.kernels.half_cpu.has_half", lambda: half)
    for room in ("int8", "step.documents"):
        monkeypatch.setattr(f"longsum_lib.models.core.{room}.lacks_half", lambda: not half)
    return request.param


def in_format(model, name, folder):
    """The model in fp32, in bf16, or in int8 as torch has it on a CPU."""
    from longsum_lib import load

    if name.endswith("int8"):
        model.save_pretrained(folder)
        return load(folder, quantization="int8", device="cpu")
    return model.bfloat16() if name.endswith("bf16") else model


@pytest.mark.parametrize("name", ["led", "pegasus_x", "longt5_global", "bigbird_pegasus", "lsg_pegasus"])
def test_weights_in_int8_by_torch(tmp_path, name):
    model = in_format(build(name), "int8", tmp_path)
    found = memory.predict(memory.config_numbers(model.config), length=64, quantization="int8")
    held = {t.data_ptr(): t.nbytes for t in (*model.parameters(), *model.buffers())}
    assert found["weights"] == sum(held.values())
    codes = {t.data_ptr(): t.numel() for t in model.buffers() if t.dtype == torch.int8}
    assert found["quantizable"] == sum(codes.values())


@pytest.mark.parametrize("scheme", ["int8", "nf4"])
@pytest.mark.parametrize("name", ["led", "pegasus_x", "longt5_global", "bigbird_pegasus", "lsg_pegasus"])
def test_quantized_weights(tmp_path, name, scheme):
    pytest.importorskip("bitsandbytes")
    from longsum_lib import load

    build(name).save_pretrained(tmp_path)
    model = load(tmp_path, dtype="fp32", quantization=scheme)
    layers = [m for m in model.modules() if type(m).__name__ in ("Linear4bit", "Linear8bitLt")]
    found = memory.predict(memory.config_numbers(model.config), length=64, quantization=scheme, dtype="fp32")
    assert found["quantizable"] == sum(m.in_features * m.out_features for m in layers)
    # get_memory_footprint leaves out the scales: a twelfth of 4 bits, and little of 8.
    assert found["weights"] == pytest.approx(model.get_memory_footprint(), rel=0.02)
    assert found["weights"] >= model.get_memory_footprint()


def test_wo_of_t5_stays_in_fp32_beside_fp16():
    numbers = memory.config_numbers(config("longt5_local"))
    half, brain = (memory.predict(numbers, length=64, dtype=dtype)["weights"] for dtype in ("fp16", "bf16"))
    assert half - brain == 4 * 64 * 128 * 2  # four `wo`, two bytes more each


# Numbers of weights counted with each class of transformers, in millions; of LSG with ours.
PUBLISHED = {
    "allenai/led-base-16384": 161.8,
    "allenai/led-large-16384": 459.8,
    "google/pegasus-x-base": 272.3,
    "google/pegasus-x-large": 568.7,
    "google/long-t5-tglobal-base": 247.6,
    "google/bigbird-pegasus-large-arxiv": 576.9,
}


@pytest.mark.parametrize(("name", "millions"), PUBLISHED.items())
def test_published_checkpoints(name, millions):
    found = memory.predict(memory.model_numbers(name), length=1024)
    assert found["parameters"] / 1e6 == pytest.approx(millions, abs=0.1)


def test_the_table_of_published_checkpoints_agrees_with_the_registry():
    from longsum_lib.loading.registry import HUB_MODELS

    hub = {model.name: model for model in HUB_MODELS}
    for name, numbers in memory.published().items():
        assert numbers["family"] in KINDS
        if name in hub:
            assert numbers["limit"] in (0, hub[name].tokens)
            assert numbers["family"].startswith(hub[name].model_type.removesuffix("_pegasus")[:6])


# --- peaks ----------------------------------------------------------------------------------------


def peak(run):
    """The most that a run's tensors take at one moment, in bytes: what the allocator was asked for, no timing."""
    from torch.profiler import ProfilerActivity, profile

    gc.collect()  # a tensor in a cycle of an earlier profile, freed within this one, would be subtracted here
    gc.disable()
    try:
        with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            run()
    finally:
        gc.enable()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def test_what_an_earlier_run_left_is_not_subtracted():
    class Left:
        def __init__(self):
            self.itself, self.tensor = self, torch.ones(2**20)

    def run():
        gc.collect()
        return torch.ones(2**20)

    assert peak(lambda: Left()) == peak(run) == 2**22


WIDE = {
    "led": {"attention_window": [256, 256], "max_encoder_position_embeddings": 16384},
    "pegasus_x": {"num_global_tokens": 32, "block_size": 128},
    "longt5_local": {"local_radius": 127, "d_kv": 32},
    "longt5_global": {"local_radius": 127, "d_kv": 32, "global_block_size": 16},
    "bigbird_pegasus": {"block_size": 64, "max_position_embeddings": 16384},
    "lsg_pegasus": {"max_position_embeddings": 16384},
    "lsg_bart": {"max_position_embeddings": 16384},
}


def widths(name):
    others = {"d_model": 128, "encoder_ffn_dim": 512, "decoder_ffn_dim": 512}
    return {"d_model": 128, "d_ff": 512} if name.startswith("longt5") else others


@cache
def wide(name):
    torch.manual_seed(0)
    return build(name, **widths(name), **WIDE[name])


def wide_in(name, form, folder):
    return in_format(copy.deepcopy(wide(name)), form, folder) if form != "fp32" else wide(name)


@pytest.mark.parametrize(
    ("form", "length"),
    [("fp32", 12000), *((form, 5000) for form in FORMATS)],
    indirect=["form"],
)
@pytest.mark.parametrize("name", NAMES)
def test_encoder_peak(tmp_path, name, form, length):
    model = wide_in(name, form, tmp_path)
    ids = torch.randint(3, 300, (1, length))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if name == "led":
        inputs["global_attention_mask"] = torch.zeros_like(ids)
        inputs["global_attention_mask"][:, 0] = 1
    encoder = model.get_encoder()
    with torch.no_grad():
        encoder(**{key: value[:, :300] for key, value in inputs.items()})
    if name == "pegasus_x":
        encoder.embed_positions._table = None  # it is kept from one document to the next
    found = memory.predict(memory.config_numbers(model.config), length=length, **FORMATS[form])
    measured = peak(lambda: encoder(**inputs))
    assert found["encoder"] == pytest.approx(measured, rel=0.1), found["encoder"] / measured


def on_a_card(name, length, dtype):
    """The peak of an encoder's tensors on a pretended GPU, beyond what is there before and after."""
    with pretended_gpu((9, 0)) as card:
        changes = {field: 65536 for field in WIDE[name] if field.startswith("max_")}
        model = build(name, **widths(name), **WIDE[name] | changes).to("cuda", dtype)
        ids = torch.randint(3, 300, (1, length), device="cuda")
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if name == "led":
            inputs["global_attention_mask"] = torch.zeros_like(ids)
            inputs["global_attention_mask"][:, 0] = 1
        encoder = model.get_encoder()
        with torch.inference_mode():
            encoder(**{key: value[:, :300] for key, value in inputs.items()})
            if name == "pegasus_x":
                encoder.embed_positions._table = None
            gc.collect()
            before = card.memory.peak = card.memory.taken
            encoder(**inputs)
        return model.config, card.memory.peak - before


ON_A_CARD = [("fp32", 1500), ("fp32", 16000), ("bf16", 1500), ("bf16", 16000), ("bf16", 40000)]


@pytest.mark.parametrize(("dtype", "length"), ON_A_CARD)
@pytest.mark.parametrize("name", NAMES)
def test_encoder_peak_on_a_gpu(name, dtype, length):
    found, measured = on_a_card(name, length, {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype])
    predicted = memory.predict(memory.config_numbers(found), length=length, dtype=dtype, device="gpu")["encoder"]
    # What layers share is kept, which of T5 are biases; how many transient tokens share one depends on the weights.
    margin = 0.16 if name.startswith("longt5") else 0.1
    assert predicted == pytest.approx(measured, rel=margin), predicted / measured


# What takes most: the document's keys, the written tokens, the scores of many beams, the logits of many beams.
RUNS = {
    "keys": (6000, 4, 8, 300),
    "text": (200, 4, 100, 300),
    "scores": (2000, 20, 8, 300),
    "logits": (99, 20, 8, 8000),
}
LONG_ENOUGH = {
    "led": {"max_decoder_position_embeddings": 256, "max_encoder_position_embeddings": 16384},
    "bigbird_pegasus": {"max_position_embeddings": 8192},
    "lsg_pegasus": {"max_position_embeddings": 8192},
}
DECODERS = [
    *itertools.product(["led", "pegasus_x"], ["keys", "scores", "logits"], FORMATS),
    *itertools.product(["longt5_global", "bigbird_pegasus", "lsg_pegasus"], ["keys"], ["fp32", "int8", "slow int8"]),
    *((name, "text", "fp32") for name in ("led", "pegasus_x", "longt5_global", "bigbird_pegasus", "lsg_pegasus")),
]


@pytest.mark.parametrize(("name", "most", "form"), DECODERS, indirect=["form"])
def test_decoder_peak(tmp_path, name, most, form):
    from transformers.modeling_outputs import BaseModelOutput

    length, beams, new_tokens, vocabulary = RUNS[most]
    model = in_format(build(name, vocab_size=vocabulary, **LONG_ENOUGH.get(name, {})), form, tmp_path)
    states = torch.randn(1, length + (name == "lsg_pegasus"), 64).to(model.dtype)  # a global token in front

    def run():
        encoded = BaseModelOutput(last_hidden_state=states)
        mask = torch.ones(1, length, dtype=torch.long)
        tokens = {"min_new_tokens": new_tokens, "max_new_tokens": new_tokens}
        model.generate(encoder_outputs=encoded, attention_mask=mask, num_beams=beams, **tokens)

    numbers = memory.config_numbers(model.config)
    found = memory.predict(numbers, length=length, beams=beams, new_tokens=new_tokens, **FORMATS[form])
    # What the encoder leaves is there before: its output, and the positions of PEGASUS-X in fp32.
    measured = peak(run) + states.nbytes + (states.numel() * 4 if name == "pegasus_x" else 0)
    assert found["decoder"] == pytest.approx(measured, rel=0.1), found["decoder"] / measured


@pytest.mark.parametrize("records", [False, True])
@pytest.mark.parametrize("most", ["keys", "logits"])
@pytest.mark.parametrize("name", ["led", "pegasus_x", "longt5_global", "bigbird_pegasus"])
def test_decoder_peak_on_a_gpu(name, most, records):
    from transformers.modeling_outputs import BaseModelOutput

    length, beams, new_tokens, vocabulary = RUNS[most]
    with pretended_gpu((9, 0)) as card:
        model = build(name, vocab_size=vocabulary, **LONG_ENOUGH.get(name, {})).to("cuda", torch.bfloat16)
        model.records_steps = records
        states = torch.randn(1, length, 64).to("cuda", torch.bfloat16)
        mask = torch.ones(1, length, dtype=torch.long, device="cuda")
        tokens = {"min_new_tokens": new_tokens, "max_new_tokens": new_tokens, "num_beams": beams}
        gc.collect()
        before = card.memory.peak = card.memory.taken
        with torch.inference_mode():
            model.generate(encoder_outputs=BaseModelOutput(last_hidden_state=states), attention_mask=mask, **tokens)
        measured = card.memory.peak - before + states.nbytes + (states.numel() * 4 if name == "pegasus_x" else 0)
    run = {"length": length, "beams": beams, "new_tokens": new_tokens, "dtype": "bf16", "device": "gpu"}
    predicted = memory.predict(memory.config_numbers(model.config), **run)["decoder"]
    assert predicted == pytest.approx(measured, rel=0.12), predicted / measured


PROGRAM = """
import json, sys, torch
torch.set_num_threads(1)
sys.path[:0] = sys.argv[1:3]
from benchmarks.measure import extra_mebibytes
from benchmarks import programs
from longsum_lib import memory
programs.quiet()
programs.BASE.update(d_model=256, heads=4, ffn=1024, window=256)
encoder = programs.led_encoder(programs.OURS, 65536, 1)
run = programs.encode(programs.OURS, encoder, programs.Document.random(65536))
start = programs.encode(programs.OURS, encoder, programs.Document.random(1100))
numbers = memory.config_numbers(encoder.config)
found = memory.predict(numbers, length=65536)
print(json.dumps([found["encoder"] + found["workspace"], extra_mebibytes(run, start) * 2**20]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
def test_peak_of_a_process():
    """What the operating system sees, in a process of its own: tensors, and what the libraries take beside them."""
    from pathlib import Path

    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(root), str(root / "tests")],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        env={"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"},
    )
    predicted, measured = json.loads(done.stdout.splitlines()[-1])
    assert measured == pytest.approx(predicted, abs=1.5 * WORKSPACE["cpu"])


def test_predictions_against_the_stored_measurements():
    """Peaks of whole processes at LED's base width, two layers. Short inputs: mostly the libraries."""
    from benchmarks import programs
    from longsum_lib.viz.results import load_results

    rows = [row for row in load_results("cpu").rows("encoder_memory") if row["length"] >= 8192]
    assert rows
    for row in rows:
        numbers = memory.config_numbers(programs.led_config(row["length"], layers=2))
        found = memory.predict(numbers, length=row["length"])
        predicted = (found["encoder"] + found["workspace"]) / 2**20
        assert predicted == pytest.approx(row["extra_mib"], rel=0.1), row


# --- work -----------------------------------------------------------------------------------------


def test_work_is_that_of_the_benchmarks():
    from benchmarks import encoders

    for name, found in encoders.ENCODERS.items():
        numbers = memory.config_numbers(found.config(8192))
        assert memory.predict(numbers, length=8192)["encoder_work"] == found.multiply_adds(8192), name


@pytest.mark.parametrize("length", [1, 7, 50, 200])
def test_pairs_are_those_of_the_patterns(length):
    from longsum_lib.attention import patterns

    found = plan({**memory.model_numbers("allenai/led-base-16384"), "length": length, "window": 5, "globals": 0})
    assert found["pairs"] == patterns.sliding_window(length, 5).sum()
    full = plan({**memory.model_numbers("allenai/led-base-16384"), "family": "full", "length": length})
    assert full["pairs"] == length * length


PAIRS = {  # family -> its sizes, and the pattern of n tokens without the queries of global tokens beside the text
    "led": ({"window": 5}, lambda n: patterns.sliding_window(n, 5)),
    "longt5_local": ({"window": 7}, lambda n: patterns.window(n, 7)),
    "longt5_tglobal": ({"window": 7, "block_size": 4}, lambda n: patterns.transient_global(n, 7, 4)),
    "pegasus_x": ({"block_size": 8, "globals": 3}, lambda n: patterns.block_local(n, 8, num_globals=3)[3:]),
    "bigbird_pegasus": (
        {"block_size": 4, "random_blocks": 2},
        lambda n: patterns.big_bird(n, 4, num_random_blocks=2, random_blocks="reference"),
    ),
    "full": ({}, patterns.full),
}
SPARSE = {
    "norm": (8, 8, 2),
    "wide": (8, 16, 2),
    "narrow": (8, 2, 4),
    "all": (4, 8, 1),
    "odd": (12, 18, 3),
    "none": (8, 0, 0),
}


def pairs_of(family, length, **sizes):
    numbers = {**memory.model_numbers("allenai/led-base-16384"), "globals": 0, "random_blocks": 0, "sparsity_factor": 0}
    return plan({**numbers, "family": family, "length": length, **sizes})["pairs"]


@pytest.mark.parametrize("family", PAIRS)
def test_pairs_are_those_of_the_patterns_at_every_length(family):
    sizes, pattern = PAIRS[family]
    wrong = {n: pairs_of(family, n, **sizes) for n in range(1, 130) if pairs_of(family, n, **sizes) != pattern(n).sum()}
    assert wrong == {}


@pytest.mark.parametrize("name", SPARSE)
def test_pairs_of_lsg_are_those_of_the_pattern_at_every_length(name):
    block, width, factor = SPARSE[name]
    sizes = {"block_size": block, "sparse_block_size": width, "sparsity_factor": factor}
    for n in range(1, 130):
        sees = patterns.lsg(n, num_global_tokens=2, sparsity_type="stride", **sizes)
        assert pairs_of("lsg", n, globals=2, **sizes) == sees.sum(), n


def test_short_inputs_of_big_bird_see_everything():
    # Up to (5 + 2 r) blocks, with r = 1: 7 blocks of 4; one token more is sparse.
    found = [pairs_of("bigbird_pegasus", n, block_size=4, random_blocks=1) for n in (27, 28, 29)]
    assert found[:2] == [27 * 27, 28 * 28]
    assert found[2] < 28 * 28
    assert found[2] == patterns.big_bird(29, 4, num_random_blocks=1, random_blocks="reference").sum()


def test_constants_are_those_of_the_engine_and_the_models():
    from longsum_lib.attention.engine import pieces
    from longsum_lib.attention.engine.kernels import half_cpu
    from longsum_lib.attention.transient_global import far
    from longsum_lib.budget import formulas
    from longsum_lib.models.core import int8, states, streaming
    from longsum_lib.models.core.step import documents

    assert formulas.WORTH_WHILE == far.WORTH_WHILE
    assert formulas.FEW_ROWS == int8.FEW_ROWS
    assert formulas.ROWS_AT_ONCE == int8.ROWS_AT_ONCE
    assert formulas.NUMBERS_AT_ONCE == int8.NUMBERS_AT_ONCE
    assert formulas.FUSED_ROWS == documents.FUSED_ROWS
    assert formulas.MOST_ROWS == documents.MOST_ROWS
    assert formulas.ROWS_PER_CALL == {"cpu": pieces.ROWS_PER_CALL, "gpu": pieces.ROWS_PER_CALL_ON_GPU}
    assert formulas.SCORES_OF_A_HEAD == half_cpu.MOST_SCORES
    assert formulas.ROWS_PER_CHUNK == {"cpu": states.ROWS_PER_CHUNK, "gpu": states.ROWS_PER_CHUNK_ON_GPU}
    steps = {"cpu": streaming.ROWS_PER_STEP, "gpu": streaming.ROWS_PER_STEP_ON_GPU}
    assert steps == formulas.ROWS_PER_STEP


def test_the_command_is_about_this_processor(monkeypatch, capsys):
    found = {}
    for lacks in (True, False):
        monkeypatch.setattr("longsum_lib.upstream.torch.lacks_half", lambda lacks=lacks: lacks)
        for options in ("--quantize int8", "--dtype bf16", "--dtype fp32", "--quantize int8 --device gpu"):
            assert main(["memory", "google/pegasus-x-base", "--beams", "4", "--output", "json", *options.split()]) == 0
            found[lacks, options] = json.loads(capsys.readouterr().out)["encoder"]
    differ = {options for lacks, options in found if found[True, options] != found[False, options]}
    assert differ == {"--quantize int8", "--dtype bf16"}


# --- what fits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", memory.published())
def test_the_largest_input_is_the_last_that_fits(name):
    numbers = memory.model_numbers(name)
    options = {"beams": 4, "dtype": "bf16", "device": "gpu"}
    size = 14.7 * GIB
    length = memory.largest_input(numbers, size, **options)
    assert length > 0
    assert memory.predict(numbers, length=length, **options)["total"] <= size
    if length != numbers["limit"]:
        assert memory.predict(numbers, length=length + 1, **options)["total"] > size
    assert memory.largest_input(numbers, 2**20, **options) == 0


def test_what_limits_an_input():
    led, pegasus_x = (memory.model_numbers(name) for name in ("allenai/led-base-16384", "google/pegasus-x-large"))
    limit = memory.what_limits(led, 16 * GIB, beams=4)
    assert (limit["tokens"], limit["set_by"], limit["largest"]) == (16384, "positions", "cross_cache")
    endless = {**led, "limit": 0}
    assert limit["without_table"] == memory.largest_input(endless, 16 * GIB, beams=4)
    found = memory.predict(led, length=limit["without_table"], beams=4)
    assert limit["share"] == found["cross_cache"] / found["total"]
    assert 0.8 < limit["share"] < 1

    limit = memory.what_limits(pegasus_x, 8 * GIB)
    assert limit["set_by"] == "memory"
    assert limit["tokens"] == limit["without_table"] == memory.largest_input(pegasus_x, 8 * GIB)
    assert memory.what_limits(pegasus_x, GIB)["tokens"] == 0
    assert memory.what_limits(pegasus_x, GIB)["largest"] == "weights"
    assert memory.what_limits(pegasus_x, 2**50)["set_by"] == "search"
    short = {**pegasus_x, "decoder_layers": 1}
    assert memory.what_limits(short, 8 * GIB, device="gpu")["largest"] != "cross_cache"


@pytest.mark.parametrize("options", [{}, {"quantization": "int8"}])
def test_a_limit_is_what_a_run_takes(options):
    """What stands at the limit is the peak of parts that the tests above measured."""
    numbers = {**memory.config_numbers(config("led")), "limit": 0}
    limit = memory.what_limits(numbers, 64 * 2**20, **options)
    found = memory.predict(numbers, length=limit["tokens"], **options)
    assert found["total"] <= 64 * 2**20 < memory.predict(numbers, length=limit["tokens"] + 1, **options)["total"]
    parts = [found["weights"], found["workspace"], max(found["encoder"], found["decoder"])]
    assert found["total"] == pytest.approx(sum(parts))
    assert found["states"] <= min(found["encoder"], found["decoder"])


def test_numbers_are_plain_and_so_are_results():
    """The book's calculator evaluates the same formulas in the browser."""
    result = plan(memory.model_numbers("google/pegasus-x-base"))
    assert json.loads(json.dumps(result)) == result
    assert all(type(value) in (int, float) for value in result.values())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"length": 0}, "length is 0, expected at least 1"),
        ({"beams": 0}, "beams is 0"),
        ({"dtype": "fp17"}, "unknown number format 'fp17'.*expected auto, fp32, bf16, fp16"),
        ({"quantization": "int3"}, "unknown quantization 'int3'; expected one of: none, int8, nf4"),
        ({"device": "tpu"}, "unknown device 'tpu'; expected cpu or gpu"),
    ],
)
def test_options_that_make_no_sense(options, expected):
    with pytest.raises(OptionError, match=expected):
        memory.predict(memory.model_numbers("google/pegasus-x-base"), **{"length": 64} | options)


def test_models_that_write_nothing_or_do_not_exist(tmp_path):
    from longsum_lib import LSGBertConfig

    with pytest.raises(UnsupportedModel, match=r"is an encoder \(lsg_bert\); expected a model that writes summaries"):
        memory.config_numbers(LSGBertConfig())
    with pytest.raises(ModelNotFound):
        memory.model_numbers(str(tmp_path / "nothing"))


# --- the command ----------------------------------------------------------------------------------


def test_command(capsys):
    assert main(["memory", "google/pegasus-x-large", "--dtype", "bf16", "--quantize", "nf4", "--device", "gpu"]) == 0
    out = capsys.readouterr().out
    assert "google/pegasus-x-large, 16,384 tokens, 4 beams, bf16, weights nf4, on a GPU" in out
    assert "weights (569 million)" in out
    assert "A100-80" in out


def test_command_says_what_sets_the_largest_input(capsys):
    assert main(["memory", "allenai/led-base-16384", "--memory", "16"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"16 GiB +16,384 tokens  set by its position table; the memory would do for 38\d,\d{3}", out)
    assert "most of it the document's keys and values" in out
    assert main(["memory", "google/pegasus-x-large", "--memory", "8", "--quantize", "int8"]) == 0
    out = capsys.readouterr().out
    assert "bf16, weights int8, on a CPU" in out
    assert re.search(r"8 GiB +\d{3},\d{3} tokens  set by the document's keys and values, \d\d% of the peak", out)
    assert main(["memory", "google/pegasus-x-large", "--memory", "1"]) == 0
    assert re.search(r"1 GiB +none +most of what one token takes are the weights", capsys.readouterr().out)


def test_command_for_a_bundled_model_as_json(capsys):
    assert main(["memory", "led-tiny", "--length", "4096", "--memory", "1", "--output", "json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["largest_input"] == {"1 GiB": 16384}
    assert result["length"] == 4096
    assert result["total"] > result["weights"] > 0


def test_command_with_an_unknown_model(capsys):
    assert main(["memory", "./no/such/folder"]) == 1
    assert "there is no folder" in capsys.readouterr().err
