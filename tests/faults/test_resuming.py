"""Going on after an interruption: the same run, nothing lost, one process writes, nobody's file is replaced."""

import contextlib
import errno
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from tiny_checkpoint import make_checkpoint

from longsum_lib import cli, load, load_tokenizer
from longsum_lib.datasets import Example
from longsum_lib.errors import OptionError
from longsum_lib.evaluation import SummaryStore
from longsum_lib.loading.checkpoint_files import content_of
from longsum_lib.places import Lock, work_folder
from longsum_lib.training import FineTuning
from longsum_lib.training.fine_tuning import fine_tune, whole_checkpoint
from longsum_lib.training.run_record import writing_to

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = {"model": "m", "num_beams": 1}


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def fill(path, count, start=0, **options):
    store = SummaryStore(path, SETTINGS, **options)
    for index in range(start, count):
        store.add("r", index, f"text {index}", {"text": f"summary {index} – ü"})
    store.close()
    return store


def test_a_store_cut_anywhere_goes_on_and_ends_byte_equal(tmp_path):
    whole = tmp_path / "whole.jsonl"
    fill(whole, 3)
    data = whole.read_bytes()
    path = tmp_path / "cut.jsonl"
    for length in [*range(40), *range(40, len(data), 5), len(data)]:
        path.write_bytes(data[:length])
        again = SummaryStore(path, SETTINGS, resume=True)
        kept = len(again)
        assert kept == max(0, data[:length].count(b"\n") - 1)
        again.close()
        fill(path, 3, start=kept, resume=True)
        assert path.read_bytes() == data


def test_zeros_at_the_end_as_after_a_loss_of_power(tmp_path):
    whole = tmp_path / "whole.jsonl"
    fill(whole, 3)
    data = whole.read_bytes()
    for length in range(0, len(data), 7):
        path = tmp_path / "zeros.jsonl"
        path.write_bytes(data[:length] + bytes(len(data) - length))
        store = SummaryStore(path, SETTINGS, resume=True)
        assert len(store) == max(0, data[:length].count(b"\n") - 1)
        store.close()


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("My notes.\n")
    with pytest.raises(OptionError, match="holds no summaries of an evaluation"):
        SummaryStore(path, SETTINGS, resume=True)
    assert path.read_text() == "My notes.\n"


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    path = tmp_path / "s.jsonl"
    store = SummaryStore(path, SETTINGS)
    store.add("r", 0, "text 0", {"text": "summary"})
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=rf"--resume goes on .*{path.name}"):
            store.add("r", 1, "text 1", {"text": "summary"})
    assert path.read_bytes() == before
    store.add("r", 1, "text 1", {"text": "summary"})
    store.close()
    assert len(SummaryStore(path, SETTINGS, resume=True)) == 2


TWO = """
import sys, time
from longsum_lib.errors import OptionError
from longsum_lib.evaluation import SummaryStore
try:
    store = SummaryStore(sys.argv[1], {"model": "m"}, resume=True)
    for index in range(3):
        store.add("r", index, f"text {index}", {"text": "summary"})
    time.sleep(1)
except OptionError as error:
    print(error)
    sys.exit(3)
"""


