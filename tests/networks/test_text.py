"""Words to numbers, numbers to features, and features into the U-Net."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusion_studio.errors import OptionError
from diffusion_studio.networks.config import UNetConfig
from diffusion_studio.networks.text import TextEncoder, TextFeatures
from diffusion_studio.networks.tokens import (
    SPECIAL,
    START,
    UNKNOWN,
    TextConfig,
    Tokenizer,
    pieces,
    split,
    table_of,
)
from diffusion_studio.networks.unet import UNet

WORDS = ("red", "blue", "square", "circle", ",")
CONFIG = TextConfig(words=len(WORDS), pieces=50, width=8, layers=2, heads=2, tokens=12)


def tokens(*texts: str) -> torch.Tensor:
    return torch.from_numpy(Tokenizer(WORDS, CONFIG)(texts))


def encoder(config: TextConfig = CONFIG, dtype: torch.dtype = torch.float64) -> TextEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TextEncoder(config).to(dtype).eval()


def unet(random_unet, **changes) -> UNet:
    return random_unet(
        UNetConfig(
            **{
                "in_channels": 1,
                "out_channels": 1,
                "channels": 8,
                "multipliers": (1, 2),
                "blocks": 1,
                "norm_groups": 4,
                "attention_levels": (1,),
                "heads": 2,
                "text": CONFIG,
                **changes,
            }
        )
    )


# --- words


@pytest.mark.parametrize(
    "text, words",
    [
        ("Red SQUARE", ["red", "square"]),
        ("orc, half-plate;metal|gray", ["orc", ",", "half", "plate", ",", "metal", ",", "gray"]),
        ('cat’s (big) "eyes"!', ["cat's", "big", "eyes"]),
        ("ﬁve Été 3d_model", ["five", "été", "3d", "model"]),
        ("🍕 pizza", ["🍕", "pizza"]),
        ("", []),
        (" \n.!?", []),
        ("kobold2", ["kobold2"]),
        ("日本", ["日本"]),
    ],
)
def test_words_of_a_text(text, words):
    assert split(text) == words


def test_the_table_has_the_frequent_words_first():
    assert table_of(["a b b", "B c", "c, a"]) == ("b", "a", "c", ",")
    assert table_of(["a b b", "B c"], most=1) == ("b",)


def test_tokens_are_the_words_places_after_a_start():
    found = Tokenizer(WORDS, CONFIG)(["Red circle", "", "blue puppy"])
    assert found.shape[:2] == (3, 8) and found.dtype == np.int32
    assert found[0, :, 0].tolist() == [START, SPECIAL, SPECIAL + 3, 0, 0, 0, 0, 0]
    assert found[1, :, 0].tolist() == [START] + [0] * 7
    assert found[2, :3, 0].tolist() == [START, SPECIAL + 1, UNKNOWN]
    assert [p for p in found[2, 2, 1:] if p] == pieces("puppy", 50) and not found[2, 3:].any()


def test_pieces_are_the_runs_of_three_and_four_letters():
    assert len(pieces("puppy", 10**9)) == 5 + 4  # <pu pup upp ppy py> and <pup pupp uppy ppy>
    shared = set(pieces("puppy", 10**9)) & set(pieces("puppies", 10**9))
    assert len(shared) == 5  # <pu pup upp <pup pupp
    assert all(1 <= p <= 7 for p in pieces("donaudampfschifffahrtsgesellschaft", 7))
    assert pieces("a", 100) and len(pieces("x" * 1000, 100)) == 24


def test_unknown_words_are_said():
    assert Tokenizer(WORDS, CONFIG).unknown("Red puppy, PUPPY cat square") == ("puppy", "cat")


def test_a_text_that_is_too_long():
    assert Tokenizer(WORDS, CONFIG)(["red " * 12]).shape[1] == 16
    with pytest.raises(
        OptionError,
        match="The text 'red red .*' has 13 words and commas; this model reads at most 12. Make it shorter",
    ):
        Tokenizer(WORDS, CONFIG)(["red " * 13])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"width": 10, "heads": 4}, "width 10 does not divide into 4 heads"),
        ({"tokens": 0}, "network.text.tokens must be"),
        ({"words": -1}, "network.text.words must be"),
    ],
)
def test_configurations_that_cannot_be(changes, message):
    with pytest.raises(OptionError, match=message):
        TextConfig(**changes)


# --- the encoder


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        TextConfig(words=5, pieces=50, width=8, heads=2, tokens=12, vectors=6),
        TextConfig(words=0, pieces=50, width=8, heads=2, tokens=12, layers=0),
    ],
    ids=["learnt", "given", "no words"],
)
def test_features_have_their_shapes_and_do_not_depend_on_neighbours(config):
    made = encoder(config)
    words = WORDS[: config.words]
    texts = ["red circle", "", "blue puppy, square " * 2, "wug"]
    together = made(torch.from_numpy(Tokenizer(words, config)(texts)))
    assert together.sequence.shape == (4, 16, 8) and together.pooled.shape == (4, 8)
    assert together.mask.sum(1).tolist() == [3, 1, 9, 2]
    for k, text in enumerate(texts):  # alone, the padding is shorter
        alone = made(torch.from_numpy(Tokenizer(words, config)([text])))
        length = int(alone.mask.sum())
        assert (alone.sequence[0, :length] - together.sequence[k, :length]).abs().max() < 1e-12
        assert (alone.pooled[0] - together.pooled[k]).abs().max() < 1e-12


def test_order_and_words_matter():
    found = encoder()(
        tokens(
            "red square, blue circle",
            "blue square, red circle",
            "red square, blue circle",
            "red square, blue wug",
        )
    ).pooled
    assert torch.equal(found[0], found[2])
    assert (found[0] - found[1]).abs().max() > 1e-3 and (found[0] - found[3]).abs().max() > 1e-3


def test_an_unknown_word_lies_near_its_kin():
    """Shared pieces, and only they, bring two unknown words together."""
    made = encoder(TextConfig(words=0, pieces=2048, width=64, layers=0))
    vectors = made._vectors(*_parts(Tokenizer((), made.config)(["puppy", "puppies", "hat"])))[:, 1]
    near, far = torch.cosine_similarity(vectors[:1], vectors[1:])
    assert near > 0.3 > abs(far)


def _parts(found: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    given = torch.from_numpy(found).long()
    return given[..., 0], given[..., 1:]


def test_an_unknown_words_vector_is_made_of_its_pieces_by_hand():
    made = encoder()
    with torch.no_grad():
        made.special.weight[UNKNOWN] = 0.5
    found = made._vectors(*_parts(Tokenizer(WORDS, CONFIG)(["puppy red"])))[0]
    own = (
        torch.stack([made.pieces[p] for p in pieces("puppy", 50)]).sum(0) / len(pieces("puppy", 50)) ** 0.5
        + 0.5
    )
    assert (found[1] - own).abs().max() < 1e-12
    assert torch.equal(found[2], made.words[0]) and torch.equal(found[0], made.special.weight[START])


def test_given_vectors_stay_and_others_learn():
    config = TextConfig(words=5, vectors=6, pieces=50, width=8, heads=2, tokens=12)
    made = encoder(config, torch.float32)
    table = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float16)
    made.set_vectors(table)
    made.train()
    made(tokens("red circle blue wug")).pooled.square().sum().backward()
    assert made.words.grad is None and np.array_equal(made.words.detach().numpy(), table.astype(np.float32))
    assert [name for name, p in made.named_parameters() if p.requires_grad and p.grad is None] == []
    with pytest.raises(OptionError, match=r"takes word vectors of shape \(5, 6\), got \(5, 7\)"):
        made.set_vectors(np.zeros((5, 7)))


def test_in_training_some_words_are_spelt():
    """With a share of 0.9 nearly always: the table's vector is then not read."""
    made = encoder(TextConfig(words=5, pieces=50, width=8, heads=2, tokens=12, dropout=0.9))
    torch.manual_seed(0)
    with torch.no_grad():
        evaluated = made(tokens("red")).pooled
        made.train()
        trained = torch.stack([made(tokens("red")).pooled for _ in range(50)])
    same = ((trained - evaluated).abs().amax((1, 2)) < 1e-12).sum()
    assert 0 < same < 20  # binomial(50, 0.1)


