"""The form in which encoders are computed without gradients: the layers' own numbers, whatever happens to them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seaspeak.collections.nlp.modules import packed
from seaspeak.collections.nlp.modules.encoder import Encoder
from seaspeak.collections.nlp.modules.huggingface import build_encoder
from tests.collections.nlp.modules.test_encoders import BERT, DISTILBERT

BOTH = pytest.mark.parametrize("config", [BERT, DISTILBERT], ids=["bert", "distilbert"])
FAMILIES = {config["model_type"]: build_encoder(config).eval() for config in (BERT, DISTILBERT)}


def ragged(lengths: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return ids, mask and token types of sequences of these lengths."""
    draw = torch.Generator().manual_seed(4)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return (
        torch.randint(5, 50, mask.shape, generator=draw),
        mask.long(),
        torch.randint(0, 2, mask.shape, generator=draw),
    )


def fast(encoder: Encoder, *inputs: Tensor) -> Tensor:
    with torch.inference_mode():
        encoded: Tensor = encoder(*inputs).last_hidden_states
    return encoded


def plain(encoder: Encoder, *inputs: Tensor) -> Tensor:
    """With gradients the layers compute for themselves."""
    with torch.enable_grad():
        encoded: Tensor = encoder(*inputs).last_hidden_states.detach()
    return encoded


@settings(deadline=None, max_examples=30)
@given(
    family=st.sampled_from(sorted(FAMILIES)),
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=120),
    typed=st.booleans(),
)
def test_every_token_that_counts_gets_the_layers_own_vector(family: str, lengths: list[int], typed: bool) -> None:
    inputs = ragged(lengths)[: 3 if typed else 2]
    real = inputs[1].bool()
    found, expected = fast(FAMILIES[family], *inputs), plain(FAMILIES[family], *inputs)
    torch.testing.assert_close(found[real], expected[real], rtol=1e-5, atol=1e-5)
    if real.numel() <= packed._SMALL:
        torch.testing.assert_close(found[~real], expected[~real], rtol=1e-5, atol=1e-5)
    else:
        assert not found[~real].any()


@BOTH
def test_tokens_may_be_masked_anywhere(config: dict[str, Any]) -> None:
    encoder = FAMILIES[config["model_type"]]
    ids, _, _ = ragged([20] * 40)
    mask = torch.rand(ids.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    mask[:, 3] = True
    for given_mask in (mask, mask.long(), mask.float()):
        torch.testing.assert_close(fast(encoder, ids, given_mask)[mask], plain(encoder, ids, given_mask)[mask])


def _scale(encoder: Encoder) -> None:
    with torch.no_grad():
        next(iter(encoder.layers)).parts.inner.weight.mul_(2)


def _load(encoder: Encoder) -> None:
    torch.manual_seed(9)
    encoder.load_state_dict(build_encoder(encoder.config).state_dict())  # type: ignore[arg-type]


def _replace(encoder: Encoder) -> None:
    torch.manual_seed(9)
    encoder.embeddings.LayerNorm = nn.LayerNorm(24, eps=1.0)


def _subclass(encoder: Encoder) -> None:
    class Doubled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    for name, part in [*encoder.named_modules()]:
        if name.endswith(("output.dense", "out_lin")):
            doubled = Doubled(part.in_features, part.out_features)  # type: ignore[arg-type]
            encoder.set_submodule(name, doubled)


@BOTH
@pytest.mark.parametrize("change", [_scale, _load, _replace, _subclass])
def test_changed_weights_and_parts_count_at_once(config: dict[str, Any], change: Any) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(config).eval()
    inputs = ragged([20, 3])
    before = fast(encoder, *inputs)
    change(encoder)
    after = fast(encoder, *inputs)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, plain(encoder, *inputs), rtol=1e-5, atol=1e-5)


def test_who_listens_to_a_layer_hears_it() -> None:
    encoder = copy.deepcopy(FAMILIES["bert"])
    inputs = ragged([5])
    fast(encoder, *inputs)
    heard: list[Any] = []
    hook = encoder.encoder.layer[1].register_forward_hook(lambda *call: heard.append(call))
    fast(encoder, *inputs)
    assert len(heard) == 1
    hook.remove()
    assert packed.plan_for(encoder) is None, "with gradients"
    with torch.inference_mode():
        assert packed.plan_for(encoder) is not None
        assert packed.plan_for(encoder.train()) is None, "in training"
    assert encoder not in packed._plans
