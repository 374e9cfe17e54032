"""Fine-tuning: batches, the loss of divided batches, LoRA, number formats, and runs that go on where they stopped."""

import argparse
import importlib
import json

import pytest
import torch
from families import FAMILIES

from longsum_lib import LSGPegasusConfig, LSGPegasusForConditionalGeneration, load, load_tokenizer
from longsum_lib.cli.commands import train as train_command
from longsum_lib.corpus import bundled_tokenizer, make_document
from longsum_lib.corpus.tokenizer import BOS, EOS, PAD, VOCABULARY
from longsum_lib.errors import DeviceError, MissingExtra, OptionError
from longsum_lib.evaluation import Example, Source
from longsum_lib.training.batches import Collator, TokenizedDocuments, summary_loss
from longsum_lib.training.fine_tuning import FineTuning, add_lora, check_precision, fine_tune, last_checkpoint

SPECIAL = {"pad_token_id": PAD, "eos_token_id": EOS, "bos_token_id": BOS, "decoder_start_token_id": BOS}
QUICK = FineTuning(steps=4, accumulation=1, batch_size=2, save_steps=2, checkpointing=False, warmup=0.0)
EXAMPLES = [Example(d.text, d.summary) for d in (make_document(seed, 96 + 8 * seed) for seed in range(8))]


def lsg():
    torch.manual_seed(0)
    config = LSGPegasusConfig(
        vocab_size=VOCABULARY, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=512, block_size=16,
        sparse_block_size=16, sparsity_factor=2, dropout=0.0,
        **SPECIAL,
    )  # fmt: skip
    return LSGPegasusForConditionalGeneration(config)


def tiny(name="led", **changes):
    """A random model for the bundled tokenizer."""
    if name == "lsg":
        return lsg()
    torch.manual_seed(0)
    family = FAMILIES[name]
    return family.ours()(family.config(vocab_size=VOCABULARY, **SPECIAL, **changes))


MODELS = [*FAMILIES, "lsg"]


def tune(output, settings=QUICK, *, model=None, **options):
    model = tiny() if model is None else model
    options = {"progress": False} | options
    return fine_tune(model, bundled_tokenizer(), EXAMPLES, output, settings, **options)


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def assert_same(first, second, **tolerance):
    assert first.keys() == second.keys()
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, msg=name, **tolerance)


def changed(model, before):
    return {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}


# Batches and the loss.


def documents(model, **limits):
    limits = {"max_input_tokens": 1000, "max_summary_tokens": 200} | limits
    start = model.config.decoder_start_token_id
    return TokenizedDocuments(EXAMPLES, bundled_tokenizer(), start=start, **limits)


def test_a_batch_is_what_the_models_expect():
    model = tiny()
    items = documents(model)
    batch = Collator(model)([items[0], items[5]])
    assert batch["input_ids"].shape == batch["attention_mask"].shape == batch["global_attention_mask"].shape
    assert batch["global_attention_mask"].sum(1).tolist() == [1, 1]
    assert ((batch["input_ids"] == PAD) == (batch["attention_mask"] == 0)).all()
    for row, example in zip(batch["labels"], (EXAMPLES[0], EXAMPLES[5]), strict=True):
        row = row[row != -100]
        assert row[-1] == EOS
        assert row[0] != BOS  # the decoder's start token is given, not predicted
        assert bundled_tokenizer().decode(row, skip_special_tokens=True) == example.summary
    # What the decoder reads is what the model itself would make of the labels.
    wanted = model(**{k: v for k, v in batch.items() if k != "decoder_input_ids"}).logits
    torch.testing.assert_close(model(**batch).logits, wanted)


def test_only_models_with_global_tokens_get_a_global_mask():
    for name in MODELS:
        model = tiny(name)
        batch = Collator(model)([documents(model)[0]])
        assert ("global_attention_mask" in batch) == (name == "led")


def test_what_is_too_long_is_cut_and_still_ends():
    items = documents(tiny(), max_input_tokens=50, max_summary_tokens=9)
    for item in items:
        assert len(item["input_ids"]) == 50
        assert len(item["labels"]) == 9
        assert item["input_ids"][-1] == item["labels"][-1] == EOS


