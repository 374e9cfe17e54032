"""The models inside transformers' own machinery: copies, pickles, AutoModel, exports, its Trainer without ours."""

import copy
import json
import pickle

import pytest
import torch
import transformers
from families import FAMILIES, inputs, ours_only, pair, reads_one_embedding

import longsum_lib
from longsum_lib.loading.checkpoint_files import CHECKPOINTS
from longsum_lib.loading.convert_lsg import convert_to_lsg

EACH = pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
DECODED = torch.tensor([[2, 5, 6, 7]] * 2)


def logits(model, given):
    with torch.no_grad():
        return model(**given, decoder_input_ids=DECODED).logits


@EACH
def test_copies_and_pickles_are_the_same_model(family):
    model, given = ours_only(family), inputs(family, 50, "right")
    expected = logits(model, given)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(logits(other, given), expected)
        assert next(other.parameters()).data_ptr() != next(model.parameters()).data_ptr()


@EACH
@pytest.mark.parametrize("assign", [False, True])
def test_a_model_is_built_without_memory_and_filled_later(family, assign):
    model, given = ours_only(family), inputs(family, 50, "right")
    with torch.device("meta"):
        empty = family.ours()(family.config())
    if not assign:
        empty.to_empty(device="cpu")
    empty.load_state_dict(model.state_dict(), assign=assign)
    empty.tie_weights()
    torch.testing.assert_close(logits(empty.eval(), given), logits(model, given))
    assert all(weight.is_meta for weight in copy.deepcopy(model).to("meta").parameters())


@EACH
def test_double_precision_agrees(family):
    model, given = ours_only(family), inputs(family, 50, "right")
    expected = logits(model, given)
    torch.testing.assert_close(logits(copy.deepcopy(model).double(), given).float(), expected, rtol=1e-3, atol=1e-3)


@EACH
def test_our_classes_stand_beside_auto_model(family, tmp_path):
    """Importing this library changes nothing for who uses transformers' own classes on the same files."""
    _, ours = pair(family)
    if not reads_one_embedding(ours.config):
        pytest.skip("this release draws new embeddings for LongT5")
    ours.save_pretrained(tmp_path)
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    family.refresh(theirs)
    assert type(theirs) is family.reference_class()
    given = inputs(family, 50)
    torch.testing.assert_close(logits(ours, given), logits(theirs, given), rtol=1e-3, atol=1e-3)


@EACH
def test_a_whole_model_exports_and_compiles(family):
    model, given = ours_only(family), {**inputs(family, 50, "right"), "decoder_input_ids": DECODED, "use_cache": False}
    with torch.no_grad():
        expected = model(**given).logits
        program = torch.export.export(model, (), given)
        torch.testing.assert_close(program.module()(**given).logits, expected, rtol=1e-3, atol=1e-3)
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(**given).logits, expected, rtol=1e-3, atol=1e-3)


@EACH
def test_encoders_export_for_documents_of_any_length(family):
    encoder = ours_only(family).get_encoder()
    length = torch.export.Dim("length", min=17, max=500)
    example = (torch.randint(3, 101, (1, 60)), torch.ones(1, 60, dtype=torch.long))
    shapes = ({1: length}, {1: length})
    with torch.no_grad():
        program = torch.export.export(encoder, example, dynamic_shapes=shapes, strict=False).module()
        for tokens in (60, 100, 333):
            given = torch.randint(3, 101, (1, tokens)), torch.ones(1, tokens, dtype=torch.long)
            got, expected = (module(*given).last_hidden_state for module in (program, encoder))
            torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)


@EACH
def test_dynamic_quantization_of_torch_takes_the_models(family):
    model, given = ours_only(family), {**inputs(family, 50), "decoder_input_ids": DECODED}
    small = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    with torch.no_grad():
        expected, got = model(**given).logits, small(**given).logits
    assert torch.cosine_similarity(got.flatten(), expected.flatten(), dim=0) > 0.9


