"""A hostile user: wrong files, options, outputs and checkpoints. One clear line, nothing lost, nothing executed."""

import argparse
import csv
import json
import os
import pickle
import shutil
import struct
from pathlib import Path

import pytest
import torch

from longsum_lib import cli, summarize, terminal
from longsum_lib import places as outputs
from longsum_lib.cli.numbers import positive, whole_number
from longsum_lib.errors import CorruptCheckpoint, DocumentError, OptionError
from longsum_lib.evaluation.store import SummaryStore
from longsum_lib.loading import checkpoint_files
from longsum_lib.memory import config_numbers
from longsum_lib.training.fine_tuning import FineTuning

BUNDLED = checkpoint_files.CHECKPOINTS
ROW = {"text": "The survey worked on the plateau.", "summary": "A survey."}


@pytest.fixture
def longsum(capsys, monkeypatch, tmp_path):
    """Run the command in an empty folder; return its exit code and its last line on standard error."""
    monkeypatch.setattr(terminal, "quiet_libraries", lambda: None)
    monkeypatch.setattr("longsum_lib.cli.commands.train.quiet_libraries", lambda: None)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as error:
            code = error.code
        errors = capsys.readouterr().err.splitlines()
        return code, (errors or [""])[-1]

    return run


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    return path


def copied(folder, name="led-tiny"):
    shutil.copytree(BUNDLED / name, folder)
    return folder


# --- documents ------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a file without an end")
def test_an_endless_file_is_refused(longsum, monkeypatch):
    monkeypatch.setattr("longsum_lib.generation.reading.MOST_BYTES", 2**20)
    assert longsum("summarize", "/dev/zero") == (
        1,
        "longsum: /dev/zero has more than 1 MiB; expected a text, or cut it into several files first",
    )


@pytest.mark.parametrize("encoding", ["undefined", "hex", "utf-9"])
def test_encodings_that_are_none(longsum, rows, encoding):
    code, error = longsum("summarize", rows, "--encoding", encoding)
    assert code == 1
    assert f"unknown encoding '{encoding}'" in error


def test_half_a_character_is_refused(longsum, tmp_path):
    (tmp_path / "half.txt").write_text("\\ud800 and a text")
    code, error = longsum("summarize", "half.txt", "--encoding", "unicode_escape")
    assert code == 1
    assert "half a character (U+D800 at position 0)" in error
    with pytest.raises(DocumentError, match=r"document 2 of 2 holds half a character \(U\+DFFF at position 1\)"):
        summarize(["a text", "b\udfff"])


def test_a_flag_is_no_number():
    with pytest.raises(OptionError, match="num_beams is True, expected a whole number"):
        summarize("a text", num_beams=True)


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", "", "--5", "9" * 5000, "2147483648"])
def test_whole_numbers_out_of_range(text):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        whole_number(1)(text)
    assert len(str(error.value)) < 110


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "x", "1"])
def test_numbers_out_of_range(text):
    with pytest.raises(argparse.ArgumentTypeError, match="above 0 and below 1"):
        positive(1)(text)
    assert positive(1, zero=True)("0") == 0


@pytest.mark.parametrize(
    "options",
    [
        "corpus --length 95",
        "corpus --length 65537",
        "corpus --count 0",
        "corpus --seed -1",
        "evaluate --length 5",
        "evaluate --batch-size 0",
        "evaluate --limit -1",
        "memory led-tiny --length -4",
        "memory led-tiny --memory nan",
        "train --output x --steps 0",
        "train --output x --learning-rate -1",
        "train --output x --tokens-per-batch 0",
        "train --output x --save-steps 0",
        "train led-tiny --dataset x.csv --output x --epochs 0",
        "train led-tiny --dataset x.csv --output x --warmup 2",
        "convert-lsg a b --block-size 0",
        "convert-lsg a b --seed -1",
    ],
)
def test_numbers_that_make_no_sense_are_wrong_usage(longsum, options):
    code, error = longsum(*options.split())
    assert code == 2
    assert error.startswith("longsum: argument --")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0, expected a number above 0"),
        ({"epochs": float("nan")}, "epochs is nan"),
        ({"batch_size": 0}, "batch_size is 0, expected a whole number of at least 1"),
        ({"steps": 1.5}, "steps is 1.5"),
        ({"warmup": 1.0}, "warmup is 1.0, expected at least 0 and below 1"),
        ({"lora": -1}, "lora is -1"),
        ({"max_input_tokens": 1}, "max_input_tokens is 1, expected a whole number of at least 2"),
    ],
)
def test_settings_that_make_no_sense(options, message):
    with pytest.raises(OptionError, match=message):
        FineTuning(**options)


