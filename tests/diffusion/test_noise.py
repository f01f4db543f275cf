"""Randomness as a pure function of seed and index."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusion_studio.diffusion.noise import MAX_SEED, Noise, gaussian

SHAPE = (3, 8, 8)

# (seed, index): the first four numbers. Made by this package's first version with numpy 2.4.6 on x86-64;
# numpy keeps Philox's raw bits for ever and changes what `standard_normal` makes of them only with notice
# (NEP 19).
GOLDEN = {
    (0, 0): [0.15929546600623282, -1.7741885208017214, 1.3265118818830892, 1.2048090979493156],
    (0, 1): [1.536428684192734, 0.5515010164765811, -0.8395909692107641, -0.2147827201163212],
    (1, 0): [1.02028797736073, 0.7597131895605167, -0.24583790273512823, 0.4420758466537692],
}


@pytest.mark.parametrize("seed, index", GOLDEN)
def test_stored_values(seed, index):
    """A seed keeps its picture from version to version."""
    np.testing.assert_allclose(gaussian(seed, index, (4,)), GOLDEN[seed, index], rtol=0, atol=1e-15)


def test_the_same_call_gives_the_same_numbers_whatever_was_drawn_between():
    noise = Noise((3, 4), SHAPE)
    first = noise(5)
    torch.randn(10), np.random.standard_normal(10), noise(6), noise(0)
    assert torch.equal(noise(5), first) and torch.equal(Noise((3, 4), SHAPE)(5), first)


def test_it_leaves_the_global_generators_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    Noise((0, 1), SHAPE)(0)
    assert torch.equal(torch.get_rng_state(), before[0]) and (np.random.get_state()[1] == before[1]).all()


@pytest.mark.parametrize("index", [0, 1, 999])
def test_a_picture_does_not_depend_on_its_batch(index):
    alone = Noise((7,), SHAPE)(index)
    batch = Noise((1, 7, 2**40, 7), SHAPE)(index)
    assert torch.equal(batch[1:2], alone) and torch.equal(batch[3:4], alone)
    assert not torch.equal(batch[0:1], alone)


def test_other_indices_and_seeds_are_unrelated():
    """Of 40 streams of 4096 numbers, the largest of 780 correlations; each is N(0, 1/4096), so 5 sigma is
    0.078.
    """
    streams = np.stack([gaussian(seed, index, (4096,)) for seed in (0, 1, 2, 2**32) for index in range(10)])
    correlation = np.corrcoef(streams) - np.eye(len(streams))
    assert np.abs(correlation).max() < 5 / np.sqrt(4096)


def test_streams_of_neighbouring_indices_never_overlap():
    """Philox counts blocks; index is the counter's high word, so a longer draw must not run into the next
    index.
    """
    long = gaussian(0, 0, (200_000,))
    assert not np.isin(gaussian(0, 1, (50,)), long).any()


def test_it_is_standard_normal():
    """A million numbers: the mean within 5 / 1000, the variance within 5 * sqrt(2) / 1000, and the tails
    of a Gaussian.
    """
    drawn = gaussian(123, 4, (1_000_000,))
    assert abs(drawn.mean()) < 5e-3 and abs(drawn.var() - 1) < 7.1e-3
    for edge, share in ((1, 0.317311), (2, 0.045500), (3, 0.002700)):
        assert abs((np.abs(drawn) > edge).mean() - share) < 5 * np.sqrt(share / 1e6)


@pytest.mark.parametrize("seed", [2**31, 2**32, 2**53 + 1, 2**62, MAX_SEED - 1, MAX_SEED])
def test_big_seeds_are_seeds_of_their_own(seed):
    drawn = gaussian(seed, 0, SHAPE)
    assert np.isfinite(drawn).all() and abs(drawn.mean()) < 0.5
    for other in (seed - 1, 0, seed % 2**32):
        assert other == seed or not np.array_equal(drawn, gaussian(other, 0, SHAPE))


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.float64, torch.float16])
def test_shape_and_dtype(dtype):
    drawn = Noise((0, 1, 2), (1, 4, 6), "cpu", dtype)(0)
    assert drawn.shape == (3, 1, 4, 6) and drawn.dtype == (dtype or torch.float32)
    torch.testing.assert_close(
        drawn.double(), Noise((0, 1, 2), (1, 4, 6), "cpu", torch.float64)(0), rtol=1e-3, atol=1e-4
    )


def test_the_tensor_handed_out_is_the_callers():
    noise = Noise((0,), SHAPE)
    noise(0).zero_()
    assert noise(0).abs().sum() > 0


# --- the Brownian path


TIMES = [0.0, 1e-6, 0.3, 0.5, 0.51, 0.75, 1.0, 1.7, 40.0, 3e5]


def increment(noise: Noise, start: float, end: float) -> torch.Tensor:
    return noise.over(start, end) * (end - start) ** 0.5


def test_parts_of_an_interval_add_up():
    """Times are rounded to 2^-14 of an octave, so W is off by a deviation of up to sqrt(t / 2^14) at
    either end.
    """
    noise = Noise((3, 4), (500,), dtype=torch.float64)
    for k in range(len(TIMES) - 2):
        a, b, c = TIMES[k : k + 3]
        whole, parts = increment(noise, a, c), increment(noise, a, b) + increment(noise, b, c)
        assert (whole - parts).abs().max() < 0.05 * (c - a) ** 0.5
    assert torch.allclose(
        increment(noise, 0.5, 2.0), increment(noise, 0.5, 0.75) + increment(noise, 0.75, 2.0), atol=1e-14
    )


def test_increments_are_independent_and_standard_normal():
    drawn = np.stack(
        [Noise((9,), (100_000,), dtype=torch.float64).over(a, b)[0].numpy() for a, b in zip(TIMES, TIMES[1:])]
    )
    assert np.abs(np.cov(drawn) - np.eye(len(drawn))).max() < 5 * np.sqrt(2 / 100_000)
    assert np.abs(drawn.mean(1)).max() < 5 / np.sqrt(100_000)


def test_a_path_is_a_pure_function_of_the_seed():
    alone, batch = Noise((7,), SHAPE), Noise((1, 7), SHAPE)
    assert torch.equal(batch.over(0.3, 0.7)[1:], alone.over(0.3, 0.7))
    assert not torch.equal(batch.over(0.3, 0.7)[:1], alone.over(0.3, 0.7))
    assert alone.over(0.3, 0.7).dtype == torch.float32 and alone.over(0.3, 0.7).shape == (1, *SHAPE)


def test_extreme_and_tiny_intervals():
    noise = Noise((7,), SHAPE, dtype=torch.float64)
    for start, end in (
        (0.0, 1e-300),
        (1e-200, 1e200),
        (1.0, 1.0 + 1e-12),
        (2**-0.5, 2**0.5),
        (1.9999999, 2.0),
    ):
        drawn = noise.over(start, end)
        assert drawn.isfinite().all() and 0.7 < drawn.std() < 1.3, (start, end)


def test_what_was_asked_before_changes_nothing():
    """Where an interval starts where the last one ended, half the work is saved and no bit differs."""
    used = Noise((0, 7), SHAPE)
    for start, end in (
        (0.1, 0.35),
        (0.35, 0.36),
        (0.36, 5.0),
        (5.0, 5.0 + 1e-9),
        (5.0, 80.0),
        (0.35, 80.0),
        (0.0, 0.35),
    ):
        assert torch.equal(used.over(start, end), Noise((0, 7), SHAPE).over(start, end))
    assert used == Noise((0, 7), SHAPE) and hash(used) == hash(Noise((0, 7), SHAPE))
