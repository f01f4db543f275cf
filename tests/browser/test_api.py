"""The named endpoints, called by gradio_client as docs/api.md says."""

from __future__ import annotations

import io
import json
import re
import tempfile
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

import diffusion_studio as ds

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MARK = ROOT / "diffusion_studio" / "ui" / "mark.svg"


@pytest.fixture(scope="module")
def client(app):
    from gradio_client import Client

    return Client(app, verbose=False, download_files=tempfile.mkdtemp())


def test_the_snippets_of_the_docs(app, capsys):
    making, streaming = [
        b
        for b in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text("utf-8"), re.S)
        if "gradio_client" in b
    ]
    scope: dict = {}
    for block in (making, streaming):
        assert "http://127.0.0.1:7860" in block
        exec(block.replace("http://127.0.0.1:7860", app), scope)
    recipe = ds.Recipe.from_file(scope["path"])
    assert (recipe.label, recipe.steps, recipe.seeds, recipe.guidance) == ("Bag", 20, (0, 1, 2, 3), 2.0)
    assert "12 12 None" in capsys.readouterr().out


def test_models(client):
    listed = client.predict(api_name="/models")
    assert {"fashion-mnist"} <= {one["name"] for one in listed}
    (garments,) = [one for one in listed if one["name"] == "fashion-mnist"]
    assert garments["resolution"] == 32 and "Sneaker" in garments["labels"]


@pytest.mark.parametrize("format", ["gif", "mp4", "png", "strip"])
def test_animate(client, format):
    path = client.predict(
        model="fashion-mnist",
        label="",
        steps=3,
        sampler="ddpm",
        spacing="linspace",
        guidance=1.0,
        seed=4,
        count=2,
        view="x0",
        format=format,
        api_name="/animate",
    )
    assert ds.Recipe.from_file(path) == ds.Recipe(
        model="fashion-mnist", seeds=(4, 5), steps=3, sampler=ds.DDPM(), spacing="linspace"
    )


def test_animate_leaves_to_the_model_what_is_left_out(client):
    path = client.predict(model="mnist", label="8", count=1, api_name="/animate")
    assert ds.Recipe.from_file(path) == ds.Studio(ROOT / "checkpoints").recipe("mnist", label="8", seeds=(0,))


@pytest.mark.parametrize("as_text", [False, True])
def test_animate_takes_options_and_any_setting(client, as_text):
    """Samplers and spacings as objects or their JSON; a spacing with steps of its own brings them."""
    sampler, spacing = {"name": "heun", "churn": 2.0}, {"name": "timesteps", "timesteps": "900,500,100"}
    given = (
        {"sampler": json.dumps(sampler), "spacing": json.dumps(spacing)}
        if as_text
        else {"sampler": sampler, "spacing": spacing}
    )
    path = client.predict(
        model="fashion-mnist",
        label="Bag",
        count=1,
        guidance=3.0,
        **given,
        settings={"interval": {"high": 5}, "change": {"step": 2, "label": "Shirt"}},
        api_name="/animate",
    )
    found = ds.Recipe.from_file(path)
    assert (found.sampler, found.spacing.count, found.steps) == (ds.SAMPLERS["heun"](churn=2.0), 3, 3)
    assert (found.interval.high, found.change.step, found.change.label, found.guidance) == (
        5.0,
        2,
        "Shirt",
        3.0,
    )


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"sampler": "{ddim"}, "sampler is neither a name nor JSON"),
        ({"sampler": {"name": "ddim", "rho": 1}}, "There is no option of"),
        ({"spacing": {"rho": 1}}, "object with a 'name'"),
        ({"settings": {"colour": 1}}, "There is no field of a recipe 'colour'"),
        ({"settings": {"steps": 3}}, "steps has a parameter of its own"),
        ({"settings": {"weaker": "none"}}, "There is no model"),
        ({"model": "nothing"}, "There is no model"),
        ({"label": "Hat"}, "There is no label"),
        ({"steps": 0}, "at least 1"),
        ({"steps": 5000}, "from 1 to 1000"),
        ({"sampler": "x"}, "There is no sampler"),
        ({"spacing": "x"}, "There is no"),
        ({"count": 10_000}, "from 1 to 64"),
        ({"guidance": 1e9}, "guidance must be"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"view": "y"}, "There is no"),
        ({"format": "avi"}, "There is no format"),
    ],
)
def test_mistakes_are_explained(client, wrong, sentence):
    with pytest.raises(Exception, match=sentence):
        client.predict(**{"model": "fashion-mnist", "steps": 2, "count": 1, **wrong}, api_name="/animate")


