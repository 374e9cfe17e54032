r"""How weights become 8 or 4 bits, in code to be read; the codes are those of bitsandbytes, bit for bit.

To quantize is to divide by a scale and take the nearest of a few numbers, the *codebook*:

.. math:: c_i = \arg\min_k \left| q_k - \frac{w_i}{s} \right|, \quad w_i \approx s \, q_{c_i}, \quad s = \max_i |w_i| .

One outlier spoils all numbers that share its scale, so scales are given to blocks, rows or columns. For models that
are meant to run, use ``load(…, quantization="nf4")``: bitsandbytes computes the same with kernels of its own.

Sources: Dettmers et al. 2022 (8-bit optimizers: blocks; LLM.int8: outliers), Dettmers et al. 2023 (QLoRA: NF4, double
quantization).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

OUTLIER = 6.0
"""Features of at least this magnitude are outliers to LLM.int8."""


# --- 8 bits: whole numbers from -127 to 127 -------------------------------------------------------


def quantize_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Round every row of a matrix to 8 bits, with one scale a row.

    Args:
        matrix: ``(rows, columns)``.

    Returns:
        Codes ``(rows, columns)`` int8, and scales ``(rows,)`` fp32, the largest magnitude of each row.

    Example:
        >>> codes, scales = quantize_rows(torch.tensor([[1.0, -0.5, 0.1], [0.0, 4.0, 2.0]]))
        >>> codes.tolist(), scales.tolist()
        ([[127, -64, 13], [0, 127, 64]], [1.0, 4.0])
    """
    scales = matrix.abs().amax(1).float()
    factors = 127.0 / scales.masked_fill(scales == 0, 1.0)
    return torch.round(matrix * factors[:, None]).to(torch.int8), scales


def dequantize_rows(codes: Tensor, scales: Tensor) -> Tensor:
    """Return ``(rows, columns)`` fp32: the matrix, as far as its codes remember it."""
    return codes * (scales / 127)[:, None]


def outlier_columns(states: Tensor, threshold: float = OUTLIER) -> Tensor:
    """Return the features in which some row of ``(rows, features)`` is an outlier, int64."""
    return (states.abs() >= threshold).any(0).nonzero().squeeze(1)


def int8_linear(states: Tensor, codes: Tensor, scales: Tensor, threshold: float = OUTLIER) -> Tensor:
    r"""Multiply by an 8-bit matrix as LLM.int8 does: outlier features apart, the rest in whole numbers.

    .. math:: y = \frac{s_x s_w}{127^2} (c_x c_w^\top) + x_O \hat w_O^\top

    Args:
        states: ``(rows, inputs)``; they get 8-bit codes too, one scale a row, in which outliers do not count.
        codes: ``(outputs, inputs)`` int8, from :func:`quantize_rows`.
        scales: ``(outputs,)``.
        threshold: magnitude from which on a feature is an outlier; ``inf`` = never.

    Returns:
        ``(rows, outputs)`` fp32.
    """
    apart = outlier_columns(states, threshold)
    state_codes, state_scales = quantize_rows(states.masked_fill(states.abs() >= threshold, 0.0))
    state_codes[:, apart] = 0
    whole = state_codes.int() @ codes.int().T  # exact: sums of whole numbers
    out = whole * (state_scales[:, None] * scales[None, :]) / 127**2
    return out + states[:, apart].float() @ dequantize_rows(codes, scales)[:, apart].T


# --- 4 bits: sixteen numbers ------------------------------------------------------------------------


def nf4() -> Tensor:
    r"""Return the sixteen numbers of NF4, in order: quantiles of the normal distribution, and an exact 0.

    Weights are nearly normal. Their numbers are put where equal shares of probability lie between them, so that no
    code is rare: seven below 0 and eight above. Beyond the outermost number lies half a share, the mean of half a
    sixteenth and half a fifteenth: :math:`1 - (1/32 + 1/30) / 2`.

    Example:
        >>> [round(number, 3) for number in nf4().tolist()[5:11]]
        [-0.185, -0.091, 0.0, 0.08, 0.161, 0.246]
    """
    quantile = NormalDist().inv_cdf
    outermost = 0.9677083
    above = [quantile(p) for p in torch.linspace(outermost, 0.5, 9)[:-1].tolist()]
    below = [-quantile(p) for p in torch.linspace(outermost, 0.5, 8)[:-1].tolist()]
    numbers = torch.tensor(sorted([*below, 0.0, *above]))
    return numbers / numbers.max()


def fp4() -> Tensor:
    """Return the sixteen numbers of FP4 by code: a sign, two bits of exponent, one of mantissa, over the largest.

    Example:
        >>> [round(number * 12, 4) for number in fp4().tolist()[:8]]
        [0.0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0]
    """
    numbers = []
    for code in range(16):
        exponent, mantissa = code >> 1 & 3, code & 1
        size = 2.0 ** (4 - exponent) * (1 + mantissa / 2) if exponent else mantissa / 16
        numbers.append(-size if code & 8 else size)
    return torch.tensor(numbers) / 12


