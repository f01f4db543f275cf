"""The results of a run: model files, card, loss curve, TensorBoard; and that training learns."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import diffusion_studio as ds
from diffusion_studio.checkpoint.classifier import read_classifier
from diffusion_studio.checkpoint.classifier_spec import ClassifierSpec
from diffusion_studio.diffusion.schedule import FlowMatching, Linear, VarianceExploding, VariancePreserving
from diffusion_studio.errors import CheckpointError, DataError, OptionError
from diffusion_studio.models.classifier import load_classifier
from diffusion_studio.models.condition import Encoded
from diffusion_studio.networks.classifier import NoisyClassifier
from diffusion_studio.networks.classifier_config import ClassifierConfig
from diffusion_studio.networks.config import UNetConfig
from diffusion_studio.networks.unet import UNet
from diffusion_studio.studio import Studio
from diffusion_studio.training import board
from diffusion_studio.training.card import loss_curve
from diffusion_studio.training.objective import OBJECTIVES, Draw
from diffusion_studio.training.run import RunFolder
from diffusion_studio.training.trainer import Trainer

CPU = torch.device("cpu")


@pytest.mark.slow
def test_it_overfits_one_picture_to_near_zero(config, finish, pictures, tmp_path):
    """One black and white picture: the loss of knowing it, against that of the untrained network, which
    answers zero.
    """
    np.savez(pictures, images=255 * np.random.default_rng(1).integers(0, 2, (1, 8, 8), np.uint8))
    given = config(
        images=4 * 90, batch=4, lr=1e-2, dropout=0.0, warmup=5, timesteps=1000, parametrization="x0"
    )
    losses = [step.loss for step in finish(given, tmp_path / "run")]
    assert losses[0] == pytest.approx(1, abs=0.01) and np.mean(losses[-10:]) < 0.02, losses[-10:]


PROCESSES = {
    "eps": (Linear(), "eps", (200, 700)),
    "x0": (Linear(), "x0", (200, 700)),
    "v": (Linear(), "v", (200, 700)),
    "mean": (Linear(), "mean", (200, 700)),
    "edm": (VarianceExploding(), "edm", (-0.5, 0.4)),
    "flow": (FlowMatching(), "flow", (200.0, 700.0)),
    "vp": (VariancePreserving(), "eps", (200.0, 700.0)),
}


@pytest.mark.slow
@pytest.mark.parametrize("objective, process", [*(("simple", name) for name in PROCESSES), ("hybrid", "eps")])
def test_one_batch_and_its_noise_are_learned_by_heart(objective, process):
    """The same pictures, noise levels and noise again and again: the squared error goes to zero, whatever
    is predicted.
    """
    schedule, parametrization, t = PROCESSES[process]
    torch.manual_seed(0)
    network = UNet(
        UNetConfig(
            in_channels=1,
            out_channels=1 + (objective == "hybrid"),
            channels=8,
            multipliers=(1, 2),
            blocks=1,
            norm_groups=4,
        )
    )
    objective = OBJECTIVES[objective](schedule, parametrization, bound_weight=0.0)
    x0 = torch.randint(2, (2, 1, 8, 8)).float() * 2 - 1
    draw = Draw(torch.tensor(t), torch.randn_like(x0), torch.zeros(2, dtype=torch.bool))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(90):
        loss = objective(network, x0, None, draw)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 * losses[0], losses[::20]


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "hybrid"},
        {"objective": "vlb", "parametrization": "v"},
        {"parametrization": "mean"},
        {"schedule": "edm"},
        {"schedule": "flow"},
        {"schedule": "vp"},
        {"schedule": "jsd"},
    ],
    ids=str,
)
def test_the_model_says_how_to_read_it_and_samples(config, finish, tmp_path, changes):
    finish(config(images=8, **changes), tmp_path / "run")
    model = ds.load(tmp_path / "run", "cpu", "fp32")
    learned = "objective" in changes
    assert model.spec.learned_variance == learned and model.spec.network.out_channels == 1 + learned
    schedule = model.schedule
    p = model.denoiser("1")(
        torch.randn(2, 1, 8, 8), schedule.level(7 if schedule.discrete else schedule.t_max / 3)
    )
    assert model.spec.parametrization == changes.get(
        "parametrization", {"edm": "edm", "flow": "flow", "jsd": "v"}.get(changes.get("schedule"), "eps")
    )
    assert (p.variance is not None) == learned and p.x0.isfinite().all()
    studio = Studio(tmp_path, "cpu")
    for variance in ("small", "learned") if learned else ("small",):
        recipe = studio.recipe("run", steps=5, seeds=(0, 1), sampler={"name": "ddpm", "variance": variance})
        assert len(studio.run(recipe).images) == 2


def test_a_mean_network_that_is_right_gives_the_picture(tiny_model):
    """The network's mean of x_{t-1} by hand; the model reads x0 from it."""
    model = tiny_model(parametrization="mean")
    level, before = model.schedule.level(50), model.schedule.level(49)
    x0, eps = torch.randn(2, 2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = level.alpha * x0 + level.sigma * eps
    beta = model.schedule.betas()[50]
    mean = (before.alpha * beta * x0 + np.sqrt(1 - beta) * before.sigma**2 * x) / level.sigma**2
    model.network = lambda x, t, label, text: mean
    torch.testing.assert_close(model.predict(x, level, Encoded((0,))).x0, x0, rtol=0, atol=1e-9)


# --- flips


def test_half_of_the_pictures_are_mirrored_and_nothing_else_changes(config, tmp_path):
    plain, mirrored = (
        Trainer(config(flips=flips), RunFolder(tmp_path / "run"), CPU) for flips in (False, True)
    )
    flip = torch.tensor([True, False, True, False])
    a, labels = plain._batch(4, range(1, 4), flip)
    b, same = mirrored._batch(4, range(1, 4), flip)
    assert torch.equal(labels, same)
    assert torch.equal(b[0], a[0]) and torch.equal(b[1], a[1].flip(-1)) and torch.equal(b[2], a[2])
    assert not torch.equal(b[1], a[1])
    whole = plain._batch(4)[0]
    assert torch.equal(whole[1:], a)  # the flips did not reach the data itself
    assert torch.equal(mirrored._batch(4)[0], whole)


# --- classifier


def classifier_config(**changes) -> ClassifierConfig:
    return ClassifierConfig(
        **{
            "in_channels": 1,
            "classes": 3,
            "size": 8,
            "channels": 8,
            "multipliers": (1, 2),
            "blocks": 1,
            "heads": 2,
            "norm_groups": 4,
            "attention_levels": (1,),
            **changes,
        }
    )


@pytest.mark.parametrize(
    "changes",
    [{}, {"resample": "conv", "conditioning": "add", "in_channels": 3, "attention_levels": ()}],
    ids=str,
)
def test_the_classifier_sees_every_position_and_the_time(changes):
    config = classifier_config(**changes)
    torch.manual_seed(0)
    network = NoisyClassifier(config).double()
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.2)
    x = torch.randn(2, config.in_channels, 8, 8, dtype=torch.float64, requires_grad=True)
    logits = network(x, torch.tensor([3, 3]))
    assert logits.shape == (2, 3)
    (gradient,) = torch.autograd.grad(logits[0, 1], x)
    assert (gradient[0] != 0).all() and not gradient[1].any()  # pictures do not see each other
    assert not torch.equal(network(x, torch.tensor([5, 3]))[0], logits[0])
    alone = x[:1].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: network(y, torch.tensor([3])), (alone,), fast_mode=True)
    with pytest.raises(OptionError, match=r"This classifier takes \(N, ., 8, 8\), got \(1, 1, 4, 4\)"):
        network(torch.zeros(1, 1, 4, 4).double(), torch.tensor([3]))


