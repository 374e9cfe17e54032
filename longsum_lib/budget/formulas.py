"""How much memory a model needs for an input, and how many multiply-adds: formulas of a few numbers.

Everything here is plain arithmetic, without torch: :func:`plan` makes a dictionary of numbers of a dictionary of
numbers, and the book's calculator evaluates the same formulas in the browser. What they mean for a model, a card or a
command line is in :mod:`longsum_lib.memory`. Sizes are in bytes; a *copy* is one set of states, ``length · d_model``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, cast

from longsum_lib.budget import merged
from longsum_lib.budget.pairs import attention_pairs, keys_per_query
from longsum_lib.budget.weights import BITS as BITS
from longsum_lib.budget.weights import by_torch, is_t5, products_of_ffn, weight_numbers

FAMILIES = ("led", "pegasus_x", "longt5_local", "longt5_tglobal", "lsg", "bigbird_pegasus", "t5gemma2", "full")
"""Kinds of encoders; ``full`` is BART's layer with one fused full attention, for comparison."""

MEBIBYTE = 2**20
STREAMING = ("led", "pegasus_x", "longt5_local", "longt5_tglobal", "bigbird_pegasus")
"""Encoders whose layers long inputs pass in runs of rows, see longsum_lib.models.core.streaming."""

ROWS_PER_CALL = {"cpu": 4096, "gpu": 8192}  # queries of one attention call, see longsum_lib.attention.engine.pieces
ROWS_PER_CHUNK = {"cpu": 512, "gpu": 4096}  # rows of a feed-forward chunk, see longsum_lib.models.core.states
ROWS_PER_STEP = {"cpu": 2048, "gpu": 16384}  # rows that stream through a layer, see longsum_lib.models.core.streaming
SCORES_OF_A_HEAD = 2**17  # in bf16 on a CPU, see longsum_lib.attention.engine.kernels.half_cpu
WORTH_WHILE = 256  # far transient tokens, see longsum_lib.attention.transient_global.far
WORKSPACE = {"cpu": 20 * MEBIBYTE, "gpu": 512 * MEBIBYTE}
"""What is taken beside tensors. CPU: by the matrix library and the allocator, measured. GPU: by CUDA, an estimate."""


class ModelNumbers(TypedDict, total=False):
    """What is known of a model; what it does not say is 0. See :func:`plan`."""

    family: str
    vocabulary: int
    d_model: int
    inner: int
    heads: int
    ffn: int
    gated: int
    encoder_layers: int
    decoder_layers: int
    window: int
    block_size: int
    globals: int
    random_blocks: int
    sparse_block_size: int
    sparsity_factor: int
    sinusoids: int
    buckets: int
    positions: int
    decoder_positions: int
    untied_head: int
    key_inner: int
    full_layers: int
    limit: int


class Numbers(TypedDict):
    """A model and a run, complete: what the formulas are evaluated on. See :func:`plan`."""

    family: str
    vocabulary: float
    d_model: float
    inner: float
    heads: float
    ffn: float
    gated: float
    encoder_layers: float
    decoder_layers: float
    window: float
    block_size: float
    globals: float
    random_blocks: float
    sparse_block_size: float
    sparsity_factor: float
    sinusoids: float
    buckets: float
    positions: float
    decoder_positions: float
    untied_head: float
    key_inner: float
    full_layers: float
    limit: float
    length: float
    batch: float
    beams: float
    new_tokens: float
    bytes_per_number: float
    fp16: float
    quantization: str
    device: str
    half: float


# What a run may say, and what it is otherwise; a model says the rest.
DEFAULTS: dict[str, float | str] = {
    "family": "full",
    "gated": 0,
    "untied_head": 0,
    "window": 0,
    "block_size": 0,
    "globals": 0,
    "random_blocks": 0,
    "sparse_block_size": 0,
    "sparsity_factor": 0,
    "sinusoids": 0,
    "buckets": 0,
    "positions": 0,
    "decoder_positions": 0,
    "key_inner": 0,
    "full_layers": 0,
    "limit": 0,
    "length": 16384,
    "batch": 1,
    "beams": 1,
    "new_tokens": 256,
    "bytes_per_number": 4,
    "fp16": 0,
    "quantization": "none",
    "device": "cpu",
    "half": 1,
}


