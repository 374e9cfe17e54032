"""The AutoModel names of transformers' examples give our classes, and transformers' own learn of ours."""

import json
import subprocess
import sys

import pytest
import torch
import transformers
from families import FAMILIES
from tiny_checkpoint import TEXT, make_checkpoint, make_tokenizer

import longsum_lib
from longsum_lib import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    convert_to_lsg,
    load,
)
from longsum_lib.errors import CorruptCheckpoint, LongsumWarning, OptionError, UnknownOption, UnsupportedModel
from longsum_lib.loading.auto import quiet_transformers

LSG = {"vocab_size": 64, "block_size": 8, "sparse_block_size": 8, "max_position_embeddings": 64, "pad_token_id": 1}
WRITER = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
WRITER |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
ENCODER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(scope="module")
def led(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("auto") / "led")


def published_lsg(folder, plain, stem, head, sizes):
    """A folder as the hub's LSG checkpoints are: the plain model's type, and code to be run."""
    kind = getattr(longsum_lib, f"LSG{stem}{head}")
    torch.manual_seed(0)
    with quiet_transformers():
        kind(kind.config_class(**LSG, **sizes)).save_pretrained(folder)
    path = folder / "config.json"
    fields = json.loads(path.read_text()) | {"model_type": plain, "auto_map": {"AutoModel": "modeling_lsg.LSGModel"}}
    path.write_text(json.dumps(fields))
    (folder / "modeling_lsg.py").write_text("raise SystemExit('code of a checkpoint has run')\n")
    return folder


@pytest.fixture(scope="module")
def bart(tmp_path_factory):
    return published_lsg(tmp_path_factory.mktemp("lsg") / "bart", "bart", "Bart", "ForConditionalGeneration", WRITER)


def load_plain(folder, **options):
    with quiet_transformers():
        return transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=False, **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_comes_back_as_our_class(tmp_path, family):
    made = FAMILIES[family].reference_class()(FAMILIES[family].config())
    with quiet_transformers():
        made.save_pretrained(tmp_path)
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert type(model) is FAMILIES[family].ours()
    assert not model.training
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in made.state_dict().items())
    assert type(AutoModel.from_pretrained(tmp_path)).__name__ == type(made).__name__.split("For")[0] + "Model"
    assert type(AutoModelForSeq2SeqLM.from_config(made.config)) is FAMILIES[family].ours()


def test_heads_for_fine_tuning(led):
    with pytest.warns(LongsumWarning, match="no head for LEDForSequenceClassification"):
        labels = AutoModelForSequenceClassification.from_pretrained(led, num_labels=4)
    assert labels.config.num_labels == 4
    with pytest.warns(LongsumWarning, match="qa_outputs starts with random weights"):
        spans, info = AutoModelForQuestionAnswering.from_pretrained(led, output_loading_info=True)
    assert type(spans) is longsum_lib.LEDForQuestionAnswering
    assert "qa_outputs.weight" in info["missing_keys"]


@pytest.mark.parametrize(
    ("auto", "head"),
    [(AutoModelForMaskedLM, "ForMaskedLM"), (AutoModelForTokenClassification, "ForTokenClassification")],
)
def test_lsg_encoders_with_the_heads_of_their_readme(tmp_path, auto, head):
    folder = published_lsg(tmp_path / "bert", "bert", "Bert", head, ENCODER)
    assert type(auto.from_pretrained(folder, trust_remote_code=True)) is getattr(longsum_lib, f"LSGBert{head}")


def test_a_published_lsg_folder_with_the_parameters_of_its_card(bart, caplog):
    card = {"num_global_tokens": 4, "block_size": 16, "sparse_block_size": 16, "sparsity_type": "none"}
    card |= {"attention_probs_dropout_prob": 0.0, "sparsity_factor": 4, "mask_first_token": True}
    with caplog.at_level("WARNING"):
        model = AutoModel.from_pretrained(bart, trust_remote_code=True, **card)
        AutoModel.from_pretrained(bart, trust_remote_code=True)
    assert type(model) is longsum_lib.LSGBartModel
    assert {name: getattr(model.config, name) for name in card} == card
    said = [record for record in caplog.records if "no code of a checkpoint runs" in record.getMessage()]
    assert len(said) <= 1  # once for each class, whatever ran before
    assert AutoModel.from_pretrained(bart).config.block_size == 8


def test_a_config_that_transformers_read_is_enough(bart):
    config = transformers.AutoConfig.from_pretrained(bart)
    assert type(config) is transformers.BartConfig
    config.block_size = 4
    model = AutoModelForSeq2SeqLM.from_pretrained(bart, config=config)
    assert type(model) is longsum_lib.LSGBartForConditionalGeneration
    assert (model.config.block_size, model.config.sparse_block_size) == (4, 8)
    assert type(AutoModelForSeq2SeqLM.from_config(config)) is type(model)


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
def test_number_format_and_device_map(led, name):
    model = AutoModelForSeq2SeqLM.from_pretrained(led, device_map="auto", **{name: torch.bfloat16})
    assert model.dtype == torch.bfloat16
    assert AutoModelForSeq2SeqLM.from_pretrained(led, **{name: "auto"}).dtype == torch.float32
    assert AutoModelForSeq2SeqLM.from_config(model.config, **{name: torch.float16}).dtype == torch.float16


