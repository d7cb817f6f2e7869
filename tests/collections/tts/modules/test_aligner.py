from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seaspeak.collections.tts.losses.aligner import BinLoss, ForwardSumLoss
from seaspeak.collections.tts.modules.aligner import beta_binomial_prior, binarize_attention
from seaspeak.collections.tts.modules.fastpitch import average_features, regulate_len
from seaspeak.core.errors import DataError
from tests.fixture import Fixture


def test_prior_and_best_alignment_are_nemos(shared: Path) -> None:
    fixture = Fixture(shared / "fixtures/tts/aligner_prior_and_binarisation")
    for tokens, frames, scale in ((5, 12, 1.0), (10, 30, 1.0), (7, 7, 0.5)):
        fixture.assert_close(f"prior_{tokens}x{frames}_scale{scale}", beta_binomial_prior(tokens, frames, scale))
    lens = [torch.from_numpy(fixture.io[name]) for name in ("text_lens", "mel_lens")]
    fixture.assert_close("attn_hard", binarize_attention(torch.from_numpy(fixture.io["attn_soft"]), *lens))
    inputs = [torch.from_numpy(fixture.io[f"regulate_len/{name}"]) for name in ("durations", "enc_out")]
    for pace in (1.0, 1.3, 0.6):
        out, frames_out = regulate_len(*inputs, pace)
        fixture.assert_close(f"regulate_len_pace{pace}/out", out)
        fixture.assert_close(f"regulate_len_pace{pace}/lens", frames_out)


@pytest.mark.parametrize(
    ("frames", "tokens", "durations"), [(4, 2, [3, 1]), (5, 3, [3, 1, 1]), (3, 3, [1, 1, 1]), (2, 1, [2])]
)
def test_best_alignment_of_even_attention_moves_late(frames: int, tokens: int, durations: list[int]) -> None:
    even = torch.full((1, 1, frames, tokens), 1 / tokens)
    hard = binarize_attention(even, torch.tensor([tokens]), torch.tensor([frames]))
    assert hard.sum(2)[0, 0].tolist() == durations


def test_fewer_frames_than_tokens_are_refused() -> None:
    with pytest.raises(DataError, match="item 1 of the batch has 2 frames for 3 tokens"):
        binarize_attention(torch.full((2, 1, 3, 3), 1 / 3), torch.tensor([3, 3]), torch.tensor([3, 2]))


@pytest.mark.parametrize(
    ("rows", "loss"),
    [
        (torch.zeros(4, 2), 0.826505),
        (torch.tensor([[2.0, 0], [1, 0], [0, 1], [0, 2]]).log_softmax(1), 0.273374),
        (torch.zeros(3, 1), 0.178155),
    ],
)
def test_forward_sum_is_nemos(rows: torch.Tensor, loss: float) -> None:
    lens = {"in_lens": torch.tensor([rows.shape[1]]), "out_lens": torch.tensor([rows.shape[0]])}
    assert float(ForwardSumLoss()(attn_logprob=rows[None, None], **lens)) == pytest.approx(loss, abs=1e-5)


def test_sharp_attention_has_no_binarisation_loss() -> None:
    soft = torch.tensor([[2.0, 0], [1, 0], [0, 1], [0, 2]]).softmax(1)[None, None]
    hard = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])[None, None]
    assert float(BinLoss()(hard_attention=hard, soft_attention=soft)) == pytest.approx(0.220095, abs=1e-5)
    assert float(BinLoss()(hard_attention=hard, soft_attention=hard)) == 0


def test_unvoiced_frames_do_not_count_in_a_tokens_pitch() -> None:
    pitch, durations = torch.tensor([[[1.0, 0, 3, 0, 0, 2]]]), torch.tensor([[2, 1, 2, 1]])
    assert average_features(pitch, durations).tolist() == [[[1, 3, 0, 2]]]


def test_lengths_are_nemos_of_1_0(shared: Path) -> None:
    fixture = Fixture(shared / "fixtures/tts/v1_losses")
    inputs = [torch.from_numpy(fixture.io[f"length_regulator/{name}"]) for name in ("durations", "x")]
    for name, options in (
        ("pace1.0", {}),
        ("pace0.5", {"pace": 0.5}),
        ("pace1.7", {"pace": 1.7}),
        ("max5", {"mel_max_len": 5}),
    ):
        out, lens = regulate_len(*inputs, half_to_even=True, **options)
        fixture.assert_close(f"length_regulator/fastpitch_{name}_output", out)
        fixture.assert_close(f"length_regulator/fastpitch_{name}_lengths", lens)
