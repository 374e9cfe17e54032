"""The examples that are published for these models on a GPU, with our import, on files in the published format."""

import pytest
import torch
import transformers
from families import FAMILIES

from longsum_lib import LEDForConditionalGeneration, PegasusXForConditionalGeneration
from longsum_lib.models.auto import quiet_transformers

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
