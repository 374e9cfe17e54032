"""Broken checkpoints are refused in one line, and nothing in a checkpoint runs."""

import builtins
import contextlib
import json
import shutil
import types
from collections import Counter

import faulty_checkpoints as faulty
import pytest
import torch
from safetensors.torch import save_file
from tiny_checkpoint import make_checkpoint

from longsum_lib import load, load_tokenizer, summarize
from longsum_lib.errors import CheckpointError, CorruptCheckpoint, LongsumError
from longsum_lib.loading.convert_lsg import convert_to_lsg
from longsum_lib.loading.generation_file import CANNOT
from longsum_lib.models.core.sizes import _DEPTHS, _WIDTHS
from longsum_lib.models.led.heads import LEDForConditionalGeneration

CASES = 224  # every kind of fault four times for each of the seven checkpoints; make soak plays more


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return faulty.make_good(tmp_path_factory.mktemp("good"))


@pytest.fixture
def copy(good, tmp_path):
    return shutil.copytree(good[0], tmp_path / "copy")


def edit(path, **changes):
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**content, **changes}))


def test_whole_checkpoints_work(good):
    assert [faulty.try_out(folder).kind for folder in good] == ["works"] * len(good)


def test_no_broken_checkpoint_gives_a_raw_error(good, tmp_path):
    found, raw = Counter(), []
    for seed in range(CASES):
        folder = tmp_path / str(seed)
        what = faulty.make_faulty(good, seed, folder)
        outcome = faulty.try_out(folder)
        found[outcome.kind] += 1
        raw += [(seed, what, outcome.message)] if outcome.kind == "raw" else []
        shutil.rmtree(folder)
    assert not raw
    assert found["refused"] > CASES // 2


def test_nothing_is_built_for_a_config_that_asks_for_more_than_the_weights(good, tmp_path, monkeypatch):
    def build(self, *_, **__):
        raise AssertionError("a model was built")

    tried = set()
    for number, source in enumerate(good):
        config = json.loads((source / "config.json").read_text())
        for field in [name for name in (*_WIDTHS, *_DEPTHS) if isinstance(config.get(name), int)]:
            if source.name == "pegasus_x" and field == "max_position_embeddings":
                continue  # no table: positions are computed as far as they are needed
            folder = shutil.copytree(source, tmp_path / f"{number}-{field}")
            edit(folder / "config.json", **{field: 4_000_000})
            with monkeypatch.context() as patched:
                patched.setattr(torch.nn.Module, "__init__", build)
                with pytest.raises(CorruptCheckpoint, match=r"(do not fit its config\.json|not a whole checkpoint)"):
                    load(folder)
            tried.add(field)
    assert {"vocab_size", "d_model", "encoder_layers", "num_layers", "d_ff", "max_position_embeddings"} <= tried


def test_a_bare_config_does_not_stand_for_its_large_defaults(copy):
    (copy / "config.json").write_text('{"model_type": "led"}')
    with pytest.raises(CorruptCheckpoint, match=r"vocab_size is 50,265 there, and \S+ has 400"):
        load(copy)


def test_labels_beyond_all_reason_are_refused(copy):
    edit(copy / "config.json", num_labels=10**6)
    with pytest.raises(CorruptCheckpoint, match=r"num_labels is 1,000,000 there, and the weights have no head"):
        load(copy)


def test_a_class_is_as_careful_as_load(copy):
    edit(copy / "config.json", encoder_layers=2000)
    with pytest.raises(CorruptCheckpoint, match=r"encoder_layers is 2,000 there, and the weights have 2"):
        LEDForConditionalGeneration.from_pretrained(copy)


@pytest.mark.parametrize(
    "shard", ["../elsewhere.safetensors", "/elsewhere.safetensors", "sub/x.safetensors", "C:x", ".."]
)
def test_a_list_of_shards_names_files_beside_it_only(copy, tmp_path, shard):
    shutil.move(copy / "model.safetensors", tmp_path / "x.safetensors")
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"led.shared.weight": shard}}))
    for read in (load, LEDForConditionalGeneration.from_pretrained):
        with pytest.raises(CorruptCheckpoint, match=r"expected a file"):
            read(copy)


CODE = 'raise AssertionError("code of a checkpoint ran")\n'


@pytest.fixture
def yes(monkeypatch):
    """Whoever asks is told yes; returns what was asked."""
    asked = []
    monkeypatch.setattr(builtins, "input", lambda question="": asked.append(question) or "y")
    return asked


