"""Sets of points: pure, of unit variance, and read from files that may be wrong."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from diffusion_studio.data import points
from diffusion_studio.data.point_sets import MIXTURE, POINT_SETS
from diffusion_studio.errors import DataError, OptionError


@pytest.mark.parametrize("name", POINT_SETS)
def test_a_named_set_has_mean_0_and_unit_variance(name):
    """Within 4.5 standard errors of 200,000 points; the constants were found otherwise, by quadrature and
    larger draws.
    """
    drawn = POINT_SETS[name](200_000, seed=3).astype(np.float64)
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0)) < 4.5 * error).all()
    squares = (drawn**2).mean(axis=1)
    assert abs(squares.mean() - 1) < 4.5 * squares.std() / np.sqrt(len(drawn))


@pytest.mark.parametrize("name", POINT_SETS)
def test_a_named_set_is_a_function_of_name_count_and_seed(name):
    draw = POINT_SETS[name]
    assert np.array_equal(draw(100, 5), draw(100, 5)) and draw(100, 5).dtype == np.float32
    assert not np.array_equal(draw(100, 5), draw(100, 6))
    other = next(one for one in POINT_SETS if one != name)
    assert not np.array_equal(draw(100, 5), POINT_SETS[other](100, 5))


def test_the_mixture_has_the_moments_that_its_numbers_say():
    weights, means, spreads = (np.array(part) for part in (MIXTURE.weights, MIXTURE.means, MIXTURE.spreads))
    assert weights.sum() == pytest.approx(1) and weights @ means == pytest.approx([0, 0], abs=1e-12)
    total = weights @ (means**2).sum(axis=1) + 2 * weights @ spreads**2
    assert total / 2 == pytest.approx(1, abs=1e-6)
    drawn = POINT_SETS["two-gaussians"](100_000, 0).astype(np.float64)
    assert np.cov(drawn.T) == pytest.approx(
        weights @ spreads**2 * np.eye(2) + (weights[:, None] * means).T @ means, abs=0.02
    )


def test_train_and_test_are_other_points_of_the_same_set():
    train, test = points.load("moons", "train", 500), points.load("moons", "test", 500)
    assert (
        train.points.shape == (500, 2)
        and train.labels is None
        and not np.array_equal(train.points, test.points)
    )


def test_shapes_are_all_sets_with_their_names_as_labels():
    found = points.load("shapes", count=200)
    assert found.names == tuple(POINT_SETS) and len(found.points) == 200 * len(POINT_SETS)
    assert np.array_equal(found.points[found.labels == 1], POINT_SETS["moons"](200, 0))
    moons = found.only(["moons", "swiss-roll"])
    assert moons.names == ("moons", "swiss-roll") and np.array_equal(
        moons.points[moons.labels == 0], POINT_SETS["moons"](200, 0)
    )
    with pytest.raises(OptionError, match="There is no label of the data 'moon'.*Did you mean 'moons'"):
        found.only(["moon"])


def test_points_of_a_picture_lie_where_it_is_dark(tmp_path):
    """A dark square left, a grey one right above it: as many points as there is ink, up is up, proportions
    are kept.
    """
    grey = np.full((100, 200), 255, np.uint8)
    grey[50:80, 20:50] = 0  # ink 128 a pixel
    grey[10:40, 150:180] = 64  # ink 64
    Image.fromarray(grey).save(tmp_path / "shape.png")
    found = points.load(tmp_path / "shape.png", count=30_000).points
    right = found[:, 0] > 0
    assert right.mean() == pytest.approx(1 / 3, abs=0.015)
    low, high = found[~right], found[right]
    assert low[:, 1].max() < high[:, 1].min()
    sides = [np.ptp(low[:, 0]), np.ptp(low[:, 1]), np.ptp(high[:, 0]), np.ptp(high[:, 1])]
    assert sides == pytest.approx([sides[0]] * 4, rel=0.01)
    gap = (high[:, 0].min() - low[:, 0].max()) / sides[0]
    assert gap == pytest.approx(100 / 30, rel=0.01)


def test_a_picture_with_alpha_lies_on_white(tmp_path):
    drawn = np.zeros((40, 40, 4), np.uint8)  # transparent black is paper
    drawn[5:10, 5:35, 3] = 255
    Image.fromarray(drawn).save(tmp_path / "drawn.png")
    found = points.load(tmp_path / "drawn.png", count=2000).points
    assert np.ptp(found[:, 0]) > 5 * np.ptp(found[:, 1])


@pytest.mark.parametrize(
    "shade, message", [(255, "nothing dark"), (200, "nothing dark"), (0, "dark all over")]
)
def test_pictures_without_a_shape(tmp_path, shade, message):
    Image.new("L", (20, 20), shade).save(tmp_path / "blank.png")
    with pytest.raises(DataError, match=message):
        points.load(tmp_path / "blank.png")


def test_tables(tmp_path):
    given = np.random.default_rng(0).normal(size=(50, 2)) * [3, 1] + [10, -4]
    np.savez(tmp_path / "a.npz", points=given, labels=np.arange(50) % 2, classes=["left", "right"])
    (tmp_path / "a.csv").write_text(
        "x,y,side\n" + "\n".join(f"{x},{y},{'ab'[k % 2]}" for k, (x, y) in enumerate(given))
    )
    for name, names in (("a.npz", ("left", "right")), ("a.csv", ("a", "b"))):
        assert points.is_points(tmp_path / name)
        found = points.load(tmp_path / name)
        assert found.names == names and found.labels.tolist() == [0, 1] * 25
        assert (
            found.points.var(axis=0).mean() == pytest.approx(1)
            and np.abs(found.points.mean(axis=0)).max() < 1e-6
        )
        assert found.points[:, 0].std() / found.points[:, 1].std() == pytest.approx(
            given[:, 0].std() / given[:, 1].std()
        )


@pytest.mark.parametrize(
    "text",
    [
        "0.5;1.5;a\n2;3;b\n-1;4;a\n",
        "x;y;side\n0,5;1,5;a\n2;3;b\n-1;4;a\n",  # a comma in a number is its decimal point
        "0.5\t1.5\ta\n2\t3\tb\n-1\t4\ta\n",
        "x\ty\tside\n0,5\t1,5\ta\n2\t3\tb\n-1\t4\ta\n",
    ],
)
def test_cells_are_separated_by_semicolons_and_tabs_too(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "b.csv").write_text("0.5,1.5,a\n2,3,b\n-1,4,a\n")
    found, wanted = points.load(tmp_path / "a.csv"), points.load(tmp_path / "b.csv")
    np.testing.assert_array_equal(found.points, wanted.points)
    assert found.names == wanted.names == ("a", "b") and found.labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", r"Points must be \(N, 2\) finite numbers"),
        ("1,2\n", "N from 2 to"),
        ("1,2\n1,2\n", "All points are equal"),
        ("1,2\n3\n", "Row 2 of bad.csv is '3'; wanted two numbers"),
        ("1,2\n3,x\n", "Row 2 of bad.csv"),
        ("1,2\n3,4,a\n", "in every row or in none"),
        ("1,2\n3,inf\n", "Row 2 of bad.csv"),
        (
            "1;2\n3;x\n",
            "Row 2 of bad.csv is '3,x'; wanted two numbers, x and y, separated by a comma, a semi",
        ),
        ("1 2\n3 4\n", "Row 2 of bad.csv is '3 4'; wanted two numbers"),
        ("1e300,2\n-1e300,5\n", r"A coordinate is 1e\+300 in size; at most 1e\+100"),
    ],
)
def test_tables_that_are_wrong(tmp_path, text, message):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        points.load(tmp_path / "bad.csv")


def test_what_is_no_set_of_points(tmp_path):
    np.savez(tmp_path / "pictures.npz", images=np.zeros((2, 8, 8), np.uint8))
    assert not points.is_points(tmp_path / "pictures.npz") and not points.is_points("fashion-mnist")
    assert points.is_points("swiss-roll") and points.is_points("shapes")
    with pytest.raises(
        DataError, match="There is no set of points 'swiss': neither a file nor one of swiss-roll, moons"
    ):
        points.load("swiss")
    with pytest.raises(DataError, match="has no numbers under 'points'"):
        points.load(tmp_path / "pictures.npz")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(DataError, match="text.png cannot be read as a picture"):
        points.load(tmp_path / "text.png")
    with pytest.raises(DataError, match="split must be 'train' or 'test'"):
        points.load("moons", "all")
