"""Training on captions: a resume and more processes change nothing, what comes out, and that the right
words help.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import diffusion_studio as ds
from diffusion_studio.errors import DataError, OptionError
from diffusion_studio.imaging.arrays import from_uint8
from diffusion_studio.networks.tokens import UNKNOWN
from diffusion_studio.runs.recipe import Recipe
from diffusion_studio.training.config import TrainConfig

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
SHAPES = ("square", "circle")


def shape(colour: str, form: str, size: int = 8) -> np.ndarray:
    """A shape of a colour on black; the circle leaves out the square's corners and middle."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    inside = (
        (abs(x) < 3) & (abs(y) < 3) if form == "square" else (1.3 < np.hypot(x, y)) & (np.hypot(x, y) < 3.2)
    )
    return inside[..., None] * np.array(COLOURS[colour], np.uint8)


PAIRS = [(colour, form) for colour in COLOURS for form in SHAPES]


@pytest.fixture
def shapes(tmp_path):
    """Eight pictures, a coloured shape each, with two captions; the label says which half they lie in."""
    images = np.stack([shape(*pair) for pair in PAIRS])
    captions = np.array([[f"{c} {f}", f"a {f} that is {c}"] for c, f in PAIRS])
    np.savez(
        tmp_path / "shapes.npz",
        images=images,
        captions=captions,
        labels=np.arange(8) % 2,
        classes=np.array(["flat", "round"]),
    )
    return tmp_path / "shapes.npz"


@pytest.fixture
def config(shapes):
    def make(**changes) -> TrainConfig:
        return TrainConfig(
            **{
                "data": str(shapes),
                "size": 8,
                "channels": 8,
                "multipliers": "1,2",
                "attention": "4",
                "heads": 2,
                "norm_groups": 4,
                "images": 32,
                "batch": 4,
                "warmup": 3,
                "timesteps": 20,
                "precision": "fp32",
                "dropout": 0.1,
                "ema": 0.9,
                "text_width": 16,
                **changes,
            }
        )

    return make


def finish(config, out, **options):
    return list(ds.train(config, out, device="cpu", **options))


# --- the loop


def test_given_vectors_are_kept(config, table, tmp_path):
    """Also those of words that no caption has; others are spelt."""
    vectors = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float16)
    path = table(tmp_path / "words.npz", ["red", "crimson", "square", ","], vectors)
    finish(config(text_vectors=path), tmp_path / "run", sample_every=0)
    model = ds.load(tmp_path / "run", "cpu", "fp32")
    assert model.spec.words == ("red", "crimson", "square", ",") and model.spec.network.text.vectors == 5
    np.testing.assert_array_equal(model.network.text.words.numpy(), vectors.astype(np.float32))
    assert (model.spec.tokenizer(["circle that"])[0, 1:3, 0] == UNKNOWN).all()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"objective": "vlb", "draw_t": "loss", "timesteps": 2, "ema_also": "0.5"},
        pytest.param({"text_cross": False, "text_layers": 0, "label_dropout": 0.0}, marks=pytest.mark.slow),
        pytest.param({"objective": "hybrid", "flips": True, "accumulate": 2}, marks=pytest.mark.slow),
        pytest.param(
            {"parametrization": "mean", "min_snr": 5.0, "weight_decay": 0.1}, marks=pytest.mark.slow
        ),
    ],
    ids=str,
)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(config, shapes, table, tmp_path, changes):
    """With dropped words, texts and labels, and several captions; with a given table too, which has no
    moments.
    """
    changes = (
        {**changes, "text_vectors": table(tmp_path / "w.npz", ["red", "circle"], np.eye(2, 6))}
        if changes
        else changes
    )
    whole = finish(config(**changes), tmp_path / "whole", sample_every=0)
    losses = []
    for k, stop in enumerate([2, 5, None]):
        run = ds.train(config(**changes), tmp_path / "parts", device="cpu", resume=k > 0, sample_every=0)
        for step in run:
            losses.append(step.loss)
            if step.step == stop:
                run.close()
    assert losses == [step.loss for step in whole]
    for name in ("state", "model"):
        a, b = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("whole", "parts"))
        assert a.keys() == b.keys() and [key for key in a if not torch.equal(a[key], b[key])] == []
        assert any(".text." in f".{key}" for key in a)
        assert not changes or not any(
            key.startswith(("exp_avg", "step.")) and key.endswith("text.words") for key in a
        )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_two_processes_give_the_losses_of_one(config, together, table, tmp_path):
    """With texts and labels dropped, and a given table, which stays as it is. It has no word of the
    captions, so that no known word is dropped: these masks each process draws for itself.
    """
    vectors = np.eye(2, 6)
    given = config(
        dropout=0.0,
        weight_decay=0.1,
        batch=5,
        images=40,
        text_vectors=table(tmp_path / "w.npz", ["owl", "fox"], vectors),
    )
    alone = [step.loss for step in finish(given, tmp_path / "one", sample_every=0)]
    two = together(2, given, tmp_path / "two")
    assert two[0] == two[1] and len(two[0]) == len(alone)
    np.testing.assert_allclose([loss for loss, _ in two[0]], alone, rtol=2e-5)
    a, b = (load_file(tmp_path / name / "state.safetensors") for name in ("one", "two"))
    assert a.keys() == b.keys() and "exp_avg.text.words" not in a and "exp_avg.text.pieces" in a
    assert all((a[name] - b[name]).abs().max() < 2e-4 for name in a if name.startswith(("network.", "ema.")))
    for state in (a, b):
        np.testing.assert_array_equal(state["network.text.words"].numpy(), vectors.astype(np.float32))