def test_features_of_several_texts_are_padded_and_repeated():
    made = encoder()
    short, long = made(tokens("red")), made(tokens("red, " * 5))
    both = TextFeatures.cat([short, long, short])
    assert both.mask.shape == (3, 16) and both.mask.sum(1).tolist() == [2, 11, 2]
    assert short.expand(3).sequence.shape == (3, 8, 8) and both.expand(3) is both


# --- the U-Net


def call(network: UNet, *texts: str, label: torch.Tensor | None = None) -> torch.Tensor:
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(1)).to(network.conv_in.weight.dtype)
    return network(x.expand(len(texts), -1, -1, -1), torch.full((len(texts),), 30), label, tokens(*texts))


@pytest.mark.parametrize("cross", [True, False])
def test_the_text_matters_for_its_own_picture_alone(random_unet, cross):
    config = TextConfig(**{**vars(CONFIG), "cross": cross})
    network = unet(random_unet, text=config).double()
    found = call(network, "red square", "blue square", "red square", "red puppy, square " * 2)
    assert (found[0] - found[2]).abs().max() < 1e-12
    assert (found[0] - found[1]).abs().max() > 1e-4 and (found[0] - found[3]).abs().max() > 1e-4
    assert (call(network, "red square")[0] - found[0]).abs().max() < 1e-12  # whatever the padding
    features = network.text(tokens("red square"))
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    assert torch.equal(network(x, torch.tensor([30]), None, features), call(network, "red square"))
    assert any(".cross." in name for name in network.state_dict()) == cross