def test_of_two_processes_one_works_and_the_other_is_told(tmp_path):
    path = tmp_path / "s.jsonl"
    runs = [
        subprocess.Popen([sys.executable, "-c", TWO, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [run.communicate(timeout=60)[0] for run in runs]
    codes = [run.returncode for run in runs]
    assert 0 in codes
    for code, text, run in zip(codes, said, runs, strict=True):
        others = {str(other.pid) for other in runs if other is not run}
        if code:
            assert "is being written by another process" in text
            assert any(f"(number {pid})" in text for pid in others)
    assert len(path.read_text().splitlines()) == 4


ENDED = "import os, sys; from longsum_lib.places import Lock; Lock(sys.argv[1]); os._exit(9)"
SLOW = """
import pathlib, sys, time
from longsum_lib.places import Lock
write = pathlib.Path.write_text
def slow(path, *args, **more):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
    return write(path, *args, **more)
pathlib.Path.write_text = slow
lock = Lock(sys.argv[1])
sys.stdin.read()
"""


@contextlib.contextmanager
def slow_to_say(path, seconds):
    """A process that holds the lock and says only later who it is."""
    command = [sys.executable, "-c", SLOW, str(path), str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout.readline() == "held\n"
            yield run
        finally:
            run.kill()


def test_a_lock_ends_with_its_process(tmp_path):
    subprocess.run([sys.executable, "-c", ENDED, str(tmp_path / "x")], cwd=ROOT, check=False)
    Lock(tmp_path / "x").release()
    assert list(tmp_path.glob("*x*")) == []
    assert not list(tmp_path.glob("cache/**/*.owner"))


def test_who_holds_a_lock_is_told_even_in_the_moment_before_it_says_so(tmp_path):
    subprocess.run([sys.executable, "-c", ENDED, str(tmp_path / "x")], cwd=ROOT, check=False)
    with slow_to_say(tmp_path / "x", 0.2) as run, pytest.raises(OptionError, match=rf"\(number {run.pid}\)"):
        Lock(tmp_path / "x")


def test_who_ended_long_ago_is_not_told_to_hold_a_lock(tmp_path):
    subprocess.run([sys.executable, "-c", ENDED, str(tmp_path / "x")], cwd=ROOT, check=False)
    with slow_to_say(tmp_path / "x", 60), pytest.raises(OptionError, match="by another process; wait"):
        Lock(tmp_path / "x")


def test_a_lock_that_is_another_processs_by_now_keeps_its_holders_number(tmp_path):
    lock = Lock(tmp_path / "x")
    lock.release()
    with slow_to_say(tmp_path / "x", 0) as run:
        with pytest.raises(OptionError, match=rf"\(number {run.pid}\)"):
            Lock(tmp_path / "x")
        lock.release()
        with pytest.raises(OptionError, match=rf"\(number {run.pid}\)"):
            Lock(tmp_path / "x")


def test_evaluating_other_weights_of_the_same_name_is_noticed(tmp_path, capsys):
    folder = make_checkpoint(tmp_path / "led")
    options = ["evaluate", "--model", str(folder), "--length", "96", "--max-new-tokens", "4", "--no-baselines"]
    options += ["--summaries", str(tmp_path / "s.jsonl")]
    assert cli.main([*options, "--limit", "1"]) == 0
    before = content_of(folder)
    model = load(folder)
    with torch.no_grad():
        model.led.encoder.layers[0].fc1.bias.add_(0.01)
    model.save_pretrained(folder)
    assert content_of(folder) != before
    assert cli.main([*options, "--limit", "2", "--resume"]) == 1
    assert "is of a run with another weights" in capsys.readouterr().err
    assert cli.main([*options, "--limit", "2", "--resume", "--accept-changes"]) == 0
    assert "was begun with another weights" in capsys.readouterr().err
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert [line.get("changed") for line in lines] == [None, None, ["weights"], None]
    assert cli.main([*options, "--limit", "2", "--resume"]) == 0


@pytest.fixture(scope="module")
def led(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("base") / "led")


class Stop(Exception):
    pass


def train(led, output, *, steps=4, stop=None, texts="abc", seed=0, scale=1.0, rate=1e-3, **options):
    """Fine-tune; ``stop`` ends the run behind a step, as a crash would."""
    from transformers import TrainerCallback

    class Stopping(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            if state.global_step == stop:
                raise Stop

    model = load(led)
    with torch.no_grad():
        model.lm_head.weight.mul_(scale)
    examples = [Example(f"The clerk {letter} wrote it down. " * 4, f"Summary {letter}.") for letter in texts]
    settings = FineTuning(steps=steps, accumulation=1, save_steps=1, seed=seed, learning_rate=rate)
    more = {"progress": False, "callbacks": [Stopping()], **options}
    with contextlib.suppress(Stop):
        fine_tune(model, load_tokenizer(led), examples, output, settings, **more)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"texts": "abx"}, "data"),
        ({"texts": "ab"}, "data"),
        ({"seed": 1}, "seed"),
        ({"rate": 2e-3}, "learning_rate"),
        ({"steps": 3}, "steps"),
        ({"scale": 1.01}, "weights"),
    ],
)
def test_a_training_that_goes_on_knows_what_it_is_of(led, tmp_path, change, name):
    train(led, tmp_path, stop=2)
    with pytest.raises(OptionError, match=f"holds a run with another {name} "):
        train(led, tmp_path, resume=True, **change)
    train(led, tmp_path, resume=True, accept_changes=True, **change)
    record = json.loads((tmp_path / "training.json").read_text())
    assert [list(entry["changed"]) for entry in record["changes"]] == [[name]]


def test_a_training_may_go_on_for_longer(led, tmp_path):
    train(led, tmp_path, stop=2)
    train(led, tmp_path, steps=5, resume=True)
    (change,) = json.loads((tmp_path / "training.json").read_text())["changes"]
    assert change["changed"] == {"steps": [4, 5]}


def test_a_training_that_goes_on_ends_as_one_that_was_not_interrupted(led, tmp_path):
    train(led, tmp_path / "straight")
    train(led, tmp_path / "broken", stop=2)
    (tmp_path / "broken" / ".tmp0DgxoR").write_bytes(b"half")  # as safetensors leaves it when it is killed
    train(led, tmp_path / "broken", resume=True)
    assert not list((tmp_path / "broken").glob(".tmp*"))
    files = {path.name for path in (tmp_path / "straight").iterdir() if path.is_file()}
    for name in files:
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name


def test_an_adapter_that_was_half_written_ends_as_one_that_was_not_interrupted(led, tmp_path, monkeypatch):
    """peft adds to a model card that it finds."""
    import peft

    save = peft.PeftModel.save_pretrained

    def half(self, folder, *args, **more):
        save(self, folder, *args, **more)
        if "checkpoint" not in str(folder):
            card = Path(folder) / "README.md"
            card.write_text(card.read_text()[:100])
            raise Stop

    def tuned(name, **more):
        settings = FineTuning(steps=2, save_steps=1, learning_rate=1e-3, lora=2)
        examples = [Example(f"The clerk {letter} wrote it down. " * 4, f"Summary {letter}.") for letter in "abc"]
        with contextlib.suppress(Stop):
            fine_tune(load(led), load_tokenizer(led), examples, tmp_path / name, settings, progress=False, **more)
        return {path.name: path.read_bytes() for path in (tmp_path / name / "adapter").glob("*")}

    straight = tuned("straight")
    with monkeypatch.context() as patched:
        patched.setattr(peft.PeftModel, "save_pretrained", half)
        tuned("broken")
    assert tuned("broken", resume=True) == straight
    assert not list((tmp_path / "broken").glob(".*"))


@pytest.mark.parametrize("lora", [0, 2])
@pytest.mark.parametrize("steps", [3, None])
def test_a_training_that_is_done_stays_as_it_is(led, tmp_path, steps, lora):
    """``Trainer`` would take one step more from the last checkpoint."""
    files = []
    for _ in range(2):
        model = load(led)
        examples = [Example(f"The clerk {letter} wrote it down. " * 4, f"Summary {letter}.") for letter in "abc"]
        settings = FineTuning(steps=steps, epochs=1.0, accumulation=2, save_steps=1, learning_rate=1e-3, lora=lora)
        fine_tune(model, load_tokenizer(led), examples, tmp_path / "m", settings, progress=False, resume=bool(files))
        files.append({path.name: path.read_bytes() for path in (tmp_path / "m").rglob("*.json") if path.is_file()})
        files[-1] |= {path.name: path.read_bytes() for path in (tmp_path / "m").glob("*.safetensors")}
    assert json.loads(files[0]["training.json"])["step_and_loss"][-1][0] == (steps or 2)
    assert files[0] == files[1]


def test_a_full_disk_says_that_resume_goes_on(tmp_path):
    for error in (OSError(errno.ENOSPC, "No space left on device"), RuntimeError("PytorchStreamWriter failed writing")):
        with (
            pytest.raises(OSError, match=r"--resume goes on from the last whole checkpoint") as caught,
            writing_to(tmp_path),
        ):
            raise error
        assert caught.value.filename == str(tmp_path)
    with pytest.raises(ValueError, match="another"), writing_to(tmp_path):
        raise ValueError("another thing")


@pytest.mark.parametrize(
    "error",
    [
        SafetensorError("Error while serializing: I/O error: File too large (os error 27)"),
        RuntimeError("PytorchStreamWriter failed writing"),
    ],
)
def test_a_disk_that_is_full_at_the_end_of_a_run_that_goes_on_is_no_damaged_checkpoint(tmp_path, error):
    with (
        pytest.raises(OSError, match=r"--resume goes on from the last whole checkpoint"),
        writing_to(tmp_path),
        whole_checkpoint(tmp_path / "checkpoint-5"),
    ):
        raise error


def test_work_folders_of_killed_runs_are_removed(tmp_path):
    target = tmp_path / "model"
    for name in (".model.abcdefgh", ".model.12345678", ".other.abcdefgh"):
        (tmp_path / name / "whole").mkdir(parents=True)
    (tmp_path / ".model.mynotes1").mkdir()
    (tmp_path / ".model.mynotes1" / "a.txt").write_text("mine")
    with work_folder(target) as parts:
        assert parts.parent == tmp_path
    left = {path.name for path in tmp_path.iterdir() if path.name.startswith(".")}
    assert left == {".other.abcdefgh", ".model.mynotes1"}


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["corpus", "--count", "1", "--length", "96"], "--output"),
        (["evaluate", "--length", "96", "--limit", "1", "--max-new-tokens", "2", "--no-baselines"], "--json"),
    ],
)
def test_nobody_elses_file_is_replaced(tmp_path, capsys, command, option):
    path = tmp_path / "notes.json"
    path.write_text("My novel.\n")
    assert cli.main([*command, option, str(path)]) == 1
    assert f"{option} is {path}, which exists and was not written by this command" in capsys.readouterr().err
    assert path.read_text() == "My novel.\n"
    assert cli.main([*command, option, str(path), "--force"]) == 0
    first = path.read_bytes()
    assert cli.main([*command, option, str(path)]) == 0  # our own is replaced
    assert len(path.read_bytes()) == len(first)


def test_seeded_kills_of_a_store_lose_nothing(tmp_path):
    """Six kills by seed; the soak plays more."""
    draw = random.Random(0)
    path = tmp_path / "s.jsonl"
    code = (
        TWO.replace("range(3)", "range(len(store), 40)")
        .replace("time.sleep(0.3)", "pass")
        .replace("store.add(", "time.sleep(0.002); store.add(")
    )
    kept = 0
    for _ in range(6):
        run = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(timeout=0.1 + 0.5 * draw.random())
        run.kill()
        run.wait()
        if path.exists():
            store = SummaryStore(path, {"model": "m"}, resume=True)
            assert len(store) >= kept
            kept = len(store)
            store.close()
    subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=True)
    straight = tmp_path / "straight.jsonl"
    subprocess.run([sys.executable, "-c", code, str(straight)], cwd=ROOT, check=True)
    assert path.read_bytes() == straight.read_bytes()
