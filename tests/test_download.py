"""``longsum download``: a folder that needs no hub."""

import shutil

import pytest
import torch

from longsum_lib import load, load_tokenizer
from longsum_lib.cli import main
from longsum_lib.cli.commands.download import download_to
from longsum_lib.errors import ModelNotFound, OptionError, UnsupportedModel
from longsum_lib.loading import hub
from longsum_lib.loading.checkpoint_files import bundled_models


@pytest.fixture
def on_the_hub(tmp_path, monkeypatch):
    """A hub with one model, whose cache holds links and a file of code."""
    store = tmp_path / "hub"
    store.mkdir()
    for path in bundled_models()["lsg-tiny"].iterdir():
        (store / path.name).symlink_to(path)
    (store / "modeling_lsg.py").write_text("raise SystemExit('code of a checkpoint ran')")
    asked = []

    def download(name, *, weights=True, hint="", **places):
        asked.append((name, weights, places))
        if name != "someone/lsg":
            raise ModelNotFound(f"the hub has no {name}")
        return store

    monkeypatch.setattr(hub, "download", download)
    return asked


def test_a_downloaded_folder_holds_files_and_no_code(tmp_path, on_the_hub, capsys):
    target = tmp_path / "new" / "lsg"
    assert main(["download", "someone/lsg", str(target), "--revision", "v2"]) == 0
    assert f"longsum summarize FILE --model {target}" in capsys.readouterr().out
    names = {path.name for path in target.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not any(path.is_symlink() or path.suffix == ".py" for path in target.iterdir())
    assert [weights for _, weights, _ in on_the_hub] == [False, True]
    assert all(places == {"revision": "v2"} for _, _, places in on_the_hub)
    shutil.rmtree(tmp_path / "hub")  # the folder stands alone
    expected, got = load("lsg-tiny").state_dict(), load(target).state_dict()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert load_tokenizer(target)("a text")["input_ids"] == load_tokenizer("lsg-tiny")("a text")["input_ids"]


def test_nothing_is_written_over(tmp_path, on_the_hub, capsys):
    precious = tmp_path / "mine" / "precious.txt"
    precious.parent.mkdir()
    precious.write_text("keep me")
    assert main(["download", "led-tiny", str(precious.parent)]) == 1
    assert "not an empty folder" in capsys.readouterr().err
    assert precious.read_text() == "keep me"
    with pytest.raises(OptionError):
        download_to("led-tiny", precious.parent)


def test_a_model_that_cannot_run_here_is_not_downloaded(tmp_path, on_the_hub):
    store = tmp_path / "hub"
    (store / "config.json").unlink()
    (store / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(UnsupportedModel):
        download_to("someone/lsg", tmp_path / "new")
    assert [weights for _, weights, _ in on_the_hub] == [False]
    with pytest.raises(ModelNotFound):
        download_to("someone/else", tmp_path / "new")
    assert not (tmp_path / "new").exists()