def test_words_reach_the_network_by_attention_too(random_unet):
    """With the pooled way shut the text still matters: cross-attention alone."""
    network = unet(random_unet).double()
    with torch.no_grad():
        network.text_emb.weight.zero_()
        network.text_emb.bias.zero_()
    found = call(network, "red square", "blue square")
    assert (found[0] - found[1]).abs().max() > 1e-4


def test_class_and_text_at_once(random_unet):
    network = unet(random_unet, classes=2, null_class=True).double()
    same = call(network, "red", "red", "red", label=torch.tensor([0, 1, 2]))
    assert min((same[0] - same[1]).abs().max(), (same[1] - same[2]).abs().max()) > 1e-4
    texts = call(network, "red", "blue", label=torch.tensor([1, 1]))
    assert (texts[0] - texts[1]).abs().max() > 1e-4


def test_gradient_reaches_every_weight(random_unet):
    network = unet(random_unet).requires_grad_(True)
    call(
        network, "red square, blue circle", "wug puppy red square blue , circle one two three four"
    ).square().mean().backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 1e-9]
    assert [name for name in dead if name != "text.special.weight"] == []


def test_cross_attention_by_hand():
    """Softmax over the words that are there, head by head, in float64."""
    from diffusion_studio.networks.blocks import CrossAttention

    torch.manual_seed(0)
    config = UNetConfig(channels=8, norm_groups=2, heads=2, multipliers=(1,))
    layer = CrossAttention(8, 6, config).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x, words = torch.randn(2, 8, 2, 3).double(), torch.randn(2, 4, 6).double()
    mask = torch.tensor([[True, True, False, True], [True, False, False, False]])
    found = layer(x, words, mask)
    for n in range(2):
        position = layer.norm(x)[n].flatten(1).T  # (6, 8)
        q, (k, v) = layer.q(position), layer.kv(words[n][mask[n]]).chunk(2, dim=-1)
        heads = [
            torch.softmax(q[:, a : a + 4] @ k[:, a : a + 4].T / 2, dim=1) @ v[:, a : a + 4] for a in (0, 4)
        ]
        wanted = x[n].flatten(1).T + layer.out(torch.cat(heads, dim=1))
        assert (found[n].flatten(1).T - wanted).abs().max() < 1e-12


def test_a_network_without_text_is_the_one_that_it_was(random_unet):
    """No name and no random number more than before text existed."""
    network = UNet(UNetConfig(channels=8, multipliers=(1, 2), attention_levels=(1,)))
    assert not [name for name in network.state_dict() if "text" in name or "cross" in name]
    assert UNetConfig.from_json({"channels": 8}).text is None


@pytest.mark.parametrize(
    "text, message", [(None, "This U-Net needs a text"), (CONFIG, "This U-Net takes no text")]
)
def test_text_where_there_is_none_and_none_where_there_is(random_unet, text, message):
    network = unet(random_unet, text=None if text else CONFIG)
    with pytest.raises(OptionError, match=message):
        network(torch.zeros(1, 1, 8, 8), torch.zeros(1), None, tokens("red") if text else None)


def test_configuration_round_trip():
    config = UNetConfig(text=TextConfig(words=3, vectors=7, cross=False))
    assert UNetConfig.from_json(config.to_json()) == config
    with pytest.raises(
        OptionError,
        match="There is no field of the text encoder's configuration 'wrods'. .*Did you mean 'words'",
    ):
        UNetConfig.from_json({"text": {"wrods": 3}})
    with pytest.raises(OptionError, match="text must be a TextConfig or None, got 3"):
        UNetConfig.from_json({"text": 3})
