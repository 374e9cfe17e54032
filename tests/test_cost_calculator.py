"""The cost calculator's script has the formulas of the library, and the widget says what the script shows."""

import itertools
import json
import shutil
import subprocess

import pytest

from longsum_lib import memory
from longsum_lib.budget import formulas
from longsum_lib.budget.decoder import decoder_plan
from longsum_lib.loading.registry import MODEL_TYPES
from longsum_lib.viz import CostCalculator
from longsum_lib.viz.explorers import assets

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="needs node; without it only the browser tests run the script")
MODELS = memory.published()


def run_node(expression: str, data: object) -> object:
    """Evaluate an expression of the script on `data`."""
    program = (
        f"{assets.source(['cost'])}\n"
        'const data = JSON.parse(require("fs").readFileSync(0, "utf8"));\n'
        f"console.log(JSON.stringify({expression}));"
    )
    run = subprocess.run([NODE, "-e", program], input=json.dumps(data), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def grid() -> list[dict]:
    """Every published model, and each as full attention, under all kinds of runs."""
    sizes = {
        "length": (1, 100, 1023, 4096, 16384, 65536),
        "beams": (1, 4),
        "batch": (1, 3),
        "format": ((4, 0, 1), (2, 0, 1), (2, 0, 0), (2, 1, 1), (2, 1, 0)),
        "quantization": tuple(formulas.BITS),
        "device": ("cpu", "gpu"),
    }
    runs = []
    for numbers in MODELS.values():
        for length, beams, batch, (size, fp16, half), quantization, device in itertools.product(*sizes.values()):
            run = {"length": length, "beams": beams, "batch": batch, "bytes_per_number": size, "fp16": fp16}
            runs.append({**numbers, **run, "quantization": quantization, "device": device, "half": half})
    runs += [{**numbers, "family": "full", "new_tokens": 64} for numbers in MODELS.values()]
    runs += [{**numbers, "globals": 100, "sparsity_factor": 0, "gated": 0} for numbers in MODELS.values()]
    return runs


@needs_node
def test_script_has_the_formulas_of_the_library():
    runs = grid()
    found = run_node("data.map((run) => COST.plan(run))", runs)
    assert len(found) > 4000
    for run, plan in zip(runs, found, strict=True):
        expected = formulas.plan(run)
        assert plan.keys() == expected.keys()
        for name, value in expected.items():
            assert plan[name] == pytest.approx(value, rel=1e-12), (name, run)


@needs_node
def test_script_has_the_formula_of_decoders():
    runs = [
        (name, {"length": length, "beams": beams, "batch": batch, "new_tokens": 64, "bytes_per_number": size, **bits})
        for name in memory.published_decoders()
        for length, beams, batch, size in itertools.product((1, 500, 16384), (1, 4), (1, 3), (2, 4))
        for bits in ({"quantization": "none"}, {"quantization": "nf4"})
    ]
    decoders = memory.published_decoders()
    found = run_node("data.map(([model, run]) => COST.decoderPlan(model, run))", [[decoders[n], r] for n, r in runs])
    for (name, run), plan in zip(runs, found, strict=True):
        assert plan == pytest.approx(decoder_plan(decoders[name], run), rel=1e-12), (name, run)


@needs_node
def test_script_finds_the_longest_input_that_fits():
    cases = [
        (name, card, quantization)
        for name in MODELS
        for card in (2, *memory.CARDS.values())
        for quantization in ("none", "nf4")
    ]
    data = [[{**MODELS[n], "bytes_per_number": 2, "quantization": q, "device": "gpu"}, c * 2**30] for n, c, q in cases]
    found = run_node("data.map(([numbers, memory]) => COST.largestInput(numbers, memory))", data)
    for (name, card, quantization), tokens in zip(cases, found, strict=True):
        options = {"dtype": "bf16", "quantization": quantization, "device": "gpu"}
        assert tokens == memory.largest_input(MODELS[name], card * 2**30, **options), (name, card, quantization)
    assert 0 in found


def test_script_names_the_models_that_leave_fp16():
    named = {"pegasus_x": True, "bigbird_pegasus": True, "t5gemma2": True, "led": False, "longt5": False}
    named |= {"lsg_pegasus": True, "lsg_bart": False}  # the same family in the formulas; only the first has sinusoids
    assert {name: not MODEL_TYPES[name].fp16_safe for name in named} == named
    script = (assets.FOLDER / "cost.js").read_text()
    assert (
        '["pegasus_x", "bigbird_pegasus", "t5gemma2"].includes(m.family) || (m.family === "lsg" && m.sinusoids === 1)'
        in script
    )


# --- the widget -----------------------------------------------------------------------------------


def test_widget_plans_what_the_library_predicts():
    calculator = CostCalculator(model="google/pegasus-x-large", length=4096, dtype="bf16", quantization="nf4", beams=2)
    expected = memory.predict(
        MODELS["google/pegasus-x-large"], length=4096, beams=2, dtype="bf16", quantization="nf4", device="gpu"
    )
    assert calculator.plan() == expected
    calculator.quantization = "none"
    assert calculator.plan()["weights"] > expected["weights"]
    assert f"{calculator.plan()['total'] / 2**30:.1f} GiB" in calculator.describe()


def test_widget_shows_a_decoder_beside_it():
    calculator = CostCalculator(decoder="Gemma 3 1B", length=4096, new_tokens=256, dtype="bf16", beams=2)
    plan = calculator.decoder_plan()
    assert plan["weights"] == 999_885_952 * 2
    # Two beams, 26 layers of which 4 see all, one key head of 256 numbers in two bytes, keys and values.
    assert plan["cache"] == 2 * 2 * (4 * 4352 + 22 * 511) * 256 * 2
    assert plan["total"] == plan["weights"] + plan["cache"]


def test_widget_takes_models_of_your_own():
    from transformers import LEDConfig

    own = memory.config_numbers(LEDConfig(d_model=64, encoder_attention_heads=4, decoder_attention_heads=4))
    assert CostCalculator(models={"mine": own}, model="mine").plan()["parameters"] < 20e6


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"model": "nobody/nothing"}, "no model 'nobody/nothing'; expected one of: allenai"),
        ({"decoder": "nobody"}, "no decoder 'nobody'; expected one of: Gemma 3 270M"),
        ({"dtype": "fp8"}, "fp8"),
        ({"colour": 1}, "has no option 'colour'"),
    ],
)
def test_bad_state_is_refused(state, message):
    with pytest.raises(Exception, match=message):
        CostCalculator(**state)