FIRST_CAPACITY = 128
"""Tokens of a summary for which a decoding step on a CPU has room at first; see ``models.core.step.generating``."""

MOST_ROWS = 32  # rows of a document that attend together, see longsum_lib.models.core.step.documents
FUSED_ROWS = 3  # rows of a document that no scores are stored of, in bf16 without instructions for it; see there
FEW_ROWS = 16  # rows up to which torch's int8 product takes codes as they are, see longsum_lib.models.core.int8
NUMBERS_AT_ONCE = 2**20  # numbers of a weight that are restored together, and
ROWS_AT_ONCE = 512  # rows that are multiplied by them, in fp32 where there are no instructions for bf16

LONGEST = 2**20
"""Longer inputs are not searched for, in tokens."""

CONSTANTS = (
    *(
        "DEFAULTS",
        "STREAMING",
        "ROWS_PER_CALL",
        "ROWS_PER_CHUNK",
        "ROWS_PER_STEP",
        "SCORES_OF_A_HEAD",
        "WORTH_WHILE",
        "WORKSPACE",
        "BITS",
        "FIRST_CAPACITY",
        "MOST_ROWS",
        "FUSED_ROWS",
        "FEW_ROWS",
        "NUMBERS_AT_ONCE",
        "ROWS_AT_ONCE",
    ),
    "LONGEST",
)
"""What the calculator's script is given of this file."""


def plan(numbers: ModelNumbers | Mapping[str, float | str]) -> dict[str, float]:
    """Predict memory and work of a summary.

    Args:
        numbers: The model: ``family``, ``vocabulary``, ``d_model``, ``inner`` (heads times their size), ``heads``,
            ``ffn``, ``gated`` (three products in the feed-forward block), ``encoder_layers``, ``decoder_layers``,
            ``window`` (one-sided), ``block_size``, ``globals``, ``random_blocks``, ``sparse_block_size``,
            ``sparsity_factor``, ``sinusoids`` (position tables are computed), ``buckets``, ``positions``,
            ``decoder_positions``, ``untied_head``; of T5Gemma 2 ``key_inner`` (heads of keys times their size) and
            ``full_layers`` (encoder layers without a window; ``window`` counts both sides there).
            The run: ``length``, ``batch``, ``beams``, ``new_tokens``,
            ``bytes_per_number``, ``fp16`` (they are fp16, not bf16), ``quantization``, ``device``, ``half`` (a CPU has
            instructions for bf16). See ``DEFAULTS``.

    Returns:
        ``parameters``, of them ``quantizable``; in bytes ``weights``, ``states`` (the encoder's output), ``encoder``
        and ``decoder`` (peaks beyond the weights, the states included), of the latter ``cross_cache`` and
        ``self_cache``, ``workspace`` and ``total``, the peak of all; ``pairs`` of one layer, and multiply-adds:
        ``encoder_work``, ``cross_work`` (once a document) and ``token_work`` (for one more token of every beam).
    """
    m = cast("Numbers", {**DEFAULTS, **numbers})
    weights = weight_numbers(m)
    encoder = encoder_bytes(m)
    decoder = decoder_bytes(m)
    workspace = WORKSPACE[m["device"]]
    return {
        **weights,
        "states": state_bytes(m),
        "encoder": encoder,
        **decoder,
        "workspace": workspace,
        "total": weights["weights"] + max(encoder, decoder["decoder"]) + workspace,
        "pairs": attention_pairs(m),
        **work_numbers(m),
    }


# --- peaks ------------------------------------------------------------------------------------------


def copy_bytes(m: Numbers) -> float:
    """Bytes of one copy of the states."""
    return m["batch"] * m["length"] * m["d_model"] * m["bytes_per_number"]


def encoder_bytes(m: Numbers) -> float:
    """Peak of the encoder beyond the weights, at inference.

    A layer that streams holds one copy of the states and the temporaries of a few thousand rows. A short input, and
    LSG, pass through a layer at once, which holds its input, queries, keys, values and the context that it computes:
    five copies; a sixth are normalized states, or LSG's selected keys and values.
    """
    if m["family"] == "t5gemma2":
        return merged.merged_encoder_bytes(m)
    copies, rows = state_bytes(m), m["batch"] * m["length"]
    table = m["length"] * m["d_model"] * 4 if m["family"] == "pegasus_x" else 0  # of positions, in fp32
    streams = m["family"] in STREAMING and rows > ROWS_PER_STEP[m["device"]]
    layer = _streamed_bytes(m) if streams else _whole_bytes(m)
    return copies + _side_bytes(m) + table + layer


