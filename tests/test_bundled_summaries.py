"""The bundled models' summaries, held to stored texts: the same on every supported release of other libraries."""

import json
from pathlib import Path

import pytest

from longsum_lib import load, load_tokenizer, make_document, summarize
from longsum_lib.loading.checkpoint_files import bundled_models

STORED = Path(__file__).parent / "golden" / "summaries.json"
"""``model`` -> ``beams`` -> text, of the document below. Written by running this file as a program."""

MODELS = ("led-tiny", "pegasus-x-tiny", "longt5-tiny", "lsg-tiny")
BEAMS = (1, 3)


def document() -> str:
    return make_document(seed=3, length=1024, split="test").text


def write(name: str) -> dict[str, str]:
    model, tokenizer = load(name), load_tokenizer(name)
    return {str(n): summarize(document(), model, tokenizer=tokenizer, num_beams=n).text for n in BEAMS}


def test_all_bundled_models_are_held():
    assert set(MODELS) == set(bundled_models()) == set(json.loads(STORED.read_text()))


@pytest.mark.parametrize("name", MODELS)
def test_summaries_are_the_stored_ones(name):
    assert write(name) == json.loads(STORED.read_text())[name]


if __name__ == "__main__":
    STORED.write_text(json.dumps({name: write(name) for name in MODELS}, indent=1, ensure_ascii=False) + "\n")