# --- options that contradict each other -------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--epochs 3", "--epochs is for fine-tuning"),
        ("--text-column x", "--text-column is for fine-tuning"),
        ("led-tiny --dataset rows.jsonl --model led", "led-tiny is the model to fine-tune"),
        ("led-tiny --dataset rows.jsonl --tokens-per-batch 64", "--tokens-per-batch is for training from nothing"),
        ("led-tiny --dataset rows.jsonl --steps 2 --epochs 2", "give one of them"),
        ("led-tiny --dataset rows.jsonl --generate", "--generate needs --eval-dataset"),
        ("led-tiny --dataset rows.jsonl --eval-dataset corpus --beams 2", "--beams needs --generate"),
        ("led-tiny --dataset rows.jsonl --length 96", "--length is for the synthetic corpus"),
        ("led-tiny --dataset corpus --config x", "--config is for data sets"),
        ("led-tiny --dataset corpus --split dev", "no split 'dev'; expected train or test"),
        ("led-tiny --dataset rows.jsonl --text-column body", "no column 'body'; it has: text, summary"),
        ("led-tiny --dataset rows.jsonl --eval-dataset none.csv", "there is no file none.csv"),
    ],
)
def test_training_options_without_effect_are_refused(longsum, rows, monkeypatch, options, message):
    monkeypatch.setattr("longsum_lib.loading.auto.load", lambda *_, **__: pytest.fail("the model was loaded"))
    code, error = longsum("train", *options.split(), "--output", "out")
    assert code == 1
    assert message in error
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--first-seed 3 --dataset rows.jsonl", "--first-seed is for the synthetic corpus"),
        ("--limit 0", "--limit is 0, but the synthetic corpus has no end"),
        ("--json r.json --summaries r.json", "a file each"),
        ("--dataset rows.jsonl --text-column body", "no column 'body'"),
        ("--json .", "a folder; expected the name of a file in it"),
        ("--json rows.jsonl/r.json", "its folder cannot be made"),
    ],
)
def test_evaluation_options_that_cannot_work(longsum, rows, options, message):
    code, error = longsum("evaluate", *options.split())
    assert code == 1
    assert message in error


# --- data sets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.jsonl", b"", "empty.jsonl has no documents; expected rows with a document and a summary"),
        ("blank.jsonl", b"\n \n", "blank.jsonl has no documents"),
        ("head.csv", b"text,summary\n", "head.csv has no documents"),
        ("columns.csv", b"a,b\n1,2\n", "It has: a, b; name it with --text-column"),
        (
            "short.csv",
            b"text,summary\nhello\n",
            "short.csv has no documents; expected rows with a document and a summary",
        ),
        ("latin.csv", b"text,summary\nna\xefve,b\n", "latin.csv is not a table in utf-8"),
        ("binary.jsonl", bytes(range(256)), "is not JSON with one object a line"),
        ("deep.jsonl", b"[" * 100_000, "is not JSON with one object a line"),
        ("digits.jsonl", b'{"text": ' + b"9" * 5000 + b"}", "is not JSON with one object a line"),
        ("half.jsonl", b'{"text": "\\ud800", "summary": "x"}', "column 'text' holds half a character"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "train led-tiny --output out"])
def test_files_that_are_no_data_set(longsum, tmp_path, monkeypatch, command, name, data, message):
    monkeypatch.setattr("longsum_lib.loading.auto.load", lambda *_, **__: pytest.fail("the model was loaded"))
    (tmp_path / name).write_bytes(data)
    code, error = longsum(*command.split(), "--dataset", name)
    assert code == 1
    assert message in error


def test_a_folder_is_no_data_set(longsum, tmp_path):
    (tmp_path / "set.jsonl").mkdir()
    assert "set.jsonl is a folder; expected a file" in longsum("evaluate", "--dataset", "set.jsonl")[1]


