"""The examples that are published for these models on a GPU, with our import, on files in the published format."""

import pytest
import torch
import transformers
from families import FAMILIES

from longsum_lib import AutoModelForSeq2SeqLM, LEDForConditionalGeneration, PegasusXForConditionalGeneration
from longsum_lib.loading.auto import quiet_transformers

SIZES = {"d_model": 64, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Random tiny models, saved by transformers: LED as the hub's pytorch_model.bin, PEGASUS-X as safetensors."""
    out = {}
    for name in ("led", "pegasus_x"):
        folder, family = tmp_path_factory.mktemp(name), FAMILIES[name]
        torch.manual_seed(0)
        model = family.reference_class()(family.config(**SIZES)).eval()
        model.generation_config.num_beams = 4
        with quiet_transformers():
            model.save_pretrained(folder)
        if name == "led":
            (folder / "model.safetensors").unlink()
            torch.save(model.state_dict(), folder / "pytorch_model.bin")
        out[name] = folder
    return out


def nf4(dtype):
    pytest.importorskip("bitsandbytes")
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype, bnb_4bit_use_double_quant=True
    )


def document(length=90):
    ids = torch.randint(3, 101, (1, length), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@pytest.mark.parametrize("quantized", [False, True])
def test_pegasus_x_in_bf16(folders, quantized):
    options = {"quantization_config": nf4(torch.bfloat16)} if quantized else {}
    with quiet_transformers():
        model = PegasusXForConditionalGeneration.from_pretrained(
            folders["pegasus_x"], dtype=torch.bfloat16, device_map="auto", **options
        )
    assert model.dtype == torch.bfloat16
    ids = model.generate(**document(), max_new_tokens=8, min_new_tokens=8)
    assert ids.shape == (1, 9)
    with torch.no_grad():
        assert model(**document(), decoder_input_ids=ids).logits.isfinite().all()


@pytest.mark.parametrize("quantized", [False, True])
def test_led_in_fp16_with_a_global_token_and_a_static_cache(folders, quantized):
    options = {"quantization_config": nf4(torch.float16)} if quantized else {}
    with quiet_transformers():
        model = LEDForConditionalGeneration.from_pretrained(
            folders["led"], dtype=torch.float16, device_map="auto", **options
        )
    assert model.dtype == torch.float16
    inputs = document()
    inputs["global_attention_mask"] = torch.zeros_like(inputs["input_ids"])
    inputs["global_attention_mask"][:, 0] = 1
    given = {"max_new_tokens": 8, "min_new_tokens": 8, "num_beams": 1}
    static = model.generate(**inputs, **given, cache_implementation="static")
    assert static.shape == (1, 9)
    assert torch.equal(static, model.generate(**inputs, **given))
    beams = model.generate(**inputs, max_new_tokens=8, num_beams=4, cache_implementation="static")
    assert beams.shape[0] == 1


# -- the same by AutoModelForSeq2SeqLM, as the documentation of PEGASUS-X and BigBird-Pegasus has it -------------------

WIDE = {name: {"d_model": 64, "d_ff": 128} for name in ("longt5_local", "longt5_global")}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    def make(name):
        folder = tmp_path_factory.getbasetemp() / f"published-{name}"
        if not folder.exists():
            torch.manual_seed(0)
            family = FAMILIES[name]
            with quiet_transformers():
                family.reference_class()(family.config(**WIDE.get(name, SIZES))).save_pretrained(folder)
        return folder

    return make


@pytest.mark.parametrize("name", FAMILIES)
def test_a_static_cache_writes_the_same_ids(saved, name):
    model = AutoModelForSeq2SeqLM.from_pretrained(saved(name), torch_dtype=torch.float32, device_map="auto")
    given = {"max_new_tokens": 8, "min_new_tokens": 8}
    static = model.generate(**document(), **given, cache_implementation="static")
    assert static.shape == (1, 9)
    assert torch.equal(static, model.generate(**document(), **given))


@pytest.mark.parametrize("name", FAMILIES)
def test_four_bits_in_bf16(saved, name):
    model = AutoModelForSeq2SeqLM.from_pretrained(
        saved(name), torch_dtype=torch.bfloat16, device_map="auto", quantization_config=nf4(torch.bfloat16)
    )
    assert model.is_loaded_in_4bit
    assert type(model) is FAMILIES[name].ours()
    ids = model.generate(**document(), cache_implementation="static", max_new_tokens=8, min_new_tokens=8)
    with torch.no_grad():
        assert model(**document(), decoder_input_ids=ids).logits.isfinite().all()


@pytest.mark.parametrize("name", ["longt5_local", "longt5_global"])
def test_longt5s_evaluation_pads_to_the_longest_input(saved, name):
    """The old program pads every article to the model's limit; that writes the same ids, here in fp16 too."""
    for dtype in (torch.float32, torch.float16):
        model = AutoModelForSeq2SeqLM.from_pretrained(saved(name), device_map="auto", dtype=dtype)
        short = document()
        padded = {key: torch.nn.functional.pad(value, (0, 166)) for key, value in short.items()}
        given = {"max_new_tokens": 6, "num_beams": 2}
        ids = model.generate(padded["input_ids"], attention_mask=padded["attention_mask"], **given)
        if dtype == torch.float32:
            assert torch.equal(ids, model.generate(**short, **given))
        assert ids.shape[0] == 1
