"""Small noisy classifiers and a guided recipe for them, for the tests of guidance."""

from __future__ import annotations

import torch

import diffusion_studio as ds
from diffusion_studio.checkpoint.classifier_spec import ClassifierSpec
from diffusion_studio.diffusion.schedule import Linear
from diffusion_studio.networks.classifier import NoisyClassifier
from diffusion_studio.networks.classifier_config import ClassifierConfig

LABELS = ("Cat", "Dog", "Elk")


def classifier_spec(**changes) -> ClassifierSpec:
    network = {
        "in_channels": 1,
        "classes": 3,
        "size": 8,
        "channels": 8,
        "multipliers": (1, 1),
        "blocks": 1,
        "norm_groups": 4,
        **changes.pop("network", {}),
    }
    return ClassifierSpec(
        **{
            "name": "judge",
            "network": ClassifierConfig(**network),
            "schedule": Linear(timesteps=100),
            "labels": LABELS,
            **changes,
        }
    )


def network_of(spec: ClassifierSpec) -> NoisyClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = NoisyClassifier(spec.network).eval().requires_grad_(False)
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    return network


def recipe(**changes) -> ds.Recipe:
    return ds.Recipe(
        **{
            "model": "tiny",
            "label": "Cat",
            "seeds": (1, 2),
            "steps": 6,
            "guidance": 3.0,
            "clip": False,
            **changes,
        }
    )