@pytest.mark.parametrize("named", ["TokenizerOfItsOwn", None, "PreTrainedTokenizerFast"])
def test_no_tokenizer_of_a_checkpoint_runs_and_nobody_is_asked(copy, yes, named):
    (copy / "own.py").write_text(CODE)
    entry = {"AutoTokenizer": ["own.TokenizerOfItsOwn", None], "AutoConfig": "own.ConfigOfItsOwn"}
    edit(copy / "tokenizer_config.json", auto_map=entry, tokenizer_class=named)
    edit(copy / "config.json", auto_map={"AutoConfig": "own.ConfigOfItsOwn", "AutoModel": "own.ModelOfItsOwn"})
    load(copy)
    with contextlib.suppress(LongsumError):  # one that can be read without the code is read
        load_tokenizer(copy)
    edit(copy / "config.json", model_type="of_its_own")
    with contextlib.suppress(LongsumError):
        load_tokenizer(copy)
    assert yes == []


def test_a_tokenizer_that_is_code_is_refused_by_name(copy, yes):
    (copy / "own.py").write_text(CODE)
    edit(copy / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "own.Own"]}, tokenizer_class="Own")
    edit(copy / "config.json", model_type="of_its_own")
    with pytest.raises(CheckpointError, match=r"is code in the checkpoint, and no code of a checkpoint runs here"):
        load_tokenizer(copy)
    assert yes == []


def test_converting_runs_no_code_either(tmp_path, yes):
    from transformers import BartConfig, BartForConditionalGeneration

    sizes = dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim", "vocab_size"), 400)
    heads = dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2)
    config = BartConfig(d_model=16, encoder_layers=1, decoder_layers=1, max_position_embeddings=32, **sizes, **heads)
    BartForConditionalGeneration(config).save_pretrained(tmp_path)
    (tmp_path / "own.py").write_text(CODE)
    own = {"AutoConfig": "own.Config", "AutoModelForSeq2SeqLM": "own.Model"}
    edit(tmp_path / "config.json", auto_map=own)
    faulty.make_tokenizer().save_pretrained(tmp_path)
    edit(tmp_path / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Own", None]})
    with pytest.warns(UserWarning, match="mask token"):
        convert_to_lsg(tmp_path, 64)
    assert yes == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_beams": "four"}, "num_beams 'four', expected a whole number of at least 1"),
        ({"eos_token_id": "</s>"}, "eos_token_id '</s>', expected a token id, or a list"),
        ({"bad_words_ids": [5]}, r"bad_words_ids \[5\], expected a list of lists of token ids"),
        ({"bad_words_ids": [[400]]}, r"bad_words_ids \[\[400\]\], but the model has 400 tokens"),
        ({"early_stopping": "soon"}, "early_stopping 'soon', expected true, false or \"never\""),
        ({"length_penalty": []}, r"length_penalty \[\], expected a number"),
    ],
)
def test_wrong_values_in_the_generation_config_are_named(copy, values, message):
    edit(copy / "generation_config.json", **values)
    with pytest.raises(CorruptCheckpoint, match=rf"generation_config\.json has {message}"):
        load(copy)


@pytest.mark.parametrize("field", sorted(CANNOT))
def test_ways_of_writing_that_need_more_are_named(copy, field):
    edit(copy / "generation_config.json", **{field: 2 if field == "num_beam_groups" else 1.5})
    model = load(copy)
    with pytest.raises(CheckpointError, match=rf"asks for {field} \("):
        summarize(faulty.TEXT, model)


@pytest.mark.parametrize(
    "values",
    [
        {"return_dict_in_generate": True, "output_scores": True},
        {"num_return_sequences": 2, "num_beams": 2},
        {"stop_strings": ["the"]},
        {"repetition_penalty": 2},
    ],
)
def test_values_for_other_uses_do_no_harm(copy, values):
    edit(copy / "generation_config.json", **values)
    assert len(summarize([faulty.TEXT, faulty.TEXT], load(copy))) == 2


def test_plain_weights_that_say_they_are_quantized_are_named(copy):
    edit(copy / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    with pytest.raises(CorruptCheckpoint, match=r"its weights are plain numbers; take that entry out"):
        load(copy)


def test_a_fault_of_ours_is_no_damaged_checkpoint(tmp_path, monkeypatch):
    folder = make_checkpoint(tmp_path / "led")

    def broken(*_, **__):
        return {}["a key that our code expects"]

    ours = types.FunctionType(broken.__code__, {"__name__": "longsum_lib.models.led.heads"})
    monkeypatch.setattr(LEDForConditionalGeneration, "__init__", ours)
    with pytest.raises(KeyError):
        load(folder)


def test_a_mistake_in_another_library_is_not_called_damage(tmp_path, monkeypatch):
    folder = make_checkpoint(tmp_path / "led")

    def broken(*_, **__):
        raise TypeError("an argument too many")

    monkeypatch.setattr(LEDForConditionalGeneration, "__init__", broken)
    with pytest.raises(CheckpointError, match=r"cannot be loaded \(TypeError: an argument too many\)") as error:
        load(folder)
    assert not isinstance(error.value, CorruptCheckpoint)


def test_a_header_that_is_no_header(tmp_path):
    folder = make_checkpoint(tmp_path / "led")
    save_file({"x": torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(CorruptCheckpoint, match="not a whole checkpoint of this model"):
        load(folder)