def dynamic_map() -> Tensor:
    """Return 256 numbers for scales, in order: ten times more precise near 0 with every step of the exponent.

    A number has a sign, an exponent written as a run of zeros, and in the bits that are left a fraction of [0.1, 1].
    """
    numbers = [0.0, 1.0]
    for exponent in range(7):
        edges = torch.linspace(0.1, 1, 2**exponent + 1)
        middles = 10 ** (exponent - 6) * ((edges[:-1] + edges[1:]) / 2)
        numbers += [*middles.tolist(), *(-middles).tolist()]
    return torch.tensor(sorted(numbers))


def nearest(values: Tensor, codebook: Tensor) -> Tensor:
    """Return the code of the nearest number in a codebook, uint8; half-way, the smaller number."""
    numbers, codes = codebook.sort(stable=True)
    middles = (numbers[:-1] + numbers[1:]) / 2
    return codes[torch.bucketize(values, middles)].to(torch.uint8)


def quantize_blocks(values: Tensor, codebook: Tensor, block_size: int = 64) -> tuple[Tensor, Tensor]:
    """Take the nearest number of a codebook, with one scale for every ``block_size`` values in a row.

    Args:
        values: any shape.
        codebook: its numbers, within [-1, 1].
        block_size: values that share a scale; the last block may be shorter.

    Returns:
        Codes, one a value, uint8 ``(values,)``, and scales ``(blocks,)`` fp32.
    """
    flat = values.reshape(-1).float()
    missing = -flat.numel() % block_size
    blocks = torch.nn.functional.pad(flat, (0, missing)).view(-1, block_size)
    scales = blocks.abs().amax(1)
    scaled = blocks * (1.0 / scales.clamp(min=1e-38))[:, None]
    return nearest(scaled.clamp(-1, 1), codebook).view(-1)[: flat.numel()], scales


def dequantize_blocks(codes: Tensor, scales: Tensor, codebook: Tensor, block_size: int = 64) -> Tensor:
    """Return ``(values,)`` fp32: what codes and scales remember."""
    return codebook[codes.long()] * scales.repeat_interleave(block_size)[: codes.numel()]


def pack(codes: Tensor) -> Tensor:
    """Put two 4-bit codes into a byte, the first one high: ``(values,)`` to ``(⌈values / 2⌉,)`` uint8.

    Example:
        >>> pack(torch.tensor([1, 2, 15], dtype=torch.uint8)).tolist()
        [18, 240]
    """
    codes = torch.nn.functional.pad(codes, (0, codes.numel() % 2))
    return codes[::2] << 4 | codes[1::2]


def unpack(packed: Tensor, count: int) -> Tensor:
    """Undo :func:`pack`: the first ``count`` codes."""
    return torch.stack([packed >> 4, packed & 15], 1).view(-1)[:count]


@dataclass(frozen=True)
class Packed:
    """A tensor in 4 bits with quantized scales: all that is stored of it.

    Attributes:
        packed: two codes a byte.
        scale_codes: ``(blocks,)`` uint8, the scales' codes in :func:`dynamic_map`.
        scale_scales: ``(⌈blocks / 256⌉,)`` fp32, the scales of the scales.
        offset: the mean scale, which is subtracted before: scales are all positive.
        shape: of the tensor.
        codebook: the sixteen numbers.
    """

    packed: Tensor
    scale_codes: Tensor
    scale_scales: Tensor
    offset: Tensor
    shape: torch.Size
    codebook: Tensor

    @property
    def bits_per_value(self) -> float:
        """All bits that are stored, the codebook left out."""
        stored = (self.packed, self.scale_codes, self.scale_scales, self.offset)
        return 8 * sum(tensor.nbytes for tensor in stored) / self.shape.numel()


def double_quantize(values: Tensor, codebook: Tensor) -> Packed:
    """Quantize in blocks of 64, then the scales in blocks of 256: 4.127 bits a value instead of 4.5.

    Example:
        >>> stored = double_quantize(torch.randn(256, 512), nf4())
        >>> round(stored.bits_per_value, 3)
        4.127
    """
    codes, scales = quantize_blocks(values, codebook)
    offset = scales.mean()
    return Packed(pack(codes), *quantize_blocks(scales - offset, dynamic_map(), 256), offset, values.shape, codebook)


def double_dequantize(stored: Packed) -> Tensor:
    """Return the tensor, fp32, as far as it is remembered."""
    scales = dequantize_blocks(stored.scale_codes, stored.scale_scales, dynamic_map(), 256) + stored.offset
    codes = unpack(stored.packed, stored.shape.numel())
    return dequantize_blocks(codes, scales, stored.codebook).view(stored.shape)
