"""Pictures: kinds equal to the boolean patterns, figures small, deterministic and with words."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from longsum_lib import viz
from longsum_lib.attention import patterns
from longsum_lib.attention.random_blocks import random_block_table
from longsum_lib.viz import figures, masks, palette, reach

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import make_figures  # noqa: E402


def band(length: int, window: int) -> np.ndarray:
    return patterns.window(length, window).numpy()


# --- kinds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 7, 24, 48])
@pytest.mark.parametrize("window", [0, 3, 60])
@pytest.mark.parametrize("chosen", [(), (0,), (0, 5)])
def test_sliding_window_kinds_are_the_pattern(length, window, chosen):
    chosen = [position for position in chosen if position < length]
    is_global = torch.zeros(length, dtype=torch.bool)
    is_global[chosen] = True
    kinds = viz.sliding_window_kinds(length, window, chosen)
    assert np.array_equal(kinds != palette.NONE, patterns.sliding_window(length, window, is_global=is_global).numpy())
    # Each pair has one reason: a global key inside the window is drawn as global.
    assert (kinds[:, chosen] == palette.GLOBAL).all()


def test_padding_is_drawn_and_not_counted():
    kinds = viz.sliding_window_kinds(12, 2, [0], real_length=9)
    padding = torch.arange(12) < 9
    is_global = torch.arange(12) == 0
    attended = (kinds != palette.NONE) & (kinds != palette.PADDING)
    pattern = patterns.sliding_window(12, 2, is_global=is_global, padding=padding).numpy()
    assert np.array_equal(attended[:9, :9], pattern[:9, :9])
    assert not pattern[:, 9:].any()
    assert masks.attended_share(kinds) == attended.mean()


def test_block_local_kinds_have_the_published_blocks():
    # 21 tokens in blocks of 8: 0-7, 8-15, 16-20; shifted by half a block 0-3, 4-11, 12-19, 20.
    def blocks(kinds):
        return sorted({tuple(np.flatnonzero(row)[[0, -1]]) for row in kinds})

    assert blocks(viz.block_local_kinds(21, 8)) == [(0, 7), (8, 15), (16, 20)]
    assert blocks(viz.block_local_kinds(21, 8, shifted=True)) == [(0, 3), (4, 11), (12, 19), (20, 20)]
    with_globals = viz.block_local_kinds(21, 8, num_globals=2)
    assert with_globals.shape == (23, 23)
    assert (with_globals[:2] == palette.GLOBAL).all()
    assert (with_globals[:, :2] == palette.GLOBAL).all()


def test_transient_global_kinds_add_keys_without_queries():
    kinds = viz.transient_global_kinds(21, radius=3, global_block_size=4)
    assert kinds.shape == (21, 5 + 21)
    assert (kinds[:, :5] == palette.GLOBAL).all()
    assert np.array_equal(kinds[:, 5:] == palette.LOCAL, band(21, 3))


@pytest.mark.parametrize(
    ("block", "left", "right"),
    [(0, [], range(8, 16)), (2, range(4), range(16, 20)), (3, range(8), [])],
)
def test_lsg_kinds_select_next_to_the_neighbours(block, left, right):
    # Block size 8, 8 selected tokens a side, one in 2: which slots of the sparse sequence a block sees.
    kinds = viz.lsg_kinds(40, 8, sparse_block_size=8, sparsity_factor=2, num_globals=0)
    row = kinds[block * 8]
    assert (np.flatnonzero(row == palette.SELECTED) // 2).tolist() == [*left, *right]
    first, last = max(0, (block - 1) * 8), min(40, (block + 2) * 8)
    assert np.flatnonzero(row == palette.LOCAL).tolist() == list(range(first, last))


def test_lsg_heads_take_other_tokens():
    choice = [
        set(np.flatnonzero(viz.lsg_kinds(40, 8, sparse_block_size=8, sparsity_factor=2, head=head)[20] == 3) % 2)
        for head in range(2)
    ]
    assert choice[0] != choice[1]


def test_big_bird_kinds_have_every_part():
    kinds = viz.big_bird_kinds(48, 4, num_random_blocks=2, seed=1)[::4, ::4]
    assert (kinds[[0, -1]] == palette.GLOBAL).all()
    assert (kinds[:, [0, -1]] == palette.GLOBAL).all()
    assert ((kinds[1:-1] == palette.RANDOM).sum(axis=1) == 2).all()
    inside = np.arange(2, 10)
    assert (kinds[inside, inside] == palette.LOCAL).all()
    assert (kinds[inside, inside - 1] == palette.LOCAL).all()


@pytest.mark.parametrize("length", [36, 48, 50, 70])
@pytest.mark.parametrize("random_blocks", ["seeded", "reference", "reference-training"])
@pytest.mark.parametrize(("seed", "head"), [(0, 0), (4, 2)])
def test_big_bird_kinds_are_the_pattern(length, random_blocks, seed, head):
    options = {"num_random_blocks": 2, "random_blocks": random_blocks, "seed": seed, "head": head}
    kinds = viz.big_bird_kinds(length, 4, **options)
    assert np.array_equal(kinds != palette.NONE, patterns.big_bird(length, 4, **options).numpy())


def test_big_bird_kinds_are_those_of_a_table():
    table = random_block_table("seeded", 12, 3, 2, seed=7)
    kinds = viz.big_bird_kinds(48, 4, table=table, head=1)
    assert np.array_equal(kinds, viz.big_bird_kinds(48, 4, num_random_blocks=2, seed=7, head=1))
    for row in range(1, 11):
        assert (kinds[4 * row, 4 * table[1, row].numpy()] == palette.RANDOM).all()
    assert not np.array_equal(kinds, viz.big_bird_kinds(48, 4, table=table, head=2))
    with pytest.raises(ValueError, match=r"table has shape \(3, 12, 2\), expected \(more than 0, 24"):
        viz.big_bird_kinds(96, 4, table=table)


# --- receptive fields -----------------------------------------------------------------------------


def test_receptive_field_grows_by_the_window_a_layer():
    layers = [band(40, 3)] * 4
    assert reach.receptive_field(layers, 20).sum(axis=1).tolist() == [1, 7, 13, 19, 25]


def test_receptive_field_agrees_with_the_product_of_layers():
    layers = [patterns.window(30, 2), patterns.sliding_window(30, 1, is_global=torch.arange(30) == 4)]
    whole = patterns.reach(layers).numpy()
    for token in (0, 4, 17, 29):
        assert np.array_equal(reach.receptive_field(layers, token)[-1], whole[token])


def test_receptive_field_wants_square_layers_of_one_length():
    with pytest.raises(ValueError, match="layer 1"):
        reach.receptive_field([band(8, 1), band(9, 1)], 0)


# --- figures --------------------------------------------------------------------------------------


def drawings():
    yield viz.draw_mask(viz.sliding_window_kinds(24, 3, [0], real_length=20), row=9).figure
    yield viz.draw_mask(band(60, 4), title="boolean").figure
    yield viz.draw_reach([band(40, 3)] * 3, 20).figure
    yield viz.draw_cost({"a": ([1024, 4096], [1.0, None]), "b": ([1024, 4096], [2.0, 8.0])}, ylabel="time (s)").figure
    yield viz.draw_masks(
        {"one": viz.full_kinds(8), "two": viz.big_bird_kinds(24, 4, num_random_blocks=1)}, density=True
    )


def test_figures_are_small_and_the_same_each_time():
    for first, second in zip(drawings(), drawings(), strict=True):
        png = figures.png_bytes(first)
        assert png == figures.png_bytes(second)
        assert len(png) <= figures.MAX_PNG_BYTES
        assert b"Software" not in png
        assert int.from_bytes(png[16:20], "big") == round(figures.WIDTH_INCHES * figures.DPI)


def test_a_figure_too_large_for_a_notebook_is_refused():
    figure, ax = viz.new_figure()
    ax.imshow(np.random.default_rng(0).random((400, 800)))
    with pytest.raises(ValueError, match="the limit is"):
        figures.png_bytes(figure)


def test_show_stores_the_words_with_the_picture(monkeypatch):
    shown = {}
    monkeypatch.setattr("IPython.display.display", lambda data, raw, metadata: shown.update(data=data, words=metadata))
    figure = viz.draw_mask(band(8, 1)).figure
    viz.show(figure, alt="A narrow band.", caption="Three keys a query.", name="fig-x")
    assert shown["words"]["image/png"] == {"alt": "A narrow band."}
    assert shown["words"]["longsum"] == {"caption": "Three keys a query.", "name": "fig-x"}
    assert shown["data"]["text/plain"] == "Figure: A narrow band."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"alt": " ", "caption": "x"}, "needs an alt text"),
        ({"alt": "x", "caption": ""}, "needs an alt text"),
        ({"alt": "x" * 251, "caption": "x"}, "251 characters"),
    ],
)
def test_show_refuses_a_figure_without_words(words, message):
    with pytest.raises(ValueError, match=message):
        viz.show(viz.draw_mask(band(4, 1)).figure, **words)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (np.zeros((2, 3, 3)), "expected a matrix"),
        (np.zeros((161, 161)), "at most 160"),
        (np.full((2, 2), 6), "kind codes are 0 to 5"),
    ],
)
def test_draw_mask_says_what_it_cannot_draw(kinds, message):
    with pytest.raises(ValueError, match=message):
        viz.draw_mask(kinds)


def test_every_kind_of_key_looks_different_in_colour_and_in_grey():
    kinds = palette.KINDS[1:]
    assert len({kind.color for kind in kinds}) == len(kinds)
    assert len({kind.hatch for kind in kinds}) == len(kinds)
    assert [kind.code for kind in palette.KINDS] == list(range(len(palette.KINDS)))
    looks = {(dash, marker) for _, dash, marker in palette.SERIES}
    assert len(looks) == len(palette.SERIES)


def test_draw_mask_marks_what_it_draws():
    ax = viz.draw_mask(viz.sliding_window_kinds(16, 2, [0]), labels={"global": "first token"})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["local", "first token"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("key position", "query position")


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=float)


@pytest.mark.parametrize("name", make_figures.FILES)
def test_committed_figures_are_up_to_date(name):
    committed = pixels((make_figures.FIGURES / name).read_bytes())
    drawn = pixels(figures.png_bytes(make_figures.FILES[name]()))
    assert committed.shape == drawn.shape, "run: python tools/make_figures.py"
    # Letters may be smoothed differently by another version; a changed cell moves the mean by more.
    assert abs(committed - drawn).mean() < 0.5, "run: python tools/make_figures.py"