@pytest.mark.slow
def test_a_classifier_is_trained_by_the_same_command_and_learns(config, finish, pictures, tmp_path):
    """Dark against bright pictures, told apart also under noise."""
    shade = np.arange(12) % 2 * 255
    np.savez(
        pictures,
        images=np.broadcast_to(shade[:, None, None], (12, 8, 8)).astype(np.uint8),
        labels=np.arange(12) % 2,
    )
    given = config(kind="classifier", images=600, batch=10, lr=3e-3, cooldown=0.2)
    losses = [step.loss for step in finish(given, tmp_path / "run")]
    assert abs(losses[0] - np.log(2)) < 0.4 and np.mean(losses[-10:]) < 0.1
    out = tmp_path / "run"
    assert not (out / "model.safetensors").exists() and not list((out / "samples").iterdir())
    classifier = load_classifier(out, "cpu")
    assert classifier.spec.labels == ("0", "1") and classifier.spec.schedule == Linear(timesteps=20)
    assert classifier.spec.provenance["images_seen"] == 600
    level = classifier.spec.schedule.level(2)
    x = torch.stack([torch.full((1, 8, 8), -0.9), torch.full((1, 8, 8), 0.9)]).requires_grad_()
    log_p = classifier.log_probability(x, level, torch.tensor([0, 1]))
    assert (log_p > np.log(0.9)).all()
    torch.testing.assert_close(classifier.logits(x, level).softmax(1).diagonal().log(), log_p)
    (uphill,) = torch.autograd.grad(classifier.log_probability(x, level, torch.tensor([1, 1])).sum(), x)
    assert uphill[0].sum() > 0  # brighter is likelier to be bright
    card = (out / "card.md").read_text()
    assert (
        "A classifier of noisy 8x8 grey pictures, for classifier guidance." in card
        and "cross-entropy" in card
    )


