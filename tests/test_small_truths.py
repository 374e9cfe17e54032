"""Lines that no other test would miss: each was changed once, and nothing failed. What each is for, by itself."""

import inspect
import types

import pytest
import torch
from families import led_config
from transformers import DynamicCache, LEDConfig

from longsum_lib.attention import ChosenKeySet, GrowingKeySet, InterleavedKeySet, KeySet
from longsum_lib.attention.engine import attend as engine
from longsum_lib.attention.engine import layouts, plan
from longsum_lib.attention.engine.kernels import half_cpu
from longsum_lib.attention.engine.kernels.eager import Eager
from longsum_lib.attention.engine.opaque import opaque
from longsum_lib.attention.lsg import sparse
from longsum_lib.attention.sliding_window import global_rows
from longsum_lib.attention.transient_global.sums import transient_sums
from longsum_lib.budget import available, fits
from longsum_lib.errors import CorruptCheckpoint, NotEnoughMemory, OptionError
from longsum_lib.generation import flow
from longsum_lib.generation.batches import room
from longsum_lib.generation.options import settle
from longsum_lib.generation.writer import Written
from longsum_lib.models.core.cache import SharedCache, SharedGenerationMixin
from longsum_lib.models.core.sizes import check_sizes
from longsum_lib.models.core.step import recorded
from longsum_lib.models.core.step.decoder import StepDecoder
from longsum_lib.models.core.step.generating import StepCache, can_step
from longsum_lib.models.led.heads import LEDForConditionalGeneration
from longsum_lib.stored.header import Stored
from longsum_lib.training.batches import TokenizedDocuments

# The engine