def state_bytes(m: Numbers) -> float:
    """Bytes of the states between layers: those of T5 stay in fp32 beside fp16 weights."""
    return copy_bytes(m) * (2 if is_t5(m) and m["fp16"] else 1)


def _side_bytes(m: Numbers) -> float:
    """Keys and values of transient global tokens."""
    return 2 * copy_bytes(m) / m["block_size"] if m["family"] == "longt5_tglobal" else 0


def _whole_bytes(m: Numbers) -> float:
    """Temporaries of a layer through which all rows pass at once."""
    copies = copy_bytes(m)
    out = 4 * copies * m["inner"] / m["d_model"]  # query, key, value and context
    if m["family"] == "lsg":
        out += 2 * copies / m["sparsity_factor"] if m["sparsity_factor"] else 0
    elif m["family"] != "led":
        out += copies  # normalized states
    feeding = copies * m["inner"] / m["d_model"] + _chunk_bytes(m)
    return max(out + _call_bytes(m, m["length"]), feeding)


def _chunk_bytes(m: Numbers) -> float:
    """Temporaries of a chunk of the feed-forward block: its inner states before and after the activation.

    Beside them the chunk exists three or four times; a gate's activation is made in steps.
    """
    rows = min(m["batch"] * m["length"], ROWS_PER_CHUNK[m["device"]])
    widened = _widened_bytes(m, rows, m["ffn"], m["d_model"]) if by_torch(m) else 0
    inner, own = 4 if m["gated"] else 2, 3 if m["family"] == "led" else 4
    return rows * (inner * m["ffn"] + own * m["d_model"]) * m["bytes_per_number"] + widened