def test_a_classifiers_file_is_not_taken_for_a_model_nor_the_other_way(
    config, finish, tmp_path, write_checkpoint
):
    finish(config(kind="classifier", images=4), tmp_path / "run")
    path = tmp_path / "run" / "classifier.safetensors"
    with pytest.raises(CheckpointError, match="is a noisy classifier.*draws nothing itself"):
        ds.load(path)
    with pytest.raises(CheckpointError, match="The network is of kind 'unet', wanted a 'classifier'"):
        read_classifier(write_checkpoint())
    spec, network = read_classifier(path)
    assert ClassifierSpec.from_json(spec.to_json()) == spec
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="is not a whole safetensors file"):
        read_classifier(path)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda d: d["network"].pop("name"), "of kind None, wanted"),
        (lambda d: d.pop("network"), "not an object with a network"),
        (lambda d: d["network"].update(size=9), "sizes that are multiples of 2"),
        (lambda d: d.update(labels=["a"]), "3 classes and 1 label"),
        (lambda d: d.update(labels=[1, 2, 3]), "labels must be a list of texts"),
        (lambda d: d.update(more=1), "There is no field"),
        (lambda d: d.update(schedule="none"), "There is no noise schedule"),
        (lambda d: d.update(provenance=3), "provenance must be"),
    ],
)
def test_headers_of_classifiers_that_are_wrong(spoil, message):
    given = json.loads(ClassifierSpec("c", classifier_config(), Linear(), ("a", "b", "c")).to_json())
    spoil(given)
    with pytest.raises(OptionError, match=message):
        ClassifierSpec.from_json(json.dumps(given))


def test_a_classifier_needs_classes(config, finish, pictures, tmp_path):
    np.savez(pictures, images=np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(
        DataError, match="needs pictures of at least 2 classes, and .* has no labels. Put the"
    ):
        finish(config(kind="classifier"), tmp_path / "run")


# --- card, curve, board


def test_the_card_tells_where_a_model_comes_from(config, finish, tmp_path):
    given = config(objective="hybrid", draw_t="loss", min_snr=5.0, ema_also="0.5", ema_export=0.5)
    finish(given, tmp_path / "run")
    card = (tmp_path / "run" / "card.md").read_text()
    assert card.startswith("# run\n\nA diffusion model of 8x8 grey pictures.\n")
    for wanted in (
        f"| Data | {given.data} |",
        "| Licence of the data | that of the data |",
        "| Labels | 0, 1, 2 |",
        "| Images seen | 32 in batches of 4 |",
        "| Averaged weights | decay 0.5 per step |",
        "threads |",
        "minutes |",
        "hybrid, predicts eps, linear schedule of 20 steps, min-SNR weights, gamma 5, timesteps drawn by",
        "![Samples](samples/final.png)",
        "![Loss](loss.png)",
        f"\n    {given.command('runs/run')}\n",
    ):
        assert wanted in card, wanted
    with Image.open(tmp_path / "run" / "loss.png") as curve:
        assert curve.size == (720, 320)
    assert Studio(tmp_path).card("run").text == card


@pytest.mark.parametrize(
    "losses", [[1.0, 0.1, 0.01], [1.0, 0.9, 0.95], [-1.0, 2.0, 0.0], [3.0, 3.0, 3.0]], ids=str
)
def test_the_curve_goes_through_its_points(losses):
    """Blue at the right place: x in proportion to the images seen; the highest loss at the top, the lowest
    below.
    """
    picture = np.asarray(loss_curve([(100.0, losses[0]), (200.0, losses[1]), (400.0, losses[2])]))
    blue = (picture == (36, 99, 196)).all(-1)
    at = [64 + (720 - 84) * seen // 400 for seen in (100, 200, 400)]
    rows = [np.flatnonzero(blue[:, max(0, x - 2) : x + 3].any(1)).mean() for x in at]
    assert not blue[:, : at[0] - 3].any() and not blue[:, at[2] + 3 :].any()
    for k in range(3):
        for j in range(3):
            if losses[k] > losses[j]:
                assert rows[k] < rows[j]
    if len(set(losses)) > 1:
        assert blue[30:35].any() and blue[275:285].any()


def test_without_tensorboard_there_is_no_board(tmp_path, monkeypatch):
    monkeypatch.setattr(board.importlib.util, "find_spec", lambda name: None)
    one = board.Board(tmp_path, 3)
    one.scalars(1, loss=0.5), one.picture(1, Image.new("L", (8, 8))), one.close()
    assert list(tmp_path.iterdir()) == []


def test_the_board_holds_the_curves(config, finish, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = ds.train(config(), tmp_path / "run", device="cpu", sample_every=8)
    for step in run:
        if step.step == 5:
            run.close()
    steps = list(ds.train(config(), tmp_path / "run", device="cpu", resume=True, sample_every=8))
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    seen = {event.step: event.value for event in events.Scalars("loss")}
    assert sorted(seen) == [1, 2, 3, 4, 6, 7, 8] and seen[8] == pytest.approx(steps[-1].loss)
    assert len(events.Images("samples")) >= 3