def test_a_start_token_of_its_own_is_kept_in_the_labels():
    """BART's family starts the decoder with the end token and learns to write the first token of the text."""
    items = TokenizedDocuments(EXAMPLES, bundled_tokenizer(), max_input_tokens=99, max_summary_tokens=99, start=EOS)
    assert items[0]["labels"][0] == BOS


def test_the_loss_of_a_batch_is_the_sum_over_its_parts():
    logits, labels = torch.randn(4, 5, 11), torch.randint(0, 11, (4, 5))
    labels[0, 1:] = labels[3, 3:] = -100
    count = (labels != -100).sum()
    whole = summary_loss({"logits": logits}, labels)
    parts = sum(summary_loss({"logits": logits[i : i + 1]}, labels[i : i + 1], count) for i in range(4))
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(whole, torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()))


@pytest.mark.parametrize("name", ["led", "longt5_global"])
def test_accumulation_equals_a_bigger_batch(tmp_path, name):
    from dataclasses import replace

    settings = replace(QUICK, steps=2, save_steps=10)
    one, other = tiny(name), tiny(name)
    before = {name: weight.clone() for name, weight in one.state_dict().items()}
    tune(tmp_path / "big", replace(settings, batch_size=4, accumulation=1), model=one)
    tune(tmp_path / "divided", replace(settings, batch_size=1, accumulation=4), model=other)
    assert len(changed(one, before)) > 10
    assert_same(one.state_dict(), other.state_dict(), rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("name", MODELS)
def test_trainer_alone_divides_accumulated_losses(name, tmp_path):
    """With transformers' Trainer and nothing of ours, accumulated gradients are a mean, not a sum."""
    from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

    model = tiny(name)
    trainer = Seq2SeqTrainer(model, Seq2SeqTrainingArguments(str(tmp_path), report_to=[], use_cpu=True))
    assert trainer.model_accepts_loss_kwargs is False


# Runs.


class Stop:
    """Ctrl-C behind a step."""

    def __new__(cls, step):
        from transformers import TrainerCallback

        class Callback(TrainerCallback):
            def on_step_end(self, arguments, state, control, **kwargs):
                if state.global_step == step:
                    raise KeyboardInterrupt

        return Callback()


@pytest.mark.parametrize("rank", [0, 2])
def test_an_interrupted_run_goes_on_to_the_same_model(tmp_path, rank):
    from dataclasses import replace

    settings = replace(QUICK, lora=rank, steps=6, accumulation=2)  # more than one epoch of eight documents
    straight, broken = tmp_path / "straight", tmp_path / "broken"

    def dropping():
        return tiny(dropout=0.1)

    tune(straight, settings, model=dropping())
    with pytest.raises(KeyboardInterrupt):
        tune(broken, settings, model=dropping(), callbacks=[Stop(5)])
    assert last_checkpoint(broken).name == "checkpoint-4"
    with pytest.raises(OptionError, match="holds checkpoint-4 of an earlier run"):
        tune(broken, settings, model=dropping())
    trainer = tune(broken, settings, model=dropping(), resume=True)
    assert trainer.state.global_step == 6
    assert_same(weights(straight), weights(broken), rtol=0, atol=0)
    assert (straight / "adapter").is_dir() == bool(rank)


def test_a_checkpoint_that_a_crash_left_half_written_is_passed_over(tmp_path):
    for step, state in ((4, "{}"), (10, "{}"), (12, None), (14, '{"global')):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"")
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert last_checkpoint(tmp_path).name == "checkpoint-10"
    assert last_checkpoint(tmp_path / "nothing") is None


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_and_loads_again(tmp_path, name):
    from dataclasses import replace

    model = tiny(name).train()
    settings = replace(QUICK, steps=12, batch_size=4, learning_rate=1e-2, checkpointing=True, save_steps=4)
    trainer = tune(tmp_path, settings, model=model)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 3
    assert losses[-1] < losses[0] - 0.2
    assert json.loads((tmp_path / "training.json").read_text())["settings"]["steps"] == 12
    again = load(str(tmp_path), device="cpu")
    assert again.config.use_cache
    given = load_tokenizer(str(tmp_path))(EXAMPLES[0].text, return_tensors="pt")
    given = {"input_ids": given.input_ids, "decoder_input_ids": torch.tensor([[BOS, 7, 8]])}
    with torch.no_grad():
        torch.testing.assert_close(again(**given).logits, trainer.model(**given).logits)