def test_one_import_line_is_enough(led):
    tokenizer, model = AutoTokenizer.from_pretrained(led, trust_remote_code=True), AutoModelForSeq2SeqLM
    ids = model.from_pretrained(led).generate(**tokenizer(TEXT[:40], return_tensors="pt"), max_new_tokens=4)
    assert isinstance(tokenizer.decode(ids[0], skip_special_tokens=True), str)
    assert AutoTokenizer.from_pretrained("led-tiny").vocab_size == 1536
    assert type(AutoModelForSeq2SeqLM.from_pretrained("led-tiny")) is longsum_lib.LEDForConditionalGeneration


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: AutoModelForMaskedLM.from_pretrained(d), OptionError, "no AutoModelForMaskedLM of type 'led' here"),
        (lambda d: AutoModel.from_pretrained(d, d_modell=3), UnknownOption, r"did you mean d_model\b"),
        (lambda d: AutoModel.from_pretrained(d, subfolder="x"), UnknownOption, "give the subfolder's own path"),
        (lambda d: AutoModel.from_pretrained(d, weights_only=False), OptionError, "are never read here"),
        (lambda d: AutoModel.from_pretrained(d, dtype="auto", torch_dtype="auto"), OptionError, "old name of dtype"),
        (lambda d: AutoModel.from_config(transformers.LEDConfig(), dtyp=1), UnknownOption, "did you mean dtype"),
        (lambda d: AutoModel.from_config(transformers.GPT2Config()), UnsupportedModel, "transformers.AutoModel has"),
        (lambda d: AutoModel(), TypeError, "makes no instances"),
        (lambda d: AutoTokenizer(), TypeError, "makes no instances"),
        (lambda d: AutoModel.from_pretrained(d, num_labels=3, d_model=32), CorruptCheckpoint, "do not fit its config"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(led, call, error, message):
    with pytest.raises(error, match=message):
        call(led)


def test_a_new_number_of_labels_for_an_old_head(led, tmp_path):
    with pytest.warns(LongsumWarning):
        model = AutoModelForSequenceClassification.from_pretrained(led, num_labels=4)
    model.save_pretrained(tmp_path)
    with pytest.raises(CorruptCheckpoint, match=r"out_proj.* has shape \(4,"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=2)
    other = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=2, ignore_mismatched_sizes=True)
    assert other.classification_head.out_proj.out_features == 2


# -- transformers' own AutoModel classes -------------------------------------------------------------------------------


def test_transformers_builds_our_classes_where_it_has_none_of_its_own(bart, tmp_path):
    config = FAMILIES["led"].config()
    built = transformers.AutoModelForSequenceClassification.from_config(config)
    assert type(built) is longsum_lib.LEDForSequenceClassification
    encoder = transformers.AutoModelForTextEncoding.from_config(FAMILIES["longt5_local"].config())
    assert type(encoder) is longsum_lib.LongT5EncoderModel
    with quiet_transformers():
        AutoModelForSeq2SeqLM.from_pretrained(bart).save_pretrained(tmp_path)
    assert type(load_plain(tmp_path)) is longsum_lib.LSGBartForConditionalGeneration
    theirs = transformers.AutoModelForSeq2SeqLM.from_config(config)
    assert type(theirs) is transformers.LEDForConditionalGeneration


def test_what_another_library_has_registered_stays():
    program = """
import transformers
class Theirs(transformers.LEDModel):
    pass
mapping = transformers.AutoModelForSequenceClassification._model_mapping
mapping._extra_content[transformers.LEDConfig] = Theirs
import longsum_lib.models.led.heads
assert mapping[transformers.LEDConfig] is Theirs
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


# -- LSG folders that plain models have saved again --------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:this is an LSG model already")  # meant: it is converted once more
@pytest.mark.parametrize(("plain", "stem"), [("pegasus", "Pegasus"), ("bart", "Bart")])
def test_an_lsg_folder_saved_again_by_the_plain_model_is_recognized(tmp_path, plain, stem):
    folder = published_lsg(tmp_path / "lsg", plain, stem, "ForConditionalGeneration", WRITER)
    again = tmp_path / "again"
    model = load_plain(folder)
    assert type(model).__name__ == f"{stem}ForConditionalGeneration"
    with quiet_transformers():
        model.save_pretrained(again)
    for door in (load, AutoModelForSeq2SeqLM.from_pretrained):
        with pytest.raises(CorruptCheckpoint, match=r"was an LSG checkpoint .* make new ones with convert_to_lsg"):
            door(again)
    with pytest.warns(LongsumWarning, match="no tokenizer with a mask token"):
        new = convert_to_lsg(again, 64, tokenizer=make_tokenizer())
    assert type(new).__name__ == f"LSG{stem}ForConditionalGeneration"
