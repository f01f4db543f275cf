"""The text that a picture gets in each batch, and tables of word vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusion_studio.errors import DataError
from diffusion_studio.training.captions import Captions, read_vectors
from diffusion_studio.training.config import TrainConfig

CAPTIONS = [("red", "crimson"), ("blue",), ("green", "lime", "olive")]


def drawn(captions: Captions, count: int, start: int = 0) -> tuple[list[str], list[bool]]:
    """The texts of `count` draws for picture k % 3, read back from the tokens (one word each)."""
    places = np.arange(start, start + count)
    tokens, both = captions(places % 3, start)
    words = ["" if number == 0 else captions.words[number - 3] for number in tokens[:, 1, 0].tolist()]
    return words, both.tolist()


def test_each_picture_gets_any_of_its_captions_or_none():
    """Shares within five standard deviations of their binomials; label and text are dropped together in a
    share of their own.
    """
    made = Captions(
        TrainConfig(text_dropout=0.2, joint_dropout=0.1, label_dropout=0.1), CAPTIONS, labelled=True
    )
    words, both = drawn(made, 6000)
    for k, texts in enumerate(CAPTIONS):
        own = words[k::3]
        assert set(own) == {*texts, ""}
        share = (1 - 0.1) * (1 - 0.2)
        for text in texts:
            p = share / len(texts)
            assert abs(own.count(text) - 2000 * p) < 5 * (2000 * p * (1 - p)) ** 0.5
    assert abs(sum(both) - 600) < 5 * (6000 * 0.09) ** 0.5
    assert all(word == "" for word, one in zip(words, both) if one)


@pytest.mark.parametrize(
    "changes, labelled",
    [
        ({}, False),
        ({"label_dropout": 0.0}, True),
        ({"text_dropout": 0.0}, True),
        ({"joint_dropout": 0.0}, True),
    ],
)
def test_nothing_is_dropped_together_where_one_of_them_has_no_any(changes, labelled):
    made = Captions(TrainConfig(**changes), CAPTIONS, labelled)
    words, both = drawn(made, 1000)
    assert not any(both) and made.config.null == (changes.get("text_dropout") != 0)
    assert ("" in words) == made.config.null


def test_a_draw_is_a_function_of_the_seed_and_the_place():
    made = Captions(TrainConfig(), CAPTIONS)
    whole = drawn(made, 60)[0]
    assert whole == [word for start in (0, 12, 24, 36, 48) for word in drawn(made, 12, start)[0]]
    assert whole != drawn(Captions(TrainConfig(seed=1), CAPTIONS), 60)[0]


def test_batches_of_a_compiled_network_have_one_length():
    texts = [("a red one",), ("a " * 30,)]
    made = Captions(TrainConfig(text_dropout=0.0, label_dropout=0.0), texts)
    short = np.zeros(4, int)
    free = made(short, 0)[0]
    made.one_length = True
    padded = made(short, 0)[0]
    assert free.shape[1] == 8 and padded.shape[1] == made(short + 1, 0)[0].shape[1] == 32
    assert torch.equal(padded[:, :8], free) and not padded[:, 8:].any()


def test_the_tokens_are_the_tokenizers(table, tmp_path):
    """Also of words that a given table lacks."""
    path = table(tmp_path / "words.npz", ["red", "lime"], np.eye(2, 4))
    made = Captions(
        TrainConfig(text_dropout=0.3, text_vectors=path), [("a red one, red",), ("lime juice",), ("wug",)]
    )
    tokens, _ = made(np.arange(30) % 3, 0)
    texts = [made.captions[k % 3][0] if tokens[k, 1, 0] else "" for k in range(30)]
    assert "" in texts and len(set(texts)) == 4
    np.testing.assert_array_equal(tokens.numpy(), made.tokenizer(texts))


def test_draws_are_uniform_and_independent():
    """Mean, correlation between the three and with the next place; and each place's numbers are its own."""
    from diffusion_studio.training.captions import _uniform

    u = _uniform(3, 5, 20_000)
    assert u.shape == (3, 20_000) and (u >= 0).all() and (u < 1).all()
    assert np.abs(u.mean(1) - 0.5).max() < 5 * (1 / 12 / 20_000) ** 0.5
    assert np.abs(np.corrcoef(u) - np.eye(3)).max() < 5 / 20_000**0.5
    assert abs(np.corrcoef(u[0, 1:], u[0, :-1])[0, 1]) < 5 / 20_000**0.5
    np.testing.assert_array_equal(_uniform(3, 7, 10), u[:, 2:12])


# --- tables of words


@pytest.mark.parametrize(
    "words, vectors, message",
    [
        (["red", "blue"], np.zeros((3, 4)), r"has words <U4 \(2,\) and vectors float64 \(3, 4\); wanted"),
        (["red"], np.zeros((1, 4), int), "has words"),
        (["red"], np.full((1, 4), np.nan), "rows of finite numbers"),
        (["Red"], np.zeros((1, 4)), "has 'Red', which is no single lower-case word"),
        (["a b"], np.zeros((1, 4)), "has 'a b', which is no single"),
        (["red", "red"], np.zeros((2, 4)), "has a word twice"),
        ([1, 2], np.zeros((2, 4)), "has words int64"),
    ],
)
def test_tables_that_cannot_be(table, tmp_path, words, vectors, message):
    with pytest.raises(DataError, match=message):
        read_vectors(table(tmp_path / "words.npz", words, vectors))


def test_a_file_that_is_no_table(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"text")
    for name in ("x.npz", "none.npz"):
        with pytest.raises(DataError, match=f"{name} cannot be read as a table of word vectors"):
            read_vectors(tmp_path / name)
