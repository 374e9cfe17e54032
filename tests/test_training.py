"""Training: first weights, batches, the curriculum, and a run that goes on where it was interrupted."""

import argparse
import json

import pytest
import torch

from longsum_lib import training
from longsum_lib.corpus.tokenizer import BOS, EOS, PAD, bundled_tokenizer
from longsum_lib.errors import OptionError

SHORT = training.Recipe(steps=6, tokens_per_batch=192, short_tokens_per_batch=192, warmup_steps=1)


def test_positions_repeat_and_differ_within_a_period():
    table = training.periodic_positions(1100, 128)
    torch.testing.assert_close(table[:512], table[512:1024], atol=1e-5, rtol=0)
    distances = torch.cdist(table[:512], table[:512]) + torch.eye(512)
    assert distances.min() > 0.05
    torch.testing.assert_close(table.square().mean(1), torch.full((1100,), 0.125**2 / 2))


def test_token_embeddings_and_positions_start_at_about_the_same_size():
    model = training.tiny_led()
    tokens = model.led.shared.weight.square().mean().sqrt()
    positions = model.led.encoder.embed_positions.weight.square().mean().sqrt()
    assert 0.8 < tokens / positions < 1.25


def test_model_has_the_size_that_its_card_says():
    model = training.tiny_led()
    training.freeze_positions(model)
    parameters = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert 2e6 < parameters < 6e6
    assert parameters - trained == 16_384 * 128
    assert 2 * parameters < 8e6  # bytes in fp16
    assert (model.config.pad_token_id, model.config.eos_token_id, model.config.bos_token_id) == (PAD, EOS, BOS)


def test_a_batch_has_one_global_token_a_document_and_ends_its_summaries():
    batch = training.make_batch(0, 128, 3)
    assert batch["global_attention_mask"].sum(1).tolist() == [1, 1, 1]
    assert batch["global_attention_mask"][:, 0].all()
    assert ((batch["input_ids"] == PAD) == (batch["attention_mask"] == 0)).all()
    for row in batch["labels"]:
        row = row[row != training.IGNORED]
        assert row[-1] == EOS
        assert BOS not in row
        assert bundled_tokenizer().decode(row).startswith("This is the report of the ")


def test_the_batch_of_a_step_depends_on_seed_and_step_alone():
    stream = training.CorpusStream(SHORT)
    batches = list(stream)
    assert len(batches) == SHORT.steps
    late = list(training.CorpusStream(SHORT, first_step=4))
    for one, other in zip(batches[4:], late, strict=True):
        assert torch.equal(one["input_ids"], other["input_ids"])
    assert not torch.equal(batches[0]["labels"], batches[1]["labels"])


def test_the_curriculum_goes_from_short_to_long_and_keeps_short_ones():
    ends = [end for end, _ in training.CURRICULUM]
    longest = [max(lengths) for _, lengths in training.CURRICULUM]
    assert ends == sorted(ends)
    assert ends[-1] == 1.0
    assert longest == sorted(longest)
    assert longest[-1] == 4096
    assert all(min(lengths) < 256 for _, lengths in training.CURRICULUM)
    stream = training.CorpusStream(training.Recipe(steps=100))
    assert stream.batch(0)["input_ids"].shape[1] <= 160
    assert max(stream.batch(step)["input_ids"].shape[1] for step in range(90, 100)) > 2000


def _weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_an_interrupted_run_goes_on_to_the_same_model(tmp_path):
    from transformers import TrainerCallback

    class Interrupt(TrainerCallback):
        def on_step_end(self, arguments, state, control, **kwargs):
            if state.global_step == 3:
                raise KeyboardInterrupt

    straight, broken = tmp_path / "straight", tmp_path / "broken"
    training.train(straight, SHORT, save_steps=2, progress=False)
    with pytest.raises(KeyboardInterrupt):
        training.train(broken, SHORT, save_steps=2, progress=False, callbacks=[Interrupt()])
    with pytest.raises(OptionError, match="holds checkpoint-2 of an earlier run"):
        training.train(broken, SHORT, progress=False)
    training.train(broken, SHORT, save_steps=2, progress=False, resume=True)
    expected, found = _weights(straight), _weights(broken)
    assert expected.keys() == found.keys()
    for name, weight in expected.items():
        assert weight.dtype == torch.float16
        torch.testing.assert_close(found[name], weight)

    from longsum_lib import load, load_tokenizer

    model = load(str(broken))
    assert model.generation_config.max_new_tokens == training.LONGEST_SUMMARY
    assert load_tokenizer(str(broken))("a").input_ids == bundled_tokenizer()("a").input_ids
    positions = model.led.encoder.embed_positions.weight.float()
    torch.testing.assert_close(positions, training.periodic_positions(*positions.shape), atol=1e-4, rtol=0)
    record = json.loads((broken / "training.json").read_text())
    assert record["recipe"]["steps"] == SHORT.steps


def test_training_lowers_the_loss():
    model = training.tiny_led()
    training.freeze_positions(model)
    batch = training.make_batch(0, 96, 2)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(8):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


def test_command_line_arguments_reach_the_recipe(monkeypatch):
    parser = argparse.ArgumentParser()
    training.add_train_arguments(parser)
    seen = {}
    monkeypatch.setattr(training, "train", lambda output, recipe, **rest: seen.update(recipe=recipe, **rest))
    arguments = ["--output", "x", "--steps", "7", "--seed", "3", "--learning-rate", "0.01", "--resume"]
    assert training.run_train(parser.parse_args(arguments)) == 0
    assert seen["recipe"] == training.Recipe(steps=7, seed=3, learning_rate=0.01)
    assert seen["resume"] is True


def test_an_interruption_says_how_to_go_on(monkeypatch, capsys):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    parser = argparse.ArgumentParser()
    training.add_train_arguments(parser)
    monkeypatch.setattr(training, "train", stop)
    assert training.run_train(parser.parse_args(["--output", "runs/x"])) == 130
    assert "--resume" in capsys.readouterr().err
