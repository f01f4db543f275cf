"""The script that makes a table of word vectors, on a tiny language model with random weights."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from diffusion_studio.training.captions import read_vectors

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "word_vectors.py"
VOCABULARY = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "red",
    "cat",
    "dog",
    "##gy",
    "do",
    "##g",
    "##ggy",
    "puppy",
    "ox",
    "1st",
    "été",
)
WIDTH, HEADS, INNER = 8, 2, 12


@pytest.fixture
def script():
    return runpy.run_path(str(SCRIPT))


@pytest.fixture
def bert(tmp_path) -> Path:
    """A folder as it is published."""

    def layer(name: str, out: int, into: int) -> dict[str, torch.Tensor]:
        return {f"{name}.weight": torch.randn(out, into), f"{name}.bias": torch.randn(out)}

    def norm(name: str) -> dict[str, torch.Tensor]:
        return {f"{name}.weight": 1 + 0.1 * torch.randn(WIDTH), f"{name}.bias": torch.randn(WIDTH)}

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = {
            f"embeddings.{kind}_embeddings.weight": torch.randn(count, WIDTH)
            for kind, count in (("word", len(VOCABULARY)), ("position", 16), ("token_type", 2))
        }
        weights |= norm("embeddings.LayerNorm")
        for k in range(2):
            at = f"encoder.layer.{k}."
            for name in (
                "attention.self.query",
                "attention.self.key",
                "attention.self.value",
                "attention.output.dense",
            ):
                weights |= layer(at + name, WIDTH, WIDTH)
            weights |= norm(at + "attention.output.LayerNorm") | norm(at + "output.LayerNorm")
            weights |= layer(at + "intermediate.dense", INNER, WIDTH) | layer(
                at + "output.dense", WIDTH, INNER
            )
    folder = tmp_path / "bert"
    folder.mkdir()
    save_file(weights, folder / "model.safetensors")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY), "utf-8")
    (folder / "config.json").write_text(
        json.dumps(
            {
                "hidden_size": WIDTH,
                "num_attention_heads": HEADS,
                "num_hidden_layers": 2,
                "layer_norm_eps": 1e-12,
            }
        )
    )
    return folder


def by_torch(encoder, word: str) -> torch.Tensor:
    """The same network from PyTorch's own layers."""
    w = encoder.weights
    tokens = torch.tensor([[2, *encoder.pieces(word), 3]])
    x = w["embeddings.word_embeddings.weight"][tokens] + w["embeddings.token_type_embeddings.weight"][0]
    x = x + w["embeddings.position_embeddings.weight"][: tokens.shape[1]]
    x = F.layer_norm(x, (WIDTH,), w["embeddings.LayerNorm.weight"], w["embeddings.LayerNorm.bias"], 1e-12)
    for k in range(2):
        one = nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, 0.0, F.gelu, 1e-12, batch_first=True)
        own = {name.removeprefix(f"encoder.layer.{k}."): tensor for name, tensor in w.items()}
        named = {
            "self_attn.out_proj": "attention.output.dense",
            "linear1": "intermediate.dense",
            "linear2": "output.dense",
            "norm1": "attention.output.LayerNorm",
            "norm2": "output.LayerNorm",
        }
        state = {
            f"{here}.{kind}": own[f"{there}.{kind}"]
            for here, there in named.items()
            for kind in ("weight", "bias")
        }
        state |= {
            f"self_attn.in_proj_{kind}": torch.cat(
                [own[f"attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            )
            for kind in ("weight", "bias")
        }
        one.load_state_dict(state)
        x = one.train()(x)  # in evaluation it takes a faster way that rounds otherwise
    return F.normalize(x.mean(1), dim=-1)[0].detach()


def test_words_are_split_by_their_longest_beginnings(script, bert):
    encoder = script["Encoder"](bert)
    named = [
        [VOCABULARY[k] for k in encoder.pieces(word)]
        for word in ("dog", "doggy", "dogg", "doggygy", "cow", "")
    ]
    assert named == [["dog"], ["dog", "##gy"], ["dog", "##g"], ["dog", "##gy", "##gy"], ["[UNK]"], []]


def test_the_encoder_is_bert(script, bert):
    """Each word as it is alone, whatever else is asked for."""
    encoder = script["Encoder"](bert)
    words = ["cat", "doggy", "red", "puppy", "doggygy", "cow"]
    found = encoder(words)
    for k, word in enumerate(words):
        assert (found[k] - by_torch(encoder, word)).abs().max() < 1e-5
    assert torch.allclose(encoder(["doggygy"])[0], found[4], atol=1e-6)


def test_a_table_for_training(bert, tmp_path, monkeypatch, capsys):
    out = tmp_path / "words.npz"
    np.savez(
        tmp_path / "set.npz",
        images=np.zeros((2, 8, 8, 3), np.uint8),
        caption=np.array(["Red cat, small", "a cat's ox"]),
    )
    monkeypatch.setattr(
        sys,
        "argv",
        [
            str(SCRIPT),
            str(tmp_path / "set.npz"),
            str(out),
            "--width",
            "3",
            "--more",
            "3",
            "--model",
            str(bert),
        ],
    )
    runpy.run_path(str(SCRIPT), run_name="__main__")
    words, vectors = read_vectors(out)
    assert {"red", "cat", "small", "ox", "dog"} <= {*words} and not {"puppy", "do", "1st"} & {*words}
    assert vectors.shape == (len(words), 3) and abs(vectors.std(ddof=1) - 1) < 1e-3
    assert f"{len(words)} words; 3 numbers hold" in capsys.readouterr().out