def test_stream_sends_every_state(client):
    """Each state of a run in its order, equal to those of the engine."""
    import base64
    import io

    import numpy as np
    from PIL import Image

    job = client.submit(model="fashion-mnist", label="Bag", steps=7, count=2, seed=3, api_name="/stream")
    job.result(timeout=120)
    states = [one for one in job.outputs() if one is not None]
    assert [one["index"] for one in states] == list(range(8)) and states[0]["total"] == 7
    assert states[-1]["log_snr"] is None and states[3]["log_snr"] < states[4]["log_snr"]
    studio = ds.Studio(ROOT / "checkpoints")
    frames = list(studio.stream(studio.recipe("fashion-mnist", label="Bag", steps=7, seeds=(3, 4))))
    for state, frame in zip(states, frames, strict=True):
        sent = Image.open(io.BytesIO(base64.b64decode(state["picture"].partition(",")[2])))
        assert np.array_equal(np.asarray(sent), frame.sheet(frame.x)[..., 0])


def test_a_grid_is_made(client):
    path = client.predict(
        x="guidance=1, 2",
        y="seed=0, 1",
        model="fashion-mnist",
        label="Bag",
        steps=3,
        format="png",
        api_name="/grid",
    )
    from diffusion_studio.compare.recipes import read

    made = read(path)
    assert (made.columns, made.rows, made.recipe.label, made.recipe.steps) == (2, 2, "Bag", 3)
    for wrong, said in (({"x": "guidance"}, "a setting and its values"), ({"x": "hue=1"}, "no setting")):
        with pytest.raises(Exception, match=said):
            client.predict(**wrong, model="fashion-mnist", api_name="/grid")


def test_a_checkpoint_is_inspected_by_name_or_sent_along(client, tmp_path):
    from gradio_client import handle_file

    by_name = client.predict(model="mnist", api_name="/inspect_checkpoint")
    sent = client.predict(
        file=handle_file(str(ROOT / "checkpoints" / "mnist" / "model.safetensors")),
        api_name="/inspect_checkpoint",
    )
    assert by_name["parameters"] == sent["parameters"] > 100_000
    for wrong, said in (
        ({}, "either model"),
        ({"file": {"path": "/etc/hostname"}}, "sent along|not allowed"),
    ):
        with pytest.raises(Exception, match=said):
            client.predict(**wrong, api_name="/inspect_checkpoint")


def test_an_assistant_finds_tools_and_uses_them(app, tmp_path, run_async):
    """Over MCP: each tool and each of its parameters is described, and animate gives a file."""
    import urllib.request

    pytest.importorskip("mcp")
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def asked():
        async with (
            streamablehttp_client(f"{app}/gradio_api/mcp/") as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            made = await session.call_tool(
                "animate", {"model": "fashion-mnist", "label": "Bag", "steps": 3, "count": 1}
            )
            last = await session.call_tool("stream", {"model": "fashion-mnist", "steps": 2, "count": 1})
            wrong = await session.call_tool("animate", {"model": "nothing"})
            return tools, made, last, wrong

    tools, made, last, wrong = run_async(asked())
    assert {one.name for one in tools} == {"animate", "stream", "grid", "models", "inspect_checkpoint"}
    for tool in tools:
        assert len(tool.description) > 40
        assert all(one["description"] for one in tool.inputSchema["properties"].values()), tool.name
    address = made.content[-1].text.partition(": ")[2]
    with urllib.request.urlopen(address) as answer:
        (tmp_path / "run.gif").write_bytes(answer.read())
    assert ds.Recipe.from_file(tmp_path / "run.gif").label == "Bag"
    assert "'index': 2" in last.content[0].text
    assert wrong.isError and "There is no model" in wrong.content[0].text


def test_the_icons_of_the_installed_page_are_pictures_of_the_mark(app, browser):
    """Gradio resizes the icon with Pillow, which reads no SVG: /pwa_icon/192 answered 500."""
    manifest = json.loads(urlopen(f"{app}/manifest.json").read())
    found = {one["sizes"]: urljoin(app, one["src"]) for one in manifest["icons"]}
    assert set(found) == {"192x192", "512x512"}
    page = browser.new_page(viewport={"width": 512, "height": 512})
    page.set_content(
        f"<style>* {{ margin: 0 }} svg {{ width: 512px; height: 512px; display: block }}</style>{MARK.read_text()}"
    )
    drawn = Image.open(io.BytesIO(page.screenshot(omit_background=True)))
    page.close()
    for sizes, address in {**found, "any": f"{app}/pwa_icon", "tab": f"{app}/favicon.ico"}.items():
        with urlopen(address) as answer:
            assert answer.status == 200 and answer.headers["content-type"] == "image/png"
            icon = Image.open(io.BytesIO(answer.read())).convert("RGBA")
        assert sizes in ("any", "tab", f"{icon.width}x{icon.height}")
        apart = np.subtract(icon.resize((64, 64)), drawn.convert("RGBA").resize((64, 64)), dtype=float)
        assert np.abs(apart).mean() < 2, sizes