def test_checkpointing_changes_no_weight(tmp_path):
    from dataclasses import replace

    for on in (False, True):
        tune(tmp_path / str(on), replace(QUICK, checkpointing=on))
    assert_same(weights(tmp_path / "False"), weights(tmp_path / "True"), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_bf16_trains_weights_that_stay_fp32(tmp_path, name, monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr("longsum_lib.loading.quantized.multiplies_slowly", lambda _: False)
    model = tiny(name)
    before = {key: weight.clone() for key, weight in model.state_dict().items()}
    trainer = tune(tmp_path, replace(QUICK, steps=2, precision="bf16", checkpointing=True), model=model)
    assert all(torch.isfinite(torch.tensor(e["loss"])) for e in trainer.state.log_history if "loss" in e)
    assert {weight.dtype for weight in weights(tmp_path).values()} == {torch.float32}
    assert len(changed(model, before)) > 10


@pytest.mark.parametrize("name", MODELS)
def test_fp16_is_refused_where_it_overflows_or_cannot_be_had(name, monkeypatch):
    config = tiny(name).config
    expected = (DeviceError, "needs a CUDA GPU") if name == "led" else (OptionError, "leave the range")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(expected[0], match=expected[1]):
        check_precision("fp16", config)
    with pytest.raises(OptionError, match="expected fp32, bf16 or fp16"):
        check_precision("fp8", config)


def test_bf16_without_instructions_for_it_is_said_to_be_slow(monkeypatch):
    from longsum_lib.errors import LongsumWarning

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("longsum_lib.loading.quantized.multiplies_slowly", lambda _: True)
    with pytest.warns(LongsumWarning, match="bf16 on this processor takes several times as long as fp32"):
        check_precision("bf16", tiny().config)


def test_bf16_is_refused_on_a_gpu_that_emulates_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    with pytest.raises(DeviceError, match="no bf16"):
        check_precision("bf16", tiny().config)


def test_evaluation_writes_summaries_and_scores_them(tmp_path):
    pytest.importorskip("rouge_score")
    from dataclasses import replace

    settings = replace(QUICK, generate=True, eval_steps=2, beams=2)
    model = tiny()
    model.generation_config.max_new_tokens = 5
    trainer = tune(tmp_path, settings, model=model, evaluation=EXAMPLES[:3])
    entries = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    assert [entry["step"] for entry in entries] == [2, 4]
    assert {"eval_rouge1", "eval_rougeLsum"} <= entries[0].keys()
    assert json.loads((tmp_path / "training.json").read_text())["evaluations"] == entries


def test_an_empty_data_set_is_refused(tmp_path):
    with pytest.raises(OptionError, match="no documents"):
        fine_tune(tiny(), bundled_tokenizer(), [], tmp_path, QUICK, progress=False)


# LoRA.


@pytest.mark.parametrize("name", MODELS)
def test_adapters_reach_the_output_and_merge_exactly(name):
    """No attention may read a projection's weights past its adapter."""
    torch.manual_seed(0)
    model = tiny(name).eval()
    given = {"input_ids": torch.randint(5, 99, (2, 70)), "decoder_input_ids": torch.randint(5, 99, (2, 6))}
    if name == "led":
        given["global_attention_mask"] = torch.zeros(2, 70, dtype=torch.long)
        given["global_attention_mask"][:, 0] = 1
    with torch.no_grad():
        plain = model(**given).logits
        adapted = add_lora(model, 4)
        torch.testing.assert_close(adapted(**given).logits, plain)  # B is zero: it starts as it was
        for part, parameter in adapted.named_parameters():
            if "lora_B" in part:
                parameter.normal_(0, 0.3)
        evaluating, training_mode = adapted(**given).logits, adapted.train()(**given).logits
        torch.testing.assert_close(training_mode, evaluating, rtol=1e-3, atol=1e-4)
        merged = adapted.eval().merge_and_unload()(**given).logits
    assert (merged - plain).abs().max() > 1e-3
    torch.testing.assert_close(merged, evaluating, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_every_adapter_gets_a_gradient(name):
    adapted = add_lora(tiny(name).train(), 2)
    parts = [part for part, _ in adapted.named_parameters() if "lora_B" in part]
    # Query and value of each layer's self-attention, and of the decoder's cross-attention; LED's global projections.
    layers = 3 if name == "pegasus_x" else 2
    assert len(parts) == 2 * (layers + 2 * 2) + (3 * layers if name == "led" else 0)
    batch = Collator(adapted)(list(documents(adapted))[:2])
    adapted(**batch).loss.backward()
    for part, parameter in adapted.named_parameters():
        assert parameter.requires_grad == ("lora_" in part), part
        if "lora_B" in part:
            assert parameter.grad is not None, part
            assert parameter.grad.abs().max() > 0, part


def test_a_saved_adapter_gives_the_merged_model(tmp_path):
    from dataclasses import replace

    from peft import PeftModel

    settings = replace(QUICK, lora=4, learning_rate=0.05)
    start = tiny().eval()
    trainer = tune(tmp_path, settings, model=tiny())
    assert not (tmp_path / "adapter" / "model.safetensors").exists()
    size = (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size
    assert size < (tmp_path / "model.safetensors").stat().st_size / 3
    adapted = PeftModel.from_pretrained(start, tmp_path / "adapter").eval()
    merged = load(str(tmp_path), device="cpu")
    given = {"input_ids": torch.randint(5, 99, (1, 40)), "decoder_input_ids": torch.randint(5, 99, (1, 6))}
    with torch.no_grad():
        wanted = adapted(**given).logits
        with adapted.disable_adapter():
            assert (adapted(**given).logits - wanted).abs().max() > 1e-3
        torch.testing.assert_close(merged(**given).logits, wanted, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(trainer.model(**given).logits, wanted, rtol=1e-4, atol=1e-5)


def test_lora_without_peft_names_the_extra(monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "peft" else find(name))
    with pytest.raises(MissingExtra, match=r"longsum-lib\[training\]"):
        add_lora(tiny(), 4)
    monkeypatch.undo()
    with pytest.raises(OptionError, match="rank of LoRA is 0"):
        add_lora(tiny(), 0)


# The command.


def run(*arguments):
    parser = argparse.ArgumentParser()
    train_command.add(parser)
    return train_command.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny().save_pretrained(folder)
    bundled_tokenizer().save_pretrained(folder)
    return folder


def test_the_command_fine_tunes_on_a_file(checkpoint, tmp_path, capsys):
    rows = [{"article": example.text, "abstract": example.summary} for example in EXAMPLES]
    data = tmp_path / "set.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    options = ("--dataset", data, "--steps", 2, "--accumulation", 1, "--lora", 2, "--max-input-tokens", 64)
    assert run(checkpoint, *options, "--output", tmp_path / "out", "--limit", 4) == 0
    assert "the model is in" in capsys.readouterr().err
    before, after = weights(checkpoint), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    adapted = ("query", "value", "q_proj", "v_proj", "query_global", "key_global", "value_global")
    assert all(name.endswith(tuple(f"{part}.weight" for part in adapted)) for name in moved)
    settings = json.loads((tmp_path / "out" / "training.json").read_text())["settings"]
    assert (settings["steps"], settings["lora"], settings["max_input_tokens"]) == (2, 2, 64)


def test_the_command_says_how_to_go_on(checkpoint, tmp_path, capsys, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("longsum_lib.training.fine_tuning"), "fine_tune", stop)
    assert run(checkpoint, "--dataset", "corpus", "--output", tmp_path) == 130
    assert "--resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["led-tiny"], "needs --dataset"), (["--dataset", "corpus"], "which model")],
)
def test_half_a_command_names_the_other_half(arguments, message):
    with pytest.raises(OptionError, match=message):
        run(*arguments, "--output", "x")


def test_the_corpus_is_a_data_set_too(tmp_path):
    source = Source("corpus", split="train", length=96, first_seed=0)
    trainer = fine_tune(tiny(), bundled_tokenizer(), source, tmp_path, QUICK, limit=4, progress=False)
    assert len(trainer.train_dataset) == 4
