"""Guidance from inside the network, chosen on the page."""

from __future__ import annotations

import pytest
from helpers import answered, choose_model, export, open_settings, run, section

import diffusion_studio as ds
from diffusion_studio.runs.guidance_options import SelfGuidance

pytestmark = pytest.mark.slow


def test_it_is_offered_where_the_network_can_use_it_and_travels_in_the_file(desktop, tmp_path):
    choose_model(desktop, "mnist")
    section(desktop, "#guidance-more")
    assert desktop.locator("#self-guidance-scale").is_hidden()
    with answered(desktop):
        desktop.click("#self-guidance input")
        desktop.get_by_role("option", name="skipped layers").click()
    desktop.wait_for_selector("#self-guidance-layers")
    assert desktop.locator("#self-guidance-blur").is_hidden()  # of smoothed energy alone
    desktop.click("#self-guidance-layers input")
    desktop.get_by_role("option", name="middle.1").click()
    run(desktop, steps=3, count=1)
    recipe = ds.Recipe.from_file(export(desktop, "gif", tmp_path))
    assert recipe.self_guidance == SelfGuidance("skipped_layers", layers="middle.1") and recipe.steps == 3
    open_settings(desktop)
    choose_model(desktop, "swiss-roll")  # points have neither attention nor a middle
    desktop.wait_for_selector("#self-guidance", state="hidden")