def _widened_bytes(m: Numbers, rows: float, inputs: float, outputs: float) -> float:
    """What many rows' product with an int8 weight takes: its codes in bf16, or in fp32 some of them and some rows."""
    if m["half"]:
        return 2 * inputs * outputs
    some = min(outputs, NUMBERS_AT_ONCE // inputs)
    return 4 * (some * inputs + min(rows, ROWS_AT_ONCE) * (inputs + some))


def _call_bytes(m: Numbers, rows: float) -> float:
    """Temporaries of an attention call: its output and that of the call before; the scores where they are stored."""
    most = ROWS_PER_CALL[m["device"]]
    call = min(rows, most)
    output = (2 if rows > most else 1) * call * m["inner"] * m["bytes_per_number"]
    scores: float = 0
    brain = m["device"] == "cpu" and m["bytes_per_number"] == 2 and m["half"] and not m["fp16"]
    if brain and not is_t5(m) and m["family"] != "led":
        # T5's biases are added by the fused kernel; LED's peak is where its next keys are laid out.
        scores = 2 * m["heads"] * min(SCORES_OF_A_HEAD, call * keys_per_query(m))
    if m["device"] == "gpu" and m["family"] == "longt5_tglobal":
        # Biases of transient tokens, laid out for the kernel; those so far away that they share one have none.
        groups = rows / m["block_size"]
        near = min(m["length"] / m["block_size"], groups + WORTH_WHILE)
        scores = m["heads"] * min(groups, most / 4) * near * m["bytes_per_number"]
    return output + scores + rows * m["heads"] * 4


def _streamed_bytes(m: Numbers) -> float:
    """Temporaries of a layer through which runs of rows pass one after another.

    While a run moves on, keys and values around the run before and around the new one exist; then its queries,
    their context and the output of the attention call.
    """
    n, step, size = m["length"], ROWS_PER_STEP[m["device"]], m["bytes_per_number"]
    row = m["inner"] * size
    reach = 2 * m["block_size"] if m["family"] == "bigbird_pegasus" else 2 * m["window"]
    near, rest = min(n, step + reach), max(0, n - step)
    first = 2 * near + 3 * min(n, step)
    later = 2 * near + 2 * min(step + reach, rest + reach / 2) + 3 * min(step, rest)
    attending = max(first, later) * row + _call_bytes(m, min(n, step))
    feeding = (2 * near + 2 * min(n, step)) * row + _chunk_bytes(m)
    global_scores = 4 * m["globals"] * m["heads"] * n * 4 if m["family"] == "led" else 0
    return max(attending, feeding) + global_scores


def _slots(tokens: int) -> int:
    """Room for written tokens while it grows for the last time: what there was and what there will be."""
    room, before = min(tokens, FIRST_CAPACITY), 0
    while room < tokens:
        room, before = min(2 * room, tokens), room
    return room + before


def decoder_bytes(m: Numbers) -> dict[str, float]:
    """Peak of the decoder: the encoder's output, keys and values of both attentions, projections, the logits."""
    if m["family"] == "t5gemma2":
        return merged.merged_decoder_bytes(m)
    copies, size = copy_bytes(m), m["bytes_per_number"]
    per_copy = m["inner"] / m["d_model"]
    cross = 2 * m["decoder_layers"] * copies * per_copy  # one set a document, whatever the beams
    rows = m["batch"] * m["beams"]
    own = 2 * m["decoder_layers"] * rows * m["new_tokens"] * m["inner"] * size
    logits = 6 * rows * m["vocabulary"] * 4
    # PEGASUS-X keeps its tables of positions, that of the decoder with 1,024 rows.
    table = (m["length"] + 1024) * m["d_model"] * 4 if m["family"] == "pegasus_x" else 0
    if m["device"] == "cpu":
        # The step keeps weights of query, key and value side by side. It lays out a layer's keys, then its values;
        # later it doubles the room of written tokens when it is full, and logits or a layer's scores pass.
        table += 3 * m["decoder_layers"] * m["d_model"] * m["inner"] * (1 if by_torch(m) else size)
        laid_out = copies * per_copy
        slots = _slots(int(m["new_tokens"]) + 1)
        written = 2 * m["decoder_layers"] * rows * slots * m["inner"] * size
        written += own / m["decoder_layers"] if m["beams"] > 1 else 0  # beams change places layer by layer
        fused = size == 2 and not (m["half"] or m["fp16"]) and m["beams"] >= FUSED_ROWS
        scores = 0 if fused else 2 * min(m["beams"], MOST_ROWS) * m["heads"] * m["length"] * size
        many = by_torch(m) and rows > FEW_ROWS
        widened = _widened_bytes(m, rows, m["d_model"], m["vocabulary"]) if many else 0
        passing = max(laid_out, written + max(logits, scores, widened + logits / 6))
    else:  # while a layer's keys and values are laid out by heads, they exist twice
        passing = 2 * copies * per_copy + own + logits
    peak = copies + table + cross + passing
    return {"decoder": peak, "cross_cache": cross, "self_cache": own}


# --- work -------------------------------------------------------------------------------------------


def work_numbers(m: Numbers) -> dict[str, float]:
    """Count multiply-adds of matrix products: the encoder, the keys and values of its output, one more token."""
    if m["family"] == "t5gemma2":
        return merged.merged_work(m)
    n, d, inner, batch = m["length"], m["d_model"], m["inner"], m["batch"]
    token = 4 * d * inner + products_of_ffn(m) * d * m["ffn"]
    layer = n * token + 2 * attention_pairs(m) * inner + _global_work(m, token)
    cross = m["decoder_layers"] * 2 * n * d * inner
    seen = 2 * inner * (n + m["new_tokens"] / 2)  # scores and sums over the document and half of the summary
    step = m["decoder_layers"] * (token + 2 * d * inner + seen) + d * m["vocabulary"]
    return {
        "encoder_work": batch * m["encoder_layers"] * layer,
        "cross_work": batch * cross,
        "token_work": batch * m["beams"] * step,
    }


def _global_work(m: Numbers, token: float) -> float:
    """Work of an encoder layer for its global tokens beyond the pairs counted above."""
    n, d, inner, g = m["length"], m["d_model"], m["inner"], m["globals"]
    if m["family"] == "pegasus_x":
        return g * token + 2 * g * (n + g) * inner
    if m["family"] == "longt5_tglobal":
        return 2 * (n // m["block_size"]) * d * inner
    if m["family"] == "led":
        if g * m["heads"] < d:  # projections absorbed into the queries
            return 2 * g * m["heads"] * n * d
        return 2 * n * d * inner + 2 * g * n * inner
    return 0
