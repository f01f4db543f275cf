"""The two classifiers that judge generated pictures: a small network on pixels, and a linear one on
features.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import diffusion_studio as ds
from diffusion_studio import data
from diffusion_studio.errors import DataError
from diffusion_studio.metrics import classifier, linear
from diffusion_studio.metrics.config import EvalConfig
from diffusion_studio.metrics.features import Features
from diffusion_studio.metrics.pictures import default_recipe
from diffusion_studio.runs import generate


@pytest.mark.slow
def test_the_classifier_learns_is_kept_and_leaves_the_random_state(pictures_file, tmp_path):
    train, test = (data.load(pictures_file, split).padded(8) for split in ("train", "test"))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    judge = classifier.load_or_train(train, 0, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert (classifier.predict_classes(judge, test.images) == test.labels).mean() == 1
    (file,) = tmp_path.glob("classifier-*")
    again = classifier.load_or_train(
        train, 0, tmp_path, report=lambda done, total: pytest.fail("it is trained again")
    )
    assert all(torch.equal(a, b) for a, b in zip(judge.state_dict().values(), again.state_dict().values()))
    file.write_bytes(b"broken")
    with pytest.raises(ds.StudioError, match="Delete the file"):
        classifier.load_or_train(train, 0, tmp_path)
    with pytest.raises(DataError, match="at least 128"):
        classifier.load_or_train(test, 0, tmp_path)


def test_the_linear_judge_is_at_its_optimum():
    """The gradient of its loss, written out in float64, is zero: cross-entropy's and that of the decay."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 400)
    features = (random.normal(size=(400, 5)) * [1, 5, 0.2, 1, 1] + 0.7 * labels[:, None]).astype(np.float32)
    features[:, 4] = 2  # a feature that says nothing
    judge = linear.fit(features, labels, 3)
    x = (features.astype(float) - judge.mean.double().numpy()) / judge.scale.double().numpy()
    z = x @ judge.weight.double().numpy() + judge.bias.double().numpy()
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    error = (p - np.eye(3)[labels]) / len(labels)
    assert (
        np.abs(x.T @ error + linear.DECAY * judge.weight.numpy()).max() < 1e-5
        and np.abs(error.sum(0)).max() < 1e-5
    )
    assert (judge(features) == z.argmax(1)).all() and (judge(features) == labels).mean() > 0.6


def test_labels_are_judged_by_features_where_asked(
    tiny_model, small_features, pictures_file, tmp_path, monkeypatch
):
    """Real test pictures of known labels in the place of drawn ones: the judge is right on them as often
    as it says.
    """
    model = tiny_model(torch.float32, labels=("0", "1", "2"))
    test = data.load(pictures_file, "test").padded(8)
    order = np.stack(
        [np.flatnonzero(test.labels == k)[:13] for k in range(3)], 1
    ).ravel()  # seed k has label k mod 3

    def draw(model, asked, *guides, **given):
        pictures = test.images[[order[seed] for seed in asked.seeds]]
        yield ds.Frame(0, 1, None, pictures, pictures)

    monkeypatch.setattr(generate, "stream", draw)
    config = EvalConfig(str(pictures_file), pictures=39, metrics="labels", judge="features")
    report = ds.evaluate(model, config, default_recipe(model.spec, steps=2), tmp_path / "work")
    found = report["figures"]["labels"]
    network = Features("efficientnet-lite0")
    train = data.load(pictures_file).padded(8)
    judge = linear.fit(network(train.images), train.labels, 3)
    right = judge(network(test.images[order])) == np.arange(39) % 3
    assert found["value"] == right.mean() > 0.8 and report["features"]["network"] == "Small"
    assert found["of_real_test_pictures"] == (judge(network(test.images)) == test.labels).mean()
    assert (
        found["name"] == "label accuracy (logistic regression on Small's features of 1,024 training pictures)"
    )
    config = EvalConfig(str(pictures_file), pictures=39, metrics="frechet,labels", judge="features", real=500)
    fewer = ds.evaluate(model, config, default_recipe(model.spec, steps=2), tmp_path / "work")
    assert "of 500 training pictures" in fewer["figures"]["labels"]["name"]
