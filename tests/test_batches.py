"""Many documents written together: each gets what it gets alone, is read alone, and costs no one else anything."""

import pytest
import torch
from test_step import NAMES, model_of
from tiny_checkpoint import TEXT, make_checkpoint

from longsum_lib import load, load_tokenizer, summarize
from longsum_lib.errors import NotEnoughMemory
from longsum_lib.generation.batches import room
from longsum_lib.generation.batches.loop import Loop
from longsum_lib.generation.batches.prepare import can_write_together, prepare
from longsum_lib.generation.batches.room import Room
from longsum_lib.generation.options import settle
from longsum_lib.generation.writer import Options, Writer
from longsum_lib.models.core.step.decoder import StepDecoder

WAYS = [
    {"max_new_tokens": 20},
    {"max_new_tokens": 20, "min_new_tokens": 6, "no_repeat_ngram_size": 2},
    {"max_new_tokens": 20, "num_beams": 3},
    {"max_new_tokens": 20, "num_beams": 2, "early_stopping": True, "length_penalty": 2.0},
    {"max_new_tokens": 20, "num_beams": 4, "early_stopping": "never", "length_penalty": 0.5, "repetition_penalty": 1.5},
    {"max_new_tokens": 20, "num_beams": 3, "length_penalty": -1.0, "forced_eos_token_id": 2, "no_repeat_ngram_size": 3},
]
LENGTHS = (70, 3, 41, 17, 120, 9, 33)


@pytest.fixture(scope="module", params=NAMES)
def model(request):
    """A random model with end tokens that stand at different places of its texts."""
    made = model_of(request.param)
    made.generation_config.eos_token_id = made.generation_config.forced_eos_token_id = None
    texts = [made.generate(**inputs_of(made, ids), max_new_tokens=20)[0].tolist() for ids in documents_of(made)]
    ends = {text[place] for text, place in zip(texts, (4, 9, 14, 20), strict=False)}
    made.generation_config.eos_token_id = sorted(ends)
    return made


def documents_of(model, lengths=LENGTHS):
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(15, model.config.vocab_size, (1, length), generator=generator) for length in lengths]


def inputs_of(model, ids):
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if model.config.model_type == "led":
        inputs["global_attention_mask"] = torch.zeros_like(ids)
        inputs["global_attention_mask"][:, 0] = 1
    return inputs


def written(model, documents, limit, **options):
    """Ids of each document's text, in order, and the order in which they were done."""
    waiting = iter(enumerate(documents))

    def take():
        found = next(waiting, None)
        return found and (found[0], found[1][0].tolist())

    def encode(ids):
        return prepare(model, inputs_of(model, torch.tensor([ids])), options)

    loop = Loop(StepDecoder(model), Room(model, options.get("num_beams", 1), 20, limit), encode)
    with torch.inference_mode():
        found = dict(loop.run(take))
    return [found[number].ids for number in range(len(documents))], list(found)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_each_document_gets_the_ids_that_it_gets_alone(model, way):
    documents = documents_of(model)
    with torch.inference_mode():
        assert can_write_together(model, way)
        alone = [model.generate(**inputs_of(model, ids), **way)[0].tolist() for ids in documents]
    for limit in (None, 3):
        assert written(model, documents, limit, **way)[0] == alone
    repeats = model.config.model_type == "pegasus_x"  # with these weights it writes one token
    assert repeats or len(way) > 1 or len({len(ids) for ids in alone}) > 1


def test_the_encoder_reads_every_token_once_and_no_padding(model):
    documents = documents_of(model)
    seen = []
    hook = model.get_encoder().register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    try:
        written(model, documents, None, max_new_tokens=5)
    finally:
        hook.remove()
    assert seen == [(1, length) for length in LENGTHS]
    assert sum(rows * length for rows, length in seen) == sum(LENGTHS)


