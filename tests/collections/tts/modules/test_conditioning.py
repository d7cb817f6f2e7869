from __future__ import annotations

import pytest
import torch

from seaspeak.collections.tts.modules.conditioning import ConditionalInput, ConditionalLayerNorm
from seaspeak.core.errors import ConfigError

INPUTS, CONDITION = torch.randn(2, 5, 4), torch.randn(2, 1, 3)


@pytest.mark.parametrize("types", [["add"], ["concat"], ["add", "concat"]])
def test_condition_changes_every_step_and_keeps_the_shape(types: list[str]) -> None:
    layer = ConditionalInput(4, 3, types)
    first, second = layer(INPUTS, CONDITION), layer(INPUTS, CONDITION + 1)
    assert first.shape == INPUTS.shape and bool((first != second).any(-1).all())


def test_conditioned_normalisation_begins_as_a_plain_one() -> None:
    conditioned, plain = ConditionalLayerNorm(4, 3, ["layernorm"]), ConditionalLayerNorm(4, 3)
    torch.testing.assert_close(conditioned(INPUTS, CONDITION), plain(INPUTS))
    assert set(conditioned.state_dict()) == {"weight.weight", "weight.bias", "bias.weight", "bias.bias"}


def test_missing_speaker_and_unknown_way_are_refused() -> None:
    with pytest.raises(ConfigError, match="conditioned on a speaker, and none is given"):
        ConditionalInput(4, 3, ["add"])(INPUTS)
    with pytest.raises(ConfigError, match="condition_types has 'multiply'"):
        ConditionalInput(4, 3, ["multiply"])