def test_every_call_of_every_sequence_drops_other_weights():
    kernel = Eager(1.0, dropout=0.5, seed=7)
    drawn = [kernel._kept((1, 1, 8, 8), (b, number), "cpu") for b in range(3) for number in range(3)]
    again = Eager(1.0, dropout=0.5, seed=7)._kept((1, 1, 8, 8), (2, 1), "cpu")
    assert torch.equal(drawn[7], again)  # in the backward pass the same
    assert not any(torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_masks_are_read_once_a_step(monkeypatch):
    read, spans = [], plan.real_spans
    for module in (plan, layouts):
        monkeypatch.setattr(module, "real_spans", lambda *args: read.append(1) or spans(*args))
    query = torch.randn(2, 1, 12, 4, requires_grad=True)
    padding = torch.arange(12) < torch.tensor([[12], [7]])
    own = KeySet(query, query, 4, 12, start=-4, step=4, attend=padding)
    out = engine.block_attention(query, [own], attend=padding)
    assert len(read) == 2  # of the queries, and of the keys
    out.sum().backward()
    assert len(read) == 2
    assert query.grad[:, :, :7].abs().sum() > 0


def key_sets(query, bias):
    count = query.shape[2]
    return [
        KeySet(query, query, 4, 12, start=-4, step=4, bias=bias),
        GrowingKeySet(query, query, 4, 0, step=4),
        InterleavedKeySet(query, query, -(-count // 3), 3),
        ChosenKeySet(query, query, 4, torch.randint(0, count // 4, (1, -(-count // 4), 2))),
    ]


@pytest.mark.parametrize("learned", [False, True])
def test_calls_are_planned_once_a_step(monkeypatch, learned):
    cut = []

    def counted(layout):
        pieces = layout.pieces
        return lambda self, *args: cut.append(layout) or pieces(self, *args)

    kinds = (layouts.Windows, layouts.Growing, layouts.Interleaved)
    for layout in kinds:
        monkeypatch.setattr(layout, "pieces", counted(layout))
    query = torch.randn(2, 1, 14, 4, requires_grad=True)
    bias = torch.randn(1, 1, 1, 4, 12, requires_grad=learned)
    out = engine.block_attention(query, key_sets(query, bias))
    once = [*kinds, layouts.Windows] * 2  # chosen keys are cut as windows are; two sequences
    assert cut == once
    out.sum().backward()
    # For a learned bias the fused kernel gives way to one that stores scores, and so to smaller calls.
    assert cut == once * (2 if learned else 1)


def test_a_plan_keeps_no_keys_alive():
    query = torch.randn(1, 1, 14, 4)
    made = plan.Plan(query, key_sets(query, None), None)
    made.calls([False] * 4)
    kept = [held for layout in made.layouts for held in vars(layout).values() if isinstance(held, torch.Tensor)]
    kept += [held for held in vars(made).values() if isinstance(held, torch.Tensor)]
    assert [tensor.dtype for tensor in kept] == [torch.int64]  # the numbers of the chosen blocks


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_what_a_kernel_gives_is_not_what_it_was_given(monkeypatch, dtype):
    # The engine merges sinks and further key sets into it: with one query and one key they changed the values.
    monkeypatch.setattr(half_cpu, "has_half", lambda: True)
    query, value = torch.randn(2, 1, 2, 1, 8).to(dtype)
    kept = value.clone()
    sets = [KeySet(query, value, 1), KeySet(query, query, 1)]
    engine.block_attention(query, sets, sinks=torch.zeros(2, dtype=dtype))
    assert torch.equal(value, kept)


def test_an_operator_gives_zeros_for_what_it_does_not_use():
    @opaque("of_the_first_only")
    def first_only(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return one * 2.0

    one, other = torch.ones(3, requires_grad=True), torch.ones(2, 2, requires_grad=True)
    first_only(one, other).sum().backward()
    assert one.grad.tolist() == [2.0, 2.0, 2.0]
    assert other.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]


# The mechanisms


def test_sums_of_a_block_do_not_leave_the_range_of_fp16():
    states = torch.full((1, 35, 1), 60_000.0, dtype=torch.float16)
    sums = transient_sums(states, block_size=16).flatten().tolist()
    assert sums == pytest.approx([16 * 60_000.0, 19 * 60_000.0], rel=1e-3)


@pytest.mark.parametrize("scale", [0.0, 0.01])
def test_lsg_chooses_real_keys_before_padding_however_short_they_are(scale):
    # Padding stands in front, with large keys; of each chunk of 4 the two real ones are chosen.
    key = torch.ones(1, 1, 8, 2)
    key[:, :, [2, 3, 6, 7]] *= scale
    real = torch.tensor([[False, False, True, True] * 2])
    chosen = sparse.select(sparse.Sparsity("norm", 4, 4, 2), key[:, :, :1], key, key, real)
    assert chosen.attend.all()
    assert chosen.key.unique().tolist() == [pytest.approx(scale)]


def test_the_bias_of_values_is_weighted_as_the_values_are():
    torch.manual_seed(0)
    query, hidden = torch.randn(1, 2, 1, 3), torch.randn(1, 9, 6)
    weights = [torch.randn(6, 6), torch.randn(6), torch.randn(6, 6), torch.randn(6)]

    def attended(value_bias, dropout):
        torch.manual_seed(4)
        return global_rows._absorbed(query, hidden, *weights[:3], value_bias, None, 1.0, dropout)

    for dropout in (0.0, 0.5):
        # What the bias adds is the same as adding it to what is averaged, through the sum of the kept weights.
        added = attended(weights[3], dropout) - attended(torch.zeros(6), dropout)
        share = added.flatten(2) / weights[3].view(1, 2, 3)
        assert torch.allclose(share, share[..., :1].expand_as(share), atol=1e-4)
        assert (dropout == 0.0) == torch.allclose(share, torch.ones_like(share), atol=1e-5)


# From parts to a summary


class Stub:
    """Counts words; writes what it is told for each part."""

    limit, name, settings_from = 6, "stub", None

    def count(self, texts):
        return [len(text.split()) for text in texts]

    def encode(self, texts, **_):
        self.asked = list(texts)
        return [text.split() for text in texts]


def run_parts(text, summaries, last="the end"):
    writer = Stub()
    asking = flow._parts(writer, text, len(text.split()), writer.limit)
    next(asking)
    assert len(writer.asked) == len(summaries)
    asking.send([Written(summary, 1, True) for summary in summaries])
    joined = writer.asked
    with pytest.raises(StopIteration) as done:
        asking.send([Written(last, 1, True)])
    return joined, done.value.value


TEXT = "one two three four.\n\nfive six seven eight.\n\nnine ten eleven twelve."


def test_a_part_without_a_summary_leaves_no_gap():
    joined, summary = run_parts(TEXT, ["a b", "", "c"])
    assert joined == ["a b\n\nc"]
    assert summary.part_summaries == ("a b", "", "c")
    assert summary.text == "the end"


@pytest.mark.parametrize(("words", "shorter"), [(11, True), (12, False), (13, False)])
def test_summaries_must_be_shorter_than_the_text(words, shorter):
    writer = Stub()
    asking = flow._parts(writer, TEXT, 12, writer.limit)
    next(asking)
    written = [Written(text, 1, True) for text in ("w " * (words - 2), "w", "w")]
    if shorter:
        asking.send(written)
    else:
        with pytest.raises(OptionError, match=f"summaries have {words} tokens, the text 12"):
            asking.send(written)


def test_a_summary_may_be_asked_for_of_just_one_length():
    assert settle({"min_new_tokens": 5, "max_new_tokens": 5}, None).generate == {
        "min_new_tokens": 5,
        "max_new_tokens": 5,
    }
    with pytest.raises(OptionError, match="min_new_tokens is 6, more than max_new_tokens, 5"):
        settle({"min_new_tokens": 6, "max_new_tokens": 5}, None)


# Memory


def test_where_nobody_says_what_is_free_memory_sets_no_limit(monkeypatch):
    model = LEDForConditionalGeneration(led_config())
    monkeypatch.setattr(room, "free_memory", lambda _: None)
    unlimited = room.Room(model, beams=2, new_tokens=8, limit=3)
    assert unlimited.padded(10**9) == 3
    for number in range(3):
        assert unlimited.fits(10**9)
        unlimited.take(number, 10**9)
    assert not unlimited.fits(1)  # a fourth one
    monkeypatch.setattr(room, "free_memory", lambda _: 0)
    none = room.Room(model, beams=2, new_tokens=8, limit=3)
    assert (none.fits(1), none.padded(1)) == (True, 1)  # the first one always may
    none.take(0, 1)
    assert not none.fits(1)


def test_file_pages_that_the_kernel_drops_are_free(monkeypatch, tmp_path):
    for name, text in {"max": "1000", "current": "700", "stat": "inactive_file 40\nactive_file 7\nanon 300"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(available, "Path", lambda _: tmp_path)
    assert available._container_memory() == 1000 - 700 + 40 + 7
    (tmp_path / "memory.max").write_text("max")  # no limit
    assert available._container_memory() is None


def test_what_the_allocator_keeps_of_a_gpu_is_free_too(monkeypatch):
    for name, value in {"memory_reserved": 300, "memory_allocated": 120, "mem_get_info": (1000, 4000)}.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value)
    assert available.free_memory(torch.device("cuda")) == 1000 + 300 - 120
    assert available.free_memory(torch.device("meta")) is None


@pytest.mark.parametrize(("free", "fails"), [(None, False), (1000, False), (999, True)])
def test_what_needs_just_what_is_free_fits(monkeypatch, free, fails):
    device = torch.device("cpu")
    monkeypatch.setattr(fits, "free_memory", lambda _: free)
    monkeypatch.setattr(fits, "document_memory", lambda *_: 1000)
    monkeypatch.setattr(fits, "running_device", lambda _: device)
    model = types.SimpleNamespace(config=None, dtype=torch.float32, device=device)
    checks = (
        lambda: fits.check_model_fits("a model", 1000, torch.float32, device),
        lambda: fits.check_document_fits(model, 10, 1, 1),
    )
    for check in checks:
        if fails:
            with pytest.raises(NotEnoughMemory, match="free"):
                check()
        else:
            check()


# Labels


class Words:
    """A tokenizer of numbers between a start token, 0, and an end token, 2."""

    def __call__(self, text=None, *, text_target=None, truncation=True, max_length):
        ids = [0, *(int(word) for word in (text or text_target).split()), 2]
        if len(ids) > max_length:
            ids = [*ids[: max_length - 1], 2]
        return types.SimpleNamespace(input_ids=ids)


@pytest.mark.parametrize(
    ("words", "start", "labels"),
    [
        (3, 0, [10, 11, 12, 2]),
        (4, 0, [10, 11, 12, 13, 2]),  # just fits without the start token
        (5, 0, [10, 11, 12, 13, 2]),
        (3, None, [0, 10, 11, 12, 2]),
        (4, None, [0, 10, 11, 12, 2]),
        (9, None, [0, 10, 11, 12, 2]),
    ],
)
def test_a_summary_ends_once(words, start, labels):
    example = types.SimpleNamespace(text="5 6", summary=" ".join(str(10 + n) for n in range(words)))
    items = TokenizedDocuments([example], Words(), max_input_tokens=9, max_summary_tokens=5, start=start)
    assert list(items[0]["labels"]) == labels


# Models


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_keys_of_documents_lie_as_a_step_reads_them(dtype):
    key, value = torch.randn(2, 3, 5, 4).to(dtype), torch.randn(2, 3, 5, 4).to(dtype)
    keys, values = SharedCache().cross_attention_cache.update(key, value, 0)
    assert torch.equal(keys, key)
    assert torch.equal(values, value)
    assert values.is_contiguous()
    assert (keys.transpose(-1, -2) if dtype == torch.float32 else keys).is_contiguous()


@pytest.mark.parametrize("kind", [SharedCache, StepCache, SharedGenerationMixin])
def test_what_is_put_in_the_place_of_transformers_own_has_its_defaults(kind):
    """Defaults of the methods that transformers calls are those of its own."""
    compared = 0
    for name, method in vars(kind).items():
        above = next((vars(base)[name] for base in kind.__mro__[1:] if name in vars(base)), None)
        if not callable(method) or not callable(above) or name == "__init__":
            continue
        ours, theirs = (inspect.signature(one).parameters for one in (method, above))
        for parameter in set(ours) & set(theirs):
            assert ours[parameter].default == theirs[parameter].default, (name, parameter)
            compared += 1
    assert compared > 3


def test_one_row_a_document_where_nobody_asks_for_more():
    model = LEDForConditionalGeneration(led_config()).eval()
    ids = torch.tensor([[1, 2, 3]])
    assert model._expand_inputs_for_generation(input_ids=ids)[0].tolist() == ids.tolist()
    with torch.no_grad():
        cache = StepCache(DynamicCache(), StepDecoder(model), 4)
    cache.give_back()
    cache.self_attention_cache.update(*torch.zeros(2, 1, 4, 3, 8), 0)
    assert cache.get_seq_length() == 3


def test_a_step_is_recorded_on_a_gpu_only(monkeypatch):
    monkeypatch.setattr(recorded, "_REFUSED", set())
    monkeypatch.setattr(recorded, "_graph", lambda run, device: lambda: f"replayed on {device.type}")
    found = [recorded.record(lambda: "called", torch.device(name))() for name in ("cuda", "cpu", "meta")]
    assert found == ["replayed on cuda", "called", "called"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "vocab_size is 50,265"),
        ({"vocab_size": 101}, "d_model is 1,024"),
        ({"vocab_size": 101, "d_model": 8}, "is"),
    ],
)
def test_what_a_config_leaves_out_has_its_default(fields, message):
    # A file of a tiny model whose config says too little: what is missing is that of the published models.
    header = LEDForConditionalGeneration(led_config(d_model=8)).state_dict().items()
    tensors = {name: Stored("F32", tuple(value.shape)) for name, value in header}
    with pytest.raises(CorruptCheckpoint, match=message):
        check_sizes("a", fields, LEDConfig, tensors)


def test_a_plain_model_takes_the_short_way_and_a_model_in_training_does_not():
    model = LEDForConditionalGeneration(led_config()).eval()
    assert not can_step(model)  # gradients
    with torch.no_grad():
        assert can_step(model)
        assert not can_step(model.train())
        assert not can_step(model.eval().to("meta"))