def test_the_batch_in_parts_is_given_the_same_texts(config, table, tmp_path):
    """Same losses however the batch is cut: captions belong to places in the run, not to calls."""
    given = {"dropout": 0.0, "batch": 8, "text_vectors": table(tmp_path / "w.npz", ["owl"], np.eye(1, 6))}
    runs = [
        finish(config(accumulate=parts, **given), tmp_path / f"parts{parts}", sample_every=0)
        for parts in (1, 3)
    ]
    np.testing.assert_allclose(*([step.loss for step in run] for run in runs), rtol=2e-5)


def test_a_classifier_reads_no_captions(config, tmp_path):
    finish(config(kind="classifier", images=8), tmp_path / "run", sample_every=0)
    assert ds.load_classifier(tmp_path / "run", "cpu").spec.labels == ("flat", "round")


def test_the_card_tells_of_the_text(config, tmp_path):
    finish(config(images=4, prompts="red circle|blue square"), tmp_path / "run", sample_every=0)
    card = (tmp_path / "run" / "card.md").read_text()
    words = len(ds.load(tmp_path / "run", "cpu").spec.words)
    assert f"| Text | {words} words, learnt; words and pooled text condition the network |" in card
    assert "| Prompts | red circle; blue square |" in card and "| Labels | flat, round |" in card


def test_the_model_that_comes_out(config, shapes, tmp_path):
    finish(config(prompts="red circle | blue square|"), tmp_path / "run")
    spec = ds.load(tmp_path / "run").spec
    assert (
        spec.labels == ("flat", "round")
        and set(spec.words) >= {"red", "circle", "that"}
        and spec.prompts == ("red circle", "blue square")
    )
    assert (
        spec.defaults["prompt"] == "red circle"
        and spec.defaults["guidance"] == 4.0
        and spec.defaults["label"] == "flat"
    )
    with Image.open(tmp_path / "run" / "samples" / "final.png") as sheet:
        assert sheet.size == (2 * 8, 4 * 8)
    studio = ds.Studio(tmp_path, "cpu", "fp32")
    made = studio.run(studio.recipe("run", steps=2, negative="blue", seeds=(0, 1)))
    assert made.images.shape == (2, 8, 8, 3)
    finish(config(text=False, images=4), tmp_path / "mute", sample_every=0)
    assert not ds.load(tmp_path / "mute").spec.takes_text
    finish(config(only="round", images=4, text_dropout=0.0), tmp_path / "round")
    spec = ds.load(tmp_path / "round").spec
    assert (
        spec.labels == ("round",)
        and spec.prompts == tuple(f"{c} circle" for c in COLOURS)
        and not spec.network.text.null
    )


def test_captions_that_are_too_long(config, tmp_path):
    with pytest.raises(
        OptionError,
        match=r"The longest caption has 5 words and commas \('a square that is red'\); text_tokens is 3. Ask "
        r"for 5 or more",
    ):
        finish(config(text_tokens=3), tmp_path / "run")


