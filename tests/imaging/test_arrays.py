"""Between [-1, 1] and 0..255, and how pictures are laid out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusion_studio.imaging import arrays, layout


def test_every_byte_survives_the_round_trip():
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    there = arrays.from_uint8(every)
    assert there.shape == (1, 1, 16, 16) and there.dtype == torch.float32
    assert there.min() == -1 and there.max() == 1
    np.testing.assert_array_equal(arrays.to_uint8(there), every)


def test_channels_move_from_last_to_second_and_back():
    given = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), np.uint8)
    there = arrays.from_uint8(given)
    assert there.shape == (3, 3, 5, 7)
    assert there[2, 1, 4, 6] == pytest.approx(given[2, 4, 6, 1] / 255 * 2 - 1, abs=1e-6)
    np.testing.assert_array_equal(arrays.to_uint8(there), given)


@pytest.mark.parametrize(
    "value, byte",
    [
        (-1.0, 0),
        (1.0, 255),
        (-50.0, 0),
        (50.0, 255),
        (1e9, 255),
        (float("inf"), 255),
        (float("-inf"), 0),
        (0.004, 128),
        (-1 + 0.49 / 127.5, 0),
        (-1 + 0.51 / 127.5, 1),
    ],
)
def test_values_are_rounded_and_clipped(value, byte):
    assert arrays.to_uint8(torch.full((1, 1, 1, 1), value)).item() == byte


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_taken_and_the_callers_tensor_is_left_alone(dtype):
    x = torch.tensor([-2.0, -1.0, 0.5, 3.0], dtype=dtype).reshape(1, 1, 2, 2).requires_grad_()
    kept = x.detach().clone()
    assert arrays.to_uint8(x).ravel().tolist() == [0, 0, 191, 255]
    assert torch.equal(x.detach(), kept)


def test_each_picture_is_stretched_over_its_own_range():
    x = torch.stack([torch.linspace(3, 19.5, 12), torch.linspace(-7, -6.9, 12), torch.full((12,), 4.0)]).view(
        3, 3, 2, 2
    )
    seen = arrays.stretched(x)
    assert seen.shape == (3, 2, 2, 3) and seen.dtype == np.uint8
    ramp = np.round(np.linspace(0, 255, 12)).reshape(3, 2, 2).transpose(1, 2, 0)
    assert np.abs(seen[:2].astype(float) - ramp).max() <= 1  # of float32's -6.95 +- 0.05
    assert (seen[2] == 128).all()  # of one shade: grey, and no division by 0


def test_from_uint8_shares_nothing_with_its_argument():
    given = np.zeros((1, 2, 2, 1), np.uint8)
    arrays.from_uint8(given).fill_(7)
    assert not given.any()


@pytest.mark.parametrize(
    "count, shape",
    [
        (1, (1, 1)),
        (2, (1, 2)),
        (3, (2, 2)),
        (4, (2, 2)),
        (5, (2, 3)),
        (7, (3, 3)),
        (10, (3, 4)),
        (16, (4, 4)),
        (17, (4, 5)),
        (64, (8, 8)),
    ],
)
def test_grids_are_nearly_square(count, shape):
    assert layout.grid_shape(count) == shape


def test_a_grid_puts_each_picture_where_it_belongs():
    tiles = np.stack([np.full((2, 3, 1), k, np.uint8) for k in range(5)])
    sheet = arrays.grid(tiles, gap=1, background=9)
    assert sheet.shape == (5, 11, 1)
    for k in range(5):
        row, column = divmod(k, 3)
        assert (sheet[row * 3 : row * 3 + 2, column * 4 : column * 4 + 3] == k).all()
    assert (sheet[2] == 9).all() and (sheet[:, 3] == 9).all() and (sheet[:, 7] == 9).all()
    assert (sheet[3:, 8:] == 9).all()  # the place that no picture takes


def test_a_grid_takes_a_number_of_columns():
    tiles = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
    assert arrays.grid(tiles, columns=6).shape == (4, 24, 3)
    np.testing.assert_array_equal(arrays.grid(tiles, columns=1), tiles.reshape(24, 4, 3))
    np.testing.assert_array_equal(arrays.grid(tiles[:1]), tiles[0])


def test_enlarging_makes_crisp_blocks():
    image = np.array([[1, 2], [3, 4]], np.uint8)[..., None]
    large = arrays.enlarge(image, 3)
    assert large.shape == (6, 6, 1)
    for y in range(6):
        for x in range(6):
            assert large[y, x] == image[y // 3, x // 3]


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB")])
def test_pil_pictures_have_the_mode_and_the_pixels(channels, mode):
    image = np.random.default_rng(0).integers(0, 256, (4, 6, channels), np.uint8)
    picture = arrays.to_pil(image)
    assert picture.mode == mode and picture.size == (6, 4)
    np.testing.assert_array_equal(np.asarray(picture).reshape(image.shape), image)


def test_exactly_black_pixels_alone_get_the_margin():
    pixels = np.array([[[[0, 0, 0], [0, 0, 1]], [[255, 0, 0], [9, 9, 9]]]], np.uint8)
    plain, moved = arrays.from_uint8(pixels), arrays.from_uint8(pixels, 0.25)
    assert (moved - plain).tolist() == [[[[-0.25, 0], [0, 0]]] * 3]
    np.testing.assert_array_equal(arrays.to_uint8(moved), pixels)