def test_a_text_that_ends_makes_room_for_the_next_document(model, monkeypatch):
    rows = []
    step = StepDecoder.step

    def counted(self, tokens, of):
        rows.append(len(tokens))
        return step(self, tokens, of)

    monkeypatch.setattr(StepDecoder, "step", counted)
    found, _ = written(model, documents_of(model), 3, max_new_tokens=20)
    assert max(rows) == 3
    assert rows[0] == 3
    steps = sum(len(ids) - 1 for ids in found)
    assert sum(rows) == steps, "no row was computed that belongs to no text"
    # Without filling up, each of three groups would take as long as its longest text.
    assert len(rows) <= -(-steps // 3) + 2 * 20


def test_memory_decides_how_many(model, monkeypatch):
    length = 100
    with_two = Room(model, 2, 20, None)
    encoder, decoder = with_two._needs(length)
    with_two.take(0, length)
    assert with_two.fits(length)
    monkeypatch.setattr(room, "free_memory", lambda device: (decoder + max(encoder, decoder)) / room.SHARE - 1)
    short = Room(model, 2, 20, None)
    assert short.fits(10**6), "one document always comes in; whether it fits is said where it is encoded"
    short.take(0, length)
    assert not short.fits(length)
    short.leave(0)
    assert short.fits(length)
    monkeypatch.setattr(room, "free_memory", lambda device: None)
    assert Room(model, 4, 20, None).limit == room.MOST_ROWS // 4
    assert Room(model, 4, 20, 3).limit == 3


# --- through the writer -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("batches") / "led")


@pytest.fixture
def writer(checkpoint):
    def make(**options):
        loaded = load(checkpoint)
        batch_size = options.pop("batch_size", None)
        return Writer(loaded, load_tokenizer(checkpoint), "led", Options(settle(options), batch_size))

    return make


def test_documents_are_taken_when_there_is_room_and_not_before(writer):
    mine = writer(batch_size=2, max_new_tokens=4, min_new_tokens=4)
    taken, done = [], []

    def take():
        if len(taken) == 50:
            return None
        taken.append(len(done))
        return len(taken), mine.encode([TEXT])[0]

    for name, _ in mine.write_each(take):
        done.append(name)
        assert len(taken) - len(done) <= 3, "two that are written about, one that waits"
    assert sorted(done) == list(range(1, 51))


def test_what_is_there_later_is_taken_too(writer):
    mine, waiting = writer(max_new_tokens=4), [1]
    found = []
    for name, _ in mine.write_each(lambda: (waiting.pop(), [0, 50, 2]) if waiting else None):
        found.append(name)
        if name < 5:
            waiting.append(name + 1)
    assert found == [1, 2, 3, 4, 5]


def test_a_document_that_does_not_fit_costs_itself(writer, monkeypatch):
    mine = writer(max_new_tokens=4)
    generate = mine.model.generate

    def fail(**kwargs):
        if kwargs["input_ids"].shape[1] > 50:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return generate(**kwargs)

    monkeypatch.setattr(mine.model, "generate", fail)
    waiting = iter([("a", [0, 50, 2]), ("b", [0] + [50] * 60 + [2]), ("c", [0, 51, 2])])
    found = dict(mine.write_each(lambda: next(waiting, None)))
    assert isinstance(found.pop("b"), NotEnoughMemory)
    assert all(one.tokens for one in found.values())


@pytest.mark.parametrize("options", [{"do_sample": True}, {"max_time": 1000.0}], ids=str)
def test_what_only_transformers_loop_has_is_done_by_it(writer, options):
    mine = writer(max_new_tokens=4, **options)
    waiting = iter([("a", [0, 50, 2]), ("b", [0, 50, 51, 2])])
    torch.manual_seed(1)
    found = dict(mine.write_each(lambda: next(waiting, None)))
    torch.manual_seed(1)
    calls = [mine.model.generate(**mine._inputs([ids]), **mine.generate) for ids in ([0, 50, 2], [0, 50, 51, 2])]
    assert [found[name].text for name in "ab"] == [mine._decode(call[0].tolist()).text for call in calls]
    assert found["a"].score is None


def test_a_model_of_another_library_writes_by_its_own_loop(writer):
    import transformers

    mine = writer(max_new_tokens=4)
    expected = mine.write([[0, 50, 2]])
    theirs = transformers.LEDForConditionalGeneration(mine.model.config).eval()
    theirs.load_state_dict(mine.model.state_dict())
    theirs.generation_config = mine.model.generation_config
    other = Writer(theirs, mine.tokenizer, "led", mine.options)
    assert [one.text for one in other.write([[0, 50, 2]])] == [one.text for one in expected]


def test_who_looks_inside_sees_every_step(writer):
    mine = writer(max_new_tokens=4, min_new_tokens=4)
    seen = []
    mine.model.get_decoder().register_forward_hook(lambda *_: seen.append(1))
    mine.write([[0, 50, 2], [0, 51, 2]])
    assert len(seen) == 8


def test_the_score_is_the_mean_log_probability(checkpoint):
    model, tokenizer = load(checkpoint), load_tokenizer(checkpoint)
    greedy = summarize(TEXT, model, tokenizer=tokenizer, max_new_tokens=6)
    inputs = inputs_of(model, torch.tensor(tokenizer([TEXT])["input_ids"]))
    ids = model.generate(**inputs, max_new_tokens=6)
    with torch.no_grad():
        logits = model(**inputs, decoder_input_ids=ids[:, :-1]).logits.log_softmax(-1)
    assert greedy.score == pytest.approx(float(logits.gather(-1, ids[:, 1:, None]).mean()), abs=1e-5)
    beams = summarize(TEXT, model, tokenizer=tokenizer, max_new_tokens=6, num_beams=3)
    whole = model.generate(**inputs, max_new_tokens=6, num_beams=3, return_dict_in_generate=True, output_scores=True)
    assert beams.score == pytest.approx(float(whole.sequences_scores), abs=1e-5)