@pytest.mark.parametrize(
    "changes, error, message",
    [
        (
            {"fit": "squash"},
            OptionError,
            "There is no fit 'squash'. Choose one of: pad, crop, resize",
        ),
        ({"background": "pink"}, OptionError, "A background is black, grey, white"),
        ({"only": "flat,bumpy"}, OptionError, "There is no label of the data 'bumpy'"),
        ({"text_vectors": "none.npz"}, DataError, "none.npz cannot be read as a table"),
        ({"text_width": 10}, OptionError, "width 10 does not divide into 4 heads"),
    ],
)
def test_configurations_that_cannot_be(config, tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        finish(config(**changes), tmp_path / "run")


# --- what is learnt


def losses_by_caption(model: ds.Model) -> dict[str, float]:
    """Mean squared error of x0 at one level, from the same noise, under right captions and wrong ones."""
    x0 = from_uint8(np.stack([shape(*pair) for pair in PAIRS]))
    level = model.schedule.level(15)
    x = level.alpha * x0 + level.sigma * torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    asked = {
        "right": [f"{c} {f}" for c, f in PAIRS],
        "reworded": [f"a {f} that is {c}" for c, f in PAIRS],
        "wrong colour": [f"{c} {f}" for c, f in PAIRS[2:] + PAIRS[:2]],
        "none": [None] * 8,
        "wrong shape": [f"{c} {SHAPES[f == 'square']}" for c, f in PAIRS],
    }
    with torch.no_grad():
        return {
            name: (model.denoiser(None, prompts)(x, level).x0 - x0).square().mean().item()
            for name, prompts in asked.items()
        }


@pytest.mark.slow
def test_the_right_words_help(config, shapes, tmp_path):
    """Some seconds of training without labels; then the words' meaning, not their order or number, decides
    the loss.
    """
    np.savez(
        shapes, **{name: array for name, array in np.load(shapes).items() if name in ("images", "captions")}
    )
    finish(
        config(
            images=4000,
            batch=8,
            lr=5e-3,
            dropout=0.0,
            channels=16,
            ema=0.98,
            parametrization="v",
            schedule="cosine",
            cooldown=0.5,
        ),
        tmp_path / "run",
        sample_every=0,
        save_every=0,
    )
    found = losses_by_caption(ds.load(tmp_path / "run", "cpu", "fp32"))
    assert found["reworded"] < 1.3 * found["right"], found
    assert found["right"] < 0.5 * min(found["wrong shape"], found["wrong colour"], found["none"]), found

    studio = ds.Studio(tmp_path, "cpu", "fp32")
    for colour in COLOURS:  # shapes of 8x8 take longer to come out than the loss takes to tell them
        made = studio.run(
            Recipe(model="run", prompt=f"{colour} square", seeds=tuple(range(8)), steps=20, guidance=2.0)
        ).images.astype(float)
        distance = {other: np.abs(made - shape(other, "square")).mean() for other in COLOURS}
        assert min(distance, key=distance.get) == colour, distance


@pytest.mark.slow
def test_the_pooled_text_alone_tells_colours(config, shapes, tmp_path):
    np.savez(
        shapes, **{name: array for name, array in np.load(shapes).items() if name in ("images", "captions")}
    )
    finish(
        config(
            images=800,
            batch=8,
            lr=5e-3,
            dropout=0.0,
            parametrization="v",
            schedule="cosine",
            text_cross=False,
            ema=0.95,
        ),
        tmp_path / "run",
        sample_every=0,
        save_every=0,
    )
    found = losses_by_caption(ds.load(tmp_path / "run", "cpu", "fp32"))
    assert found["right"] < 0.8 * min(found["wrong colour"], found["none"]), found


@pytest.mark.slow
def test_label_and_text_are_learnt_together(config, shapes, tmp_path):
    """The label says the background, as a style would, and the caption the colour: each alone is half the
    story.
    """
    pairs = [(colour, style) for colour in COLOURS for style in ("night", "day")]
    images = np.stack(
        [
            np.where(
                shape(c, "square").any(-1, keepdims=True) | (s == "night"), shape(c, "square"), np.uint8(200)
            )
            for c, s in pairs
        ]
    )
    np.savez(
        shapes,
        images=images,
        captions=np.array([c for c, _ in pairs]),
        labels=np.arange(8) % 2,
        classes=np.array(["night", "day"]),
    )
    finish(
        config(images=640, batch=8, lr=1e-2, dropout=0.0, parametrization="v", schedule="cosine", ema=0.9),
        tmp_path / "run",
        sample_every=0,
        save_every=0,
    )
    model = ds.load(tmp_path / "run", "cpu", "fp32")
    x0 = from_uint8(images)
    level = model.schedule.level(18)
    x = level.alpha * x0 + level.sigma * torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    styles, colours = [s for _, s in pairs], [c for c, _ in pairs]
    asked = {
        "both": (styles, colours),
        "label alone": (styles, None),
        "text alone": (None, colours),
        "neither": (None, None),
        "wrong label": (styles[1:] + styles[:1], colours),
        "wrong text": (styles, colours[2:] + colours[:2]),
    }
    with torch.no_grad():
        found = {
            name: (model.denoiser(*one)(x, level).x0 - x0).square().mean().item()
            for name, one in asked.items()
        }
    assert found["both"] < 0.8 * min(found["wrong label"], found["wrong text"]), found
    assert found["both"] < min(found["label alone"], found["text alone"], found["neither"]), found
    recipe = Recipe(
        model="run",
        label="day",
        prompt="red",
        negative="blue",
        negative_label="night",
        seeds=(0, 1),
        steps=5,
        guidance=3.0,
    )
    assert len(ds.Studio(tmp_path, "cpu", "fp32").run(recipe).images) == 2
