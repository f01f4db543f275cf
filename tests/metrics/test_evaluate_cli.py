"""The verb `evaluate`: tables, plots, results, and mistakes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion_studio.cli import main
from diffusion_studio.metrics.table import COLOURS, COLUMNS, row, write_csv, write_plot

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def words(write_checkpoint, pictures_file, tmp_path, small_features):
    checkpoint = write_checkpoint(labels=("0", "1", "2"))
    return [
        "evaluate",
        "tiny",
        "--checkpoints",
        str(checkpoint.parents[1]),
        "--data",
        str(pictures_file),
        "--pictures",
        "12",
        "--real",
        "50",
        "--work",
        str(tmp_path / "work"),
    ]


def test_help_is_quick_and_lists_the_figures():
    code = (
        "import sys\nfrom diffusion_studio.cli import main\n"
        "try: main(['evaluate', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'gradio', 'PIL', 'tqdm', 'scipy'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.stderr.strip() == "[]"
    assert "usage: diffusion-studio evaluate" in done.stdout and "kernel distance (KID)" in done.stdout


def test_a_summary_for_people_and_json_for_programs(words, tmp_path, capsys):
    out = tmp_path / "report.json"
    assert main([*words, "--steps", "2", "--metrics", "frechet,neighbours", "--json", str(out)]) == 0
    told = capsys.readouterr().out
    assert (
        "tiny on " in told and "12 pictures, ddim, 2 steps" in told and "Frechet distance (Small): " in told
    )
    report = json.loads(out.read_text())
    assert report["recipe"]["steps"] == 2 and set(report["figures"]) == {"frechet", "neighbours"}
    assert main([*words, "--steps", "2", "--metrics", "frechet", "--json", "-"]) == 0
    printed = json.loads(capsys.readouterr().out)  # and nothing else
    assert printed["figures"]["frechet"] == report["figures"]["frechet"]


def test_a_table_over_samplers_and_steps(words, tmp_path, capsys):
    table = tmp_path / "table.csv"
    assert (
        main(
            [
                *words,
                "--sampler",
                "ddpm",
                '{"name": "ddim", "eta": 0.5}',
                "--steps",
                "1",
                "2",
                "3",
                "--metrics",
                "frechet,precision-recall",
                "--table",
                str(table),
                "--json",
                str(tmp_path / "all.json"),
            ]
        )
        == 0
    )
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(line["sampler"], line["steps"]) for line in rows] == [
        (sampler, str(steps)) for sampler in ("ddpm", "ddim eta 0.5") for steps in (1, 2, 3)
    ]
    assert list(rows[0]) == ["sampler", "steps", "guidance", "pictures", "frechet", "precision", "recall"]
    reports = json.loads((tmp_path / "all.json").read_text())
    assert [float(line["frechet"]) for line in rows] == [
        one["figures"]["frechet"]["value"] for one in reports
    ]
    assert len({line["frechet"] for line in rows}) == 5  # a single step of either is the predicted x0
    with Image.open(table.with_suffix(".png")) as plot:
        assert plot.size[0] == 3 * 420 and plot.size[1] > 300
    assert capsys.readouterr().out.splitlines()[-2:] == [str(table), str(table.with_suffix(".png"))]


def test_a_plot_shows_every_line_at_its_height(tmp_path):
    rows = [
        row(sampler, steps, {"pictures": 9, "figures": {"frechet": {"value": value}}})
        for sampler, steps, value in (
            ("low", 10, 1.0),
            ("low", 100, 1.0),
            ("high", 10, 5.0),
            ("high", 100, 5.0),
        )
    ]
    write_plot(tmp_path / "plot.png", rows, "two lines")
    with Image.open(tmp_path / "plot.png") as plot:
        pixels = np.asarray(plot).astype(int)[90:]  # below the legend
    height = [np.argwhere((pixels == colour).all(2))[:, 0].mean() for colour in COLOURS[:2]]
    assert height[0] > height[1] + 100  # the smaller value is drawn lower
    write_plot(tmp_path / "one.png", rows[:1], "one point, and no spread of steps or values")
    write_csv(tmp_path / "one.csv", rows[:1])
    assert (tmp_path / "one.csv").read_text().splitlines() == [
        "sampler,steps,pictures,frechet",
        "low,10,9,1.0",
    ]


def test_the_columns_are_figures():
    from diffusion_studio.metrics.config import METRICS, POINT_METRICS

    assert {figure for figure, _, _ in COLUMNS.values()} == {*METRICS, *POINT_METRICS}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--sampler", "ddim", "ddpm"], "Say where to write it, with --table FILE.csv"),
        (["--steps", "2", "3"], "Say where to write it, with --table FILE.csv"),
        (["--sampler", "dpm"], "There is no sampler 'dpm'"),
        (["--sampler", "{ddim"], "is not JSON"),
        (["--sampler", '{"name": "ddim", "eat": 1}'], "There is no option of the sampler 'ddim' 'eat'"),
        (["--steps", "many"], "steps must be a whole number, at least 1, got 'many'"),
        (["--steps", "101"], "steps must be a whole number from 1 to 100"),
        (["--metrics", "fid"], "There is no metric 'fid'"),
        (["--pictures", "few"], "--pictures must be a whole number from 2"),
        (["--features", "vgg"], "There is no --features 'vgg'"),
        (["--features", "inception"], "pt_inception-2015-12-05-6726825d.pth"),
        (["--feature-weights", "no.safetensors"], "There is no file no.safetensors"),
        (["--table", "table.txt"], "--table writes a .csv"),
        (["--json", "no/such/folder/x.json"], "There is no folder 'no/such/folder'"),
        (["--json", "."], ". cannot be written (it is a folder). Add a file name"),
        (["--json", "/proc/x.json"], "/proc/x.json cannot be written ("),
        (["--data", "no-such-data"], "There is no data set"),
    ],
)
def test_mistakes_are_explained(words, more, sentence, capsys):
    assert main([*words, *more]) == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said


def test_data_must_be_named_and_a_model_must_be_there(capsys):
    assert main(["evaluate", "fashion-mnist"]) == 2
    assert "Name the real pictures with --data" in capsys.readouterr().err
    assert main(["evaluate", "no-such-model", "--data", "fashion-mnist"]) == 2
    assert "There is no model" in capsys.readouterr().err
