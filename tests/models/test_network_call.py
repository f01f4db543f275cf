"""Network calls of several runs made as one."""

from __future__ import annotations

import pytest
import torch

from diffusion_studio.device import pick_dtype
from diffusion_studio.models.network_call import NetworkCall, made_by, made_together, output_of
from diffusion_studio.networks.text import TextFeatures
from diffusion_studio.studio import Studio


@pytest.mark.parametrize("model", ["fashion-mnist", "heroes", "emoji"])
@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_call_made_with_others_gives_what_it_gives_alone(model, precision):
    """Within rounding. In bf16 the bits were the same on Intel's AMX; other machines may sum in another order."""
    dtype = pick_dtype(precision, torch.device("cpu"))
    if precision == "auto" and dtype != torch.bfloat16:
        pytest.skip("'auto' is fp32 on this machine")
    loaded, calls, results = Studio(precision=precision).model(model), [], []

    def alone(call: NetworkCall) -> torch.Tensor:
        calls.append(call)
        results.append(call())
        return results[-1]

    draw = torch.Generator().manual_seed(5)
    with torch.no_grad(), made_by(alone):
        for rows, t in ((2, 900), (3, 500), (8, 20)):
            label = loaded.spec.labels[rows % len(loaded.spec.labels)] if loaded.spec.labels else None
            x = torch.randn(rows, *loaded.shape, generator=draw)
            loaded.denoiser(label)(x, loaded.schedule.level(t))
    assert [one.rows for one in calls] == [2, 3, 8] and all(one.joins for one in calls)
    assert all(calls[0].fits(one) for one in calls)
    for together, result in zip(made_together(calls), results, strict=True):
        off = (together - result).abs()
        assert off.mean() < 0.02 if dtype == torch.bfloat16 else off.max() < 2e-4
        assert result.abs().mean() > 0.2  # another's rows would be this far away


def call(rows=2, shape=(3, 8, 8), dtype=torch.float32, length=None, **given) -> NetworkCall:
    text = None
    if length is not None:
        text = TextFeatures(
            torch.zeros(rows, length, 4), torch.ones(rows, length, dtype=torch.bool), torch.zeros(rows, 4)
        )
    return NetworkCall(
        NETWORK, torch.zeros(rows, *shape, dtype=dtype), torch.zeros(rows), None, text, grad=False, **given
    )


NETWORK = torch.nn.Identity()


def test_what_is_made_alone():
    assert call().joins and call(rows=1).joins
    assert not call(rows=1, dtype=torch.bfloat16).joins  # other bits than in a larger batch
    assert not call(more=(torch.zeros(1),)).joins  # a network with a memory
    assert not call(shape=(500, 2)[:1]).joins  # points gain no time
    with torch.enable_grad():
        assert not NetworkCall(NETWORK, torch.zeros(2, 3, 8, 8), torch.zeros(2)).joins


def test_what_fits():
    assert call().fits(call(rows=7))
    for other in (call(shape=(1, 8, 8)), call(dtype=torch.bfloat16), call(length=3)):
        assert not call().fits(other)
    assert call(length=3).fits(call(length=3)) and not call(length=3).fits(call(length=4))


def test_whoever_makes_calls_does_so_for_one_thread_and_only_meanwhile():
    network = torch.nn.Linear(2, 2)
    asked = NetworkCall(lambda x, t, label, text: network(x), torch.zeros(1, 2), torch.zeros(1))
    with made_by(lambda one: one.x + 7):
        assert (output_of(asked) == 7).all()
    assert torch.equal(output_of(asked), network(asked.x))
