"""Folders with ``spiece.model`` and no ``tokenizer.json``, as older Pegasus, LongT5 and BigBird checkpoints are."""

import json
import sys

import pytest
from families import FAMILIES

from longsum_lib import load_tokenizer
from longsum_lib.errors import CorruptCheckpoint
from longsum_lib.loading import sentencepiece_files

sentencepiece = pytest.importorskip("sentencepiece")

TEXTS = [
    "The council met twice. Nobody saw the ship leave.",
    "Two  blanks,\nline breaks\n\nand\ttabs.",
    "  Blanks in front, full-width ＡＢＣ, ligature ﬁ, one half ½, dash – and dots…",
    "Unknown: 漢字 🙂 ж, accents: cafe\u0301 naïve, soft\u00adhyphen, zero\u200bwidth.",
    "1,024 tokens <n> of A/B (C) <extra_id> x",
    "",
]
SIZE = 260


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """SentencePiece models laid out as Pegasus' and T5's are: padding 0, end 1, unknown 2."""
    from longsum_lib import make_document

    folder, lines = tmp_path_factory.mktemp("pieces"), make_document(3, 4096).text.splitlines()
    options = {"unigram": {}, "bytes": {"byte_fallback": True, "vocab_size": SIZE + 256}, "bpe": {"model_type": "bpe"}}
    options["no_prefix"] = {"add_dummy_prefix": False}
    options["default_ids"] = {"pad_id": -1, "unk_id": 0, "bos_id": 1, "eos_id": 2}
    for name, more in options.items():
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([*lines, *TEXTS[:3]]),
            model_prefix=str(folder / name),
            minloglevel=2,
            **{"vocab_size": SIZE, "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1} | more,
        )
    return folder


@pytest.fixture
def folder_of(models, tmp_path):
    def make(family, kind="unigram", settings=None, more=None):
        config = FAMILIES[family].config().to_dict() if family in FAMILIES else {"model_type": family}
        (tmp_path / "config.json").write_text(json.dumps(config))
        (tmp_path / "spiece.model").write_bytes((models / f"{kind}.model").read_bytes())
        if settings is not None:
            (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
        for name, content in (more or {}).items():
            (tmp_path / name).write_text(json.dumps(content))
        return tmp_path

    return make


def reference(models, kind="unigram"):
    return sentencepiece.SentencePieceProcessor(model_file=str(models / f"{kind}.model"))


PEGASUS = {"tokenizer_class": "PegasusTokenizer", "model_max_length": 1024}
BIGBIRD = {"offset": 0, "mask_token": "[MASK]", "mask_token_sent": None, "model_max_length": 4096}
KINDS = [
    pytest.param("pegasus_x", PEGASUS, 103, id="pegasus_x"),
    pytest.param("pegasus_x", None, 103, id="pegasus_x, nothing but spiece.model"),
    pytest.param("bigbird_pegasus", BIGBIRD, 0, id="bigbird_pegasus"),
    pytest.param("lsg_pegasus", PEGASUS, 103, id="lsg_pegasus"),
    pytest.param("longt5_local", {"tokenizer_class": "T5Tokenizer", "extra_ids": 100}, 0, id="longt5"),
    pytest.param("longt5_global", None, 0, id="longt5, nothing but spiece.model"),
]


@pytest.mark.parametrize(("family", "settings", "offset"), KINDS)
def test_ids_are_those_of_sentencepiece(folder_of, models, monkeypatch, family, settings, offset):
    monkeypatch.setitem(sys.modules, "google.protobuf", None)  # installed or not, it is not asked
    tokenizer, own = load_tokenizer(folder_of(family, settings=settings)), reference(models)
    for text in TEXTS:
        want = [piece + offset if piece > 1 else piece for piece in own.encode(text)]
        assert tokenizer(text).input_ids == [*want, 1], text
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2 + offset)
    ids = tokenizer(TEXTS[0]).input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == own.decode(own.encode(TEXTS[0]))


@pytest.mark.parametrize(("family", "more"), [("pegasus_x", 1), ("longt5_local", 0)])
def test_blanks_at_the_end_differ_as_in_the_published_tokenizers(folder_of, models, family, more):
    tokenizer, text = load_tokenizer(folder_of(family)), "The council met twice."
    assert reference(models).encode(text + "  \n") == reference(models).encode(text)
    assert len(tokenizer(text + "  \n").input_ids) == len(tokenizer(text).input_ids) + more


def test_special_tokens_keep_their_places(folder_of):
    pegasus = load_tokenizer(
        folder_of("pegasus_x", more={"special_tokens_map.json": {"pad_token": {"content": "<pad>"}}})
    )
    assert pegasus.convert_tokens_to_ids(["<mask_1>", "<mask_2>", "<unk_2>", "<unk_102>"]) == [2, 3, 4, 104]
    assert "<mask_1>" not in pegasus.decode([2, 3, 4, 106], skip_special_tokens=True)
    t5 = load_tokenizer(folder_of("longt5_local"))
    assert t5.convert_tokens_to_ids(["<extra_id_99>", "<extra_id_0>"]) == [SIZE, SIZE + 99]
    assert len(t5) == SIZE + 100


def test_bytes_stand_for_what_is_unknown(folder_of, models):
    tokenizer, own = load_tokenizer(folder_of("longt5_local", "bytes")), reference(models, "bytes")
    assert tokenizer(TEXTS[3]).input_ids == [*own.encode(TEXTS[3]), 1]
    assert "漢字" in tokenizer.decode(tokenizer(TEXTS[3]).input_ids, skip_special_tokens=True)


def test_tokens_that_were_added_keep_their_ids(folder_of):
    tokenizer = load_tokenizer(folder_of("longt5_local", more={"added_tokens.json": {"<cite>": SIZE + 100}}))
    assert tokenizer("a <cite> b").input_ids.count(SIZE + 100) == 1
    with pytest.raises(CorruptCheckpoint, match=r"'<cite>' has the id 7 there"):
        load_tokenizer(folder_of("longt5_local", more={"added_tokens.json": {"<cite>": 7}}))


def test_saved_again_it_is_the_same_everywhere(folder_of, tmp_path):
    tokenizer = load_tokenizer(folder_of("pegasus_x", settings=PEGASUS))
    tokenizer.save_pretrained(tmp_path / "new")
    (tmp_path / "new" / "config.json").write_text((tmp_path / "config.json").read_text())
    again = load_tokenizer(tmp_path / "new")
    assert not sentencepiece_files.is_needed(tmp_path / "new")
    assert [again(text).input_ids for text in TEXTS] == [tokenizer(text).input_ids for text in TEXTS]
    assert again.model_max_length == 1024


@pytest.mark.parametrize(
    ("family", "kind", "message"),
    [
        ("longt5_local", "bpe", "not such a Unigram model"),
        ("pegasus_x", "no_prefix", "not such a Unigram model"),
        ("pegasus_x", "default_ids", "do not begin with the padding and the end token"),
        ("led", "unigram", "of which led has no tokenizer; expected tokenizer.json"),
    ],
)
def test_what_would_give_other_ids_is_refused(folder_of, family, kind, message):
    with pytest.raises(CorruptCheckpoint, match=message):
        load_tokenizer(folder_of(family, kind))


def test_a_damaged_file_is_refused(folder_of):
    folder = folder_of("longt5_local")
    (folder / "spiece.model").write_bytes(b"no model at all")
    with pytest.raises(CorruptCheckpoint, match=r"spiece.model is damaged: SentencePiece cannot read it"):
        load_tokenizer(folder)