OPTIONS = {
    "repetition": {"repetition_penalty": 1.7, "encoder_repetition_penalty": 1.5},
    "n-grams": {"no_repeat_ngram_size": 2, "encoder_no_repeat_ngram_size": 2, "num_beams": 3},
    "bad words": {"bad_words_ids": [[5], [6, 7]], "suppress_tokens": [9], "begin_suppress_tokens": [11]},
    "several": {"num_beams": 4, "num_return_sequences": 3, "early_stopping": "never", "length_penalty": 2.0},
    "forced": {"forced_bos_token_id": 9, "forced_eos_token_id": 2},
    "allowed": {"prefix_allowed_tokens_fn": lambda row, ids: [4, 5, 6]},
    "decay": {"exponential_decay_length_penalty": (2, 1.2), "sequence_bias": {(7,): 3.0}},
    "prompt": {"decoder_input_ids": torch.tensor([[2, 9, 10], [2, 11, 12]])},
    "no cache": {"use_cache": False},
}


@EACH
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_option_of_generate_writes_the_references_ids(family, options):
    reference, ours = pair(family)
    given = inputs(family, 50, "right")
    expected = reference.generate(**given, max_new_tokens=6, **options)
    assert torch.equal(ours.generate(**given, max_new_tokens=6, **options), expected)


# --- LSG, which transformers does not have -----------------------------------------------------------


def test_auto_model_builds_lsg_once_it_is_imported():
    tokenizer = longsum_lib.load_tokenizer("lsg-tiny")
    ours = longsum_lib.load("lsg-tiny", dtype="fp32", device="cpu")
    auto = transformers.AutoModelForSeq2SeqLM.from_pretrained(CHECKPOINTS / "lsg-tiny", dtype=torch.float32).eval()
    assert type(auto) is type(ours)
    given = tokenizer("The survey worked on the plateau. " * 20, return_tensors="pt")
    given = {"input_ids": given.input_ids.expand(2, -1)}
    assert torch.equal(logits(auto, given), logits(ours, given))


def bert(head):
    config = transformers.BertConfig(
        vocab_size=1536, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=32
    )
    return getattr(transformers, f"BertFor{head}")(config).eval()


@pytest.mark.filterwarnings("ignore::longsum_lib.errors.LongsumWarning")
@pytest.mark.parametrize(
    ("head", "task"),
    [
        ("SequenceClassification", "text-classification"),
        ("TokenClassification", "token-classification"),
        ("MaskedLM", "fill-mask"),
    ],
)
def test_pipelines_take_converted_encoders(head, task, tmp_path):
    tokenizer = longsum_lib.load_tokenizer("led-tiny")
    tokenizer.add_special_tokens({"mask_token": tokenizer.convert_ids_to_tokens(7)})
    convert_to_lsg(bert(head), 512, block_size=16, sparse_block_size=16).save_pretrained(tmp_path)
    auto = getattr(transformers, f"AutoModelFor{head}").from_pretrained(tmp_path)
    assert type(auto).__name__ == f"LSGBertFor{head}"
    text = "The survey worked on the plateau. " * 12 + (tokenizer.mask_token if task == "fill-mask" else "")
    answer = transformers.pipeline(task, model=auto, tokenizer=tokenizer, device="cpu")(text)
    assert len(answer) > 0


# --- Trainer, with transformers' own collator ---------------------------------------------------------


@pytest.mark.parametrize("name", ["led-tiny", "pegasus-x-tiny", "longt5-tiny", "lsg-tiny"])
@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing_factor": 0.1}, {"gradient_checkpointing": True}, {"neftune_noise_alpha": 5.0}]
)
def test_transformers_trainer_takes_the_models(name, options, tmp_path):
    model, tokenizer = longsum_lib.load(name, device="cpu", dtype="fp32"), longsum_lib.load_tokenizer(name)
    text = "The survey worked on the plateau. "
    rows = [{**tokenizer(text * n), "labels": tokenizer("A survey.").input_ids} for n in (2, 5)]
    trainer = transformers.Seq2SeqTrainer(
        model,
        transformers.Seq2SeqTrainingArguments(
            str(tmp_path), max_steps=2, report_to=[], use_cpu=True, per_device_train_batch_size=2, disable_tqdm=True,
            save_strategy="no", logging_steps=1, **options,
        ),
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=transformers.DataCollatorForSeq2Seq(tokenizer, model=model),
    )  # fmt: skip
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[1] < losses[0]
    assert json.dumps(trainer.evaluate()["eval_loss"])
