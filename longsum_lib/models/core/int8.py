"""Linear layers and embeddings in int8 for a processor: weights of one byte, products in bf16.

Each row of a weight has one scale, the weight is ``code · scale``. Few rows of states pass through torch's own product
of bf16 with int8, which reads one byte a weight; many rows through a bf16 product with the codes, which bf16 holds
exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from longsum_lib.upstream.torch import int8_product, lacks_half

# Rows up to which the int8 product is faster. 3,072 x 768, one thread, AVX-512 without AMX: 8 rows 0.23 ms against
# 0.46 for codes brought to bf16 first, 64 rows 1.89 against 1.05.
FEW_ROWS = 16


NUMBERS_AT_ONCE = 2**20
"""Numbers of a weight that are rounded, or restored, together, unless a row has more."""

ROWS_AT_ONCE = 512
"""Rows that are multiplied in fp32 together."""


def to_int8(weight: Tensor, scratch: list[Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """Round a weight to codes and scales.

    Args:
        weight: ``(rows, columns)``, floating.
        scratch: Given to all calls of a model, so that their temporaries share memory: freed between codes that stay,
            those of hundreds of weights leave holes as large as the model in fp32.

    Returns:
        Codes ``(rows, columns)`` int8 from -127 to 127, and scales ``(rows,)`` bf16. The scales are rounded first, and
        upwards, so that their rounding is no error.

    Example:
        >>> codes, scales = to_int8(torch.tensor([[1.0, -0.5], [0.0, 0.0]]))
        >>> codes.tolist()
        [[126, -63], [0, 0]]
    """
    count, columns = weight.shape
    codes = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    scales = torch.empty(count, dtype=torch.bfloat16, device=weight.device)
    step = max(1, NUMBERS_AT_ONCE // max(1, columns))
    room = _room([] if scratch is None else scratch, max(NUMBERS_AT_ONCE, columns), weight.device)
    for first in range(0, count, step):
        part = weight[first : first + step].detach()
        rows, work = (one[: part.numel()].view(part.shape) for one in room)
        rows.copy_(part)
        largest = torch.abs(rows, out=work).amax(1) / 127
        scale = (largest * (1 + 2**-8)).clamp(min=torch.finfo(torch.bfloat16).tiny).bfloat16()
        scales[first : first + step] = scale
        codes[first : first + step] = torch.div(rows, scale.float()[:, None], out=work).round_().clamp_(-127, 127)
    return codes, scales


def _room(scratch: list[Tensor], numbers: int, device: torch.device) -> list[Tensor]:
    """Two fp32 tensors of so many numbers, those of the call before if they are large enough."""
    if not scratch or scratch[0].numel() < numbers or scratch[0].device != device:
        scratch[:] = [torch.empty(numbers, device=device, dtype=torch.float32) for _ in range(2)]
    return scratch


def multiply(rows: Tensor, codes: Tensor, scales: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``(codes · scales) @ rowᵀ + bias`` of bf16 ``(rows, inputs)``; ``(rows, outputs)`` bf16."""
    few = int8_product()
    on_cpu = rows.device.type == "cpu"
    if few is not None and rows.shape[0] <= FEW_ROWS and on_cpu:
        product: Tensor = few(rows.contiguous(), codes, scales)
    elif on_cpu and lacks_half():
        product = _product_in_fp32(rows, codes).mul_(scales)
    else:
        product = F.linear(rows, codes.to(rows.dtype)).mul_(scales)
    return product if bias is None else product.add_(bias)


def _product_in_fp32(rows: Tensor, codes: Tensor) -> Tensor:
    """Return ``codes @ rowᵀ`` in the rows' format, by products in fp32.

    Where a processor has no instructions for bf16, torch's product of bf16 takes six times as long as that in fp32 and
    more, with the same result: it adds up in fp32 and rounds at the end.
    """
    product = rows.new_empty(rows.shape[0], codes.shape[0])
    step = max(1, NUMBERS_AT_ONCE // max(1, codes.shape[1]))
    for out in (slice(first, first + step) for first in range(0, codes.shape[0], step)):
        weight = codes[out].float()
        for some in (slice(first, first + ROWS_AT_ONCE) for first in range(0, rows.shape[0], ROWS_AT_ONCE)):
            product[some, out] = rows[some].float() @ weight.T
    return product


class Int8Linear(nn.Module):
    """A linear layer whose weight is kept in int8; it takes any floating states and gives bf16. It is not trained.

    Args:
        codes: ``(outputs, inputs)`` int8.
        scales: ``(outputs,)`` bf16.
        bias: ``(outputs,)`` or ``None``.
    """

    weight: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(self, codes: Tensor, scales: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.out_features, self.in_features = codes.shape
        self.register_buffer("weight", codes)
        self.register_buffer("scales", scales)
        self.register_buffer("bias", None if bias is None else bias.bfloat16())

    def forward(self, states: Tensor) -> Tensor:
        """Multiply ``(…, inputs)``; ``(…, outputs)`` bf16."""
        rows = states.to(torch.bfloat16).reshape(-1, self.in_features)
        return multiply(rows, self.weight, self.scales, self.bias).view(*states.shape[:-1], self.out_features)

    def dense(self, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        """Return weight ``(outputs, inputs)`` and bias as plain tensors."""
        weight = self.weight.to(dtype) * self.scales.to(dtype)[:, None]
        return weight, None if self.bias is None else self.bias.to(dtype)


class Int8Embedding(nn.Module):
    """An embedding that reads its rows from an int8 table, which a head may share; it gives bf16.

    Args:
        codes: ``(tokens, d_model)`` int8.
        scales: ``(tokens,)`` bf16.
        embed_scale: factor of what is looked up.
    """

    weight: Tensor
    scales: Tensor

    def __init__(self, codes: Tensor, scales: Tensor, embed_scale: float = 1.0) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = codes.shape
        self.embed_scale = embed_scale
        self.register_buffer("weight", codes)
        self.register_buffer("scales", scales)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Look up ids ``(…)``; ``(…, d_model)`` bf16."""
        if input_ids.numel() and int(input_ids.max()) >= self.num_embeddings:
            raise IndexError(f"id {int(input_ids.max())} is not among {self.num_embeddings} embeddings")
        scales = self.scales[input_ids].unsqueeze(-1)
        return self.weight[input_ids].to(torch.bfloat16).mul_(scales * self.embed_scale)
