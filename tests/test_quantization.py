"""The quantizer that is there to be read: its codes are those of bitsandbytes, and it does what its texts say."""

from statistics import NormalDist

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longsum_lib import quantization as ours

CODEBOOKS = {"nf4": ours.nf4, "fp4": ours.fp4}


@pytest.fixture(scope="module")
def theirs():
    pytest.importorskip("bitsandbytes")
    from bitsandbytes import functional

    return functional


def weights(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def samples():
    generator = torch.Generator().manual_seed(1)
    return {
        "normal": weights(96, 128),
        "small": weights(64, 64) * 1e-4,
        "heavy tails": torch.distributions.StudentT(2.0).sample((64, 128)),
        "uniform": torch.rand(32, 64, generator=generator) - 0.5,
        "zeros": torch.zeros(4, 64),
        "a block cut short": weights(7, 30),
    }


SAMPLES = samples()


# --- codebooks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CODEBOOKS)
def test_codebooks_equal_bitsandbytes(theirs, name):
    assert torch.equal(CODEBOOKS[name](), theirs.get_4bit_type(name, device="cpu"))


def test_map_of_scales_equals_bitsandbytes(theirs):
    assert torch.equal(ours.dynamic_map(), theirs.create_dynamic_map())


def test_nf4_is_made_of_quantiles():
    numbers = ours.nf4()
    assert len(numbers) == 16
    assert (numbers == 0).sum() == 1
    assert (numbers[0], numbers[-1]) == (-1, 1)
    outermost = 1 - (1 / 32 + 1 / 30) / 2
    furthest = NormalDist().inv_cdf(outermost)
    above = [NormalDist().cdf(furthest * number) for number in numbers[7:].tolist()]
    steps = torch.tensor(above).diff()
    torch.testing.assert_close(steps, steps.mean().expand(8), atol=1e-6, rtol=0)  # equal shares of probability


# --- codes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("name", CODEBOOKS)
def test_4_bit_codes_and_scales_equal_bitsandbytes(theirs, name, sample):
    values = SAMPLES[sample]
    packed, state = theirs.quantize_4bit(values, quant_type=name)
    codes, scales = ours.quantize_blocks(values, CODEBOOKS[name]())
    assert torch.equal(ours.pack(codes), packed.view(-1))
    assert torch.equal(scales, state.absmax)
    found = ours.dequantize_blocks(codes, scales, CODEBOOKS[name]()).view(values.shape)
    torch.testing.assert_close(found, theirs.dequantize_4bit(packed, state), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("sample", ["normal", "small", "heavy tails", "uniform"])
def test_double_quantization_equals_bitsandbytes(theirs, sample):
    values = SAMPLES[sample]
    packed, state = theirs.quantize_4bit(values, quant_type="nf4", compress_statistics=True)
    found = ours.double_quantize(values, ours.nf4())
    assert torch.equal(found.packed, packed.view(-1))
    assert torch.equal(found.scale_scales, state.state2.absmax)
    assert torch.equal(found.offset, state.offset)
    # On the CPU bitsandbytes looks the nearest number up in a coarse table, and now and then takes the one beside it.
    same = found.scale_codes == state.absmax
    assert same.float().mean() > 0.98
    assert ((found.scale_codes.int() - state.absmax.int()).abs() <= 1).all()
    scales = ours.quantize_blocks(values, ours.nf4())[1] - found.offset
    by_code = [
        ours.dequantize_blocks(c, found.scale_scales, ours.dynamic_map(), 256)
        for c in (found.scale_codes, state.absmax)
    ]
    nearer = [(each - scales).abs() for each in by_code]
    assert (nearer[0] <= nearer[1]).all()
    wanted, got = theirs.dequantize_4bit(packed, state), ours.double_dequantize(found)
    blocks = same.repeat_interleave(64)[: values.numel()].view(values.shape)
    torch.testing.assert_close(got[blocks], wanted[blocks], atol=1e-6 * float(values.abs().max()), rtol=1e-5)


@pytest.mark.parametrize("sample", ["normal", "small", "uniform", "a block cut short"])
def test_8_bit_codes_and_scales_equal_bitsandbytes(theirs, sample):
    values = SAMPLES[sample].half()
    wanted, wanted_scales, _ = theirs.int8_vectorwise_quant(values.clone())
    codes, scales = ours.quantize_rows(values)
    assert torch.equal(codes, wanted)
    assert torch.equal(scales, wanted_scales)


@pytest.mark.parametrize("outliers", [0, 1, 5])
def test_int8_products_with_outliers_equal_bitsandbytes(theirs, outliers):
    import bitsandbytes

    states, matrix = weights(12, 64, seed=2), weights(48, 64) * 0.05
    states[:, :outliers] *= 40
    layer = bitsandbytes.nn.Linear8bitLt(64, 48, bias=False, has_fp16_weights=False, threshold=6.0)
    layer.load_state_dict({"weight": matrix})
    with torch.no_grad():
        wanted = layer.to("cpu").eval()(states)  # while training, states keep their precision
    found = ours.int8_linear(states.half(), *ours.quantize_rows(matrix.half()))  # bitsandbytes rounds to fp16
    assert len(ours.outlier_columns(states)) == outliers
    torch.testing.assert_close(found, wanted, atol=(2e-3 if outliers else 2e-4) * float(wanted.abs().max()), rtol=0)


# --- what the texts say ---------------------------------------------------------------------------


def test_outliers_apart_save_the_rest():
    """One large feature takes the 8 bits of all others, unless it is computed apart."""
    states, matrix = weights(12, 64, seed=2), weights(48, 64) * 0.05
    states[:, 0], matrix[:, 0] = 200.0, 0.0  # an outlier that nobody listens to
    exact, codes = states @ matrix.T, ours.quantize_rows(matrix)
    apart, together = (ours.int8_linear(states, *codes, threshold=t) for t in (6.0, torch.inf))
    errors = [float((found - exact).norm() / exact.norm()) for found in (apart, together)]
    assert errors[0] < 0.02
    assert errors[1] > 0.3


@given(st.integers(1, 300), st.sampled_from([1, 2, 64, 256]))
def test_the_nearest_number_is_taken(count, block_size):
    values = weights(count, seed=count)
    codes, scales = ours.quantize_blocks(values, ours.nf4(), block_size)
    assert len(scales) == -(-count // block_size)
    scaled = values / scales.repeat_interleave(block_size)[:count]
    distance = (scaled[:, None] - ours.nf4()).abs()
    chosen = distance.gather(1, codes.long()[:, None]).squeeze(1)
    assert (chosen <= distance.amin(1) + 1e-6).all()


@given(st.lists(st.integers(0, 15), min_size=1, max_size=70))
def test_unpack_undoes_pack(codes):
    codes = torch.tensor(codes, dtype=torch.uint8)
    assert ours.pack(codes).numel() == (len(codes) + 1) // 2
    assert torch.equal(ours.unpack(ours.pack(codes), len(codes)), codes)


def test_nf4_suits_normal_numbers_better_than_fp4():
    values = weights(512, 512)
    errors = {}
    for name, codebook in CODEBOOKS.items():
        found = ours.dequantize_blocks(*ours.quantize_blocks(values, codebook()), codebook()).view(values.shape)
        errors[name] = float((found - values).norm() / values.norm())
    assert errors["nf4"] < 0.95 * errors["fp4"]
    assert errors["nf4"] == pytest.approx(0.092, abs=0.003)


def test_bits_of_a_value():
    assert ours.double_quantize(weights(256, 512), ours.nf4()).bits_per_value == pytest.approx(4.127, abs=1e-3)


def test_rows_of_zeros_stay_zeros():
    codes, scales = ours.quantize_rows(torch.zeros(3, 5))
    assert not codes.any()
    assert torch.equal(ours.dequantize_rows(codes, scales), torch.zeros(3, 5))