def test_a_table_with_too_many_cells_is_read(tmp_path):
    from longsum_lib.datasets import Source

    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text", "summary"], ["a", "b", "c", "d"]])
    (example,) = Source(str(tmp_path / "t.csv")).examples()
    assert (example.text, example.summary) == ("a", "b")


# --- nothing is lost --------------------------------------------------------------------------------


def test_a_model_is_never_written_over(longsum, rows, tmp_path):
    model = copied(tmp_path / "mine")
    before = {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()}
    for options in (["mine", "--dataset", rows], ["mine", "--dataset", rows, "--resume"], [], ["--resume"]):
        code, error = longsum("train", *options, "--output", "mine", "--steps", 1)
        assert code == 1
        assert "mine holds a model already (model.safetensors), which is left alone" in error
    assert before == {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()}


def test_a_run_that_failed_early_leaves_no_file_in_the_way(longsum, rows):
    options = ("evaluate", "--dataset", rows, "--max-new-tokens", 2, "--json", "r.json")
    assert longsum(*options, "--model", "typo")[0] == 1
    assert not list(Path().glob("r.json*"))
    assert longsum(*options)[0] == 0
    assert [path.name for path in Path().glob("r.json*")] == ["r.json"]


@pytest.mark.parametrize("text", ["my notes", "my notes\n", '{"a": 1}\n', "[1]\n"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_file_of_something_else_is_left_alone(tmp_path, text, resume):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(OptionError, match="holds no summaries of an evaluation; choose another file"):
        SummaryStore(path, {}, resume=resume)
    assert path.read_text() == text


def test_settings_alone_are_no_run(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_text('{"settings": {"model": "typo"}}\n')
    store = SummaryStore(path, {"model": "m"})
    store.add("r", 0, "a text", {"text": "x"})
    assert json.loads(path.read_text().splitlines()[0]) == {"settings": {"model": "m"}}


def test_an_interruption_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("earlier")
    path.chmod(0o640)

    def interrupted():
        with outputs.replacing(path) as file:
            file.write("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "earlier"
    (tmp_path / "link.json").symlink_to(path)
    with outputs.replacing(tmp_path / "link.json") as file:
        file.write("whole")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("whole", 0o640)
    assert (tmp_path / "link.json").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.json", "report.json"]


def test_a_device_is_written_to_and_stays(longsum):
    if Path("/dev/null").is_char_device():
        assert longsum("corpus", "--length", 96, "--output", "/dev/null") == (0, "")
        assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="a user who may write everywhere")
def test_places_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    for check in (outputs.check_file, outputs.check_folder):
        with pytest.raises(OptionError, match="permission denied"):
            check(tmp_path / "new", "--output")


def test_outputs_that_cannot_be(longsum, rows):
    assert "--output is ., a folder" in longsum("corpus", "--output", ".")[1]
    assert "is not a folder; choose another name" in longsum("train", "--output", rows)[1]
    assert "is not a folder; choose another name" in longsum("convert-lsg", "lsg-tiny", rows / "x")[1]


def test_a_conversion_that_fails_leaves_nothing(longsum, tmp_path, monkeypatch):
    from longsum_lib import LSGPegasusForConditionalGeneration

    def fail(self, folder, **_):
        Path(folder).mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LSGPegasusForConditionalGeneration, "save_pretrained", fail)
    assert longsum("convert-lsg", "lsg-tiny", "new", "--resize-lsg") == (
        1,
        "longsum: cannot write: No space left on device",
    )
    assert not list(tmp_path.iterdir())


def test_a_damaged_checkpoint_of_a_run_is_named(longsum, rows, tmp_path):
    options = ("train", copied(tmp_path / "base"), "--dataset", rows, "--output", "run", "--accumulation", 1)
    options += ("--save-steps", 1, "--max-input-tokens", 16)
    assert longsum(*options, "--steps", 2)[0] == 0
    (tmp_path / "run" / "checkpoint-2" / "optimizer.pt").write_bytes(pickle.dumps(Harm(tmp_path / "harmed")))
    code, error = longsum(*options, "--steps", 3, "--resume")
    assert code == 1
    assert "checkpoint-2 is damaged and cannot be gone on from; delete that folder" in error
    assert not (tmp_path / "harmed").exists()
    shutil.rmtree(tmp_path / "run" / "checkpoint-2")
    assert longsum(*options, "--steps", 3, "--resume")[0] == 0


# --- checkpoints ------------------------------------------------------------------------------------


class Harm:
    """A pickle that would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("how", ["pickle", "torch", "other name"])
def test_a_pickle_is_never_run(longsum, tmp_path, rows, how):
    folder = copied(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    harm = Harm(tmp_path / "harmed")
    if how == "torch":
        torch.save({"x": harm}, folder / "pytorch_model.bin")
    else:
        name = "pytorch_model.bin" if how == "pickle" else "model.pkl"
        (folder / name).write_bytes(pickle.dumps(harm))
    code, error = longsum("summarize", rows, "--model", folder)
    assert code == 1
    assert "expected model.safetensors" in error
    assert not (tmp_path / "harmed").exists()


def with_header(folder, change):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    new = change(header, next(name for name in header if name != "__metadata__"))
    path.write_bytes(struct.pack("<Q", len(new)) + new + data[8 + size :])


def negative(header, name):
    header[name]["shape"] = [-1, 5]
    return json.dumps(header).encode()


def nested(header, name):
    return b"[" * 50_000


@pytest.mark.parametrize("change", [negative, nested])
def test_headers_that_lie(longsum, tmp_path, rows, change):
    folder = copied(tmp_path / "m")
    with_header(folder, change)
    code, error = longsum("summarize", rows, "--model", folder)
    assert (code, error.partition("model.safetensors ")[2]) == (1, "is damaged: its header cannot be read")


def test_a_bin_file_that_was_cut(longsum, tmp_path, rows):
    folder = copied(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    torch.save({"x": torch.zeros(5000)}, folder / "pytorch_model.bin")
    data = (folder / "pytorch_model.bin").read_bytes()
    (folder / "pytorch_model.bin").write_bytes(data[:5000])
    assert "pytorch_model.bin is damaged: it ends too early" in longsum("summarize", rows, "--model", folder)[1]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("config.json", "[" * 100_000, "is damaged: JSON that no checkpoint has"),
        ("config.json", '{"a": ' + "9" * 5000 + "}", "is damaged: JSON that no checkpoint has"),
        ("config.json", '{"d_model": 4}', "names no model_type, so this is not a transformers checkpoint"),
        ("generation_config.json", "{", "generation_config.json is damaged: no valid JSON"),
        ("generation_config.json", '{"num_beams": "many"}', "num_beams 'many', expected a whole number"),
    ],
)
def test_settings_that_are_damaged(longsum, tmp_path, rows, file, text, message):
    folder = copied(tmp_path / "m")
    (folder / file).write_text(text)
    code, error = longsum("summarize", rows, "--model", folder)
    assert code == 1
    assert message in error


@pytest.mark.parametrize("fields", [{"d_model": "x"}, {"d_model": -4}, {"encoder_layers": 0}, {"vocab_size": None}])
def test_memory_of_a_config_that_is_of_no_model(fields):
    with pytest.raises(CorruptCheckpoint, match="its config"):
        config_numbers({"model_type": "led", **fields})


# --- conversion -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--block-size 10", "--block-size is 10, expected a multiple of --sparsity-factor, 4"),
        ("--block-size 12", "give --no-strict-geometry to compute the intended pattern"),
        ("--num-global-tokens 600", "--num-global-tokens is 600, expected 1 to 512"),
        ("--max-length 99999999999", "--max-length is 99,999,999,999, expected at most 1,048,576 tokens"),
        ("--mask-first-token --no-pool-with-global", "--mask-first-token hides the first token, so it needs"),
        ("--global-positional-stride 7", "--global-positional-stride is 7"),
    ],
)
def test_sizes_that_cannot_be_converted_to(longsum, options, message):
    code, error = longsum("convert-lsg", "lsg-tiny", "new", *options.split())
    assert code == 1
    assert message in error
    assert not Path("new").exists()


def test_weights_that_do_not_fit_the_config(longsum, tmp_path):
    folder = copied(tmp_path / "m", "lsg-tiny")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"encoder_ffn_dim": config["encoder_ffn_dim"] * 2}))
    code, error = longsum("convert-lsg", folder, "new", "--resize-lsg")
    assert code == 1
    assert f"{folder}: its weights do not fit its config.json: encoder_ffn_dim is 1,024 there" in error
