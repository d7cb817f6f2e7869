"""Whisper's networks: masks, caches, and the decoding around them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from seaspeak.collections.asr.modules.whisper import WhisperDecoder, WhisperEncoder
from seaspeak.collections.asr.modules.whisper_decoding import (
    greedy,
    looping,
    monotonic_path,
    repeats,
    spoken_part,
    token_times,
)
from seaspeak.collections.asr.modules.whisper_layers import DecoderLayer, SelfAttention
from seaspeak.core.errors import ModelError

PIECES, WIDTH, HEADS = 40, 24, 3
Networks = tuple[WhisperEncoder, WhisperDecoder]


@pytest.fixture
def networks() -> Networks:
    torch.manual_seed(3)
    encoder = WhisperEncoder(feat_in=20, d_model=WIDTH, num_heads=HEADS, num_layers=2, max_frames=100)
    decoder = WhisperDecoder(num_tokens=PIECES, d_model=WIDTH, num_heads=HEADS, num_layers=2, max_tokens=32)
    torch.nn.init.normal_(decoder.positions, std=0.5)
    return encoder.eval(), decoder.eval()


def attend(query: Tensor, keys: Tensor, values: Tensor, causal: bool) -> Tensor:
    """Attention written out, for one clip: (T, D) and (S, D)."""
    out = []
    for q, k, v in zip(*(part.chunk(HEADS, -1) for part in (query, keys, values)), strict=True):
        scores = q @ k.T / q.shape[-1] ** 0.5
        if causal:
            scores = scores + torch.full(scores.shape, float("-inf")).triu(1)
        out.append(scores.softmax(-1) @ v)
    return torch.cat(out, -1)


def itself(layer: SelfAttention, x: Tensor, causal: bool) -> Tensor:
    return layer.out(attend(*layer.qkv(x).chunk(3, -1), causal=causal))


def plain_encoder(encoder: WhisperEncoder, mel: Tensor) -> Tensor:
    """The published network for one clip (M, F), without masks and batches."""
    x = functional.gelu(encoder.conv1(mel))
    x = functional.gelu(encoder.conv2(x)).T
    x = x + encoder.positions(len(x))
    for layer in encoder.layers:
        x = x + itself(layer.attention, layer.attention_norm(x), causal=False)
        x = x + layer.feed_forward(layer.feed_forward_norm(x))
    return encoder.norm(x)


def plain_decoder(decoder: WhisperDecoder, tokens: Tensor, encoded: Tensor) -> Tensor:
    """The published network for one text (T,) and clip (S, D), everything computed anew."""
    x = decoder.embedding.weight[tokens] + decoder.positions[: len(tokens)]
    for layer in decoder.layers:
        assert isinstance(layer, DecoderLayer)
        x = x + itself(layer.attention, layer.attention_norm(x), causal=True)
        keys, values = layer.cross.key_value(encoded).chunk(2, -1)
        query = layer.cross.query(layer.cross_norm(x))
        x = x + layer.cross.out(attend(query, keys, values, causal=False))
        x = x + layer.feed_forward(layer.feed_forward_norm(x))
    return decoder.norm(x) @ decoder.embedding.weight.T


@pytest.mark.parametrize("frames", [1, 2, 17, 60])
def test_encoder_is_the_published_one_whatever_its_neighbours(networks: Networks, frames: int) -> None:
    encoder, _ = networks
    clip, other = torch.randn(20, frames), torch.randn(20, 60)
    padded = functional.pad(clip, (0, 60 - frames), value=9.0)  # padding is garbage on purpose

    outputs, lengths = encoder(audio_signal=torch.stack([padded, other]), length=torch.tensor([frames, 60]))

    expected = plain_encoder(encoder, clip)
    assert lengths[0] == len(expected)
    torch.testing.assert_close(outputs[0, :, : lengths[0]].T, expected, rtol=1e-4, atol=1e-4)


def test_decoder_with_a_cache_is_the_published_one_without(networks: Networks) -> None:
    _, decoder = networks
    tokens, encoded, lengths = torch.randint(PIECES, (2, 12)), torch.randn(2, WIDTH, 30), torch.tensor([30, 21])
    expected = torch.stack(
        [plain_decoder(decoder, text, clip[:, :n].T) for text, clip, n in zip(tokens, encoded, lengths, strict=True)]
    )

    at_once = decoder(tokens=tokens, encoded=encoded, encoded_lengths=lengths)
    state = decoder.begin(encoded, lengths, room=12)
    steps = [decoder.step(tokens[:, :3], state)]
    steps += [decoder.step(tokens[:, place : place + 1], state) for place in range(3, 12)]

    torch.testing.assert_close(at_once, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.stack(steps, 1), expected[:, 2:], rtol=1e-4, atol=1e-4)


def test_rows_that_leave_the_batch_change_nothing(networks: Networks) -> None:
    _, decoder = networks
    encoded, lengths = torch.randn(3, WIDTH, 30), torch.tensor([30, 21, 8])
    tokens = torch.randint(PIECES, (3, 6))
    state = decoder.begin(encoded, lengths, room=6)
    decoder.step(tokens[:, :4], state)
    some = state.rows(torch.tensor([2, 0]))

    fewer = decoder.step(tokens[[2, 0], 4:5], some)

    torch.testing.assert_close(fewer, decoder.step(tokens[:, 4:5], state)[[2, 0]])


def test_greedy_writes_what_deciding_token_by_token_without_a_cache_writes(networks: Networks) -> None:
    _, decoder = networks
    encoded, lengths = 3 * torch.randn(5, WIDTH, 40), torch.tensor([40, 33, 25, 12, 1])

    written, _ = greedy(decoder, encoded, lengths, prompt=[1, 2], end=0, forbidden=[1, 2])

    for text, clip, frames in zip(written, encoded, lengths, strict=True):
        limit, ids = 1 + int(8 + int(frames) * 0.3), [1, 2]
        while len(ids) - 2 < limit and not looping(ids[2:]):
            scores = plain_decoder(decoder, torch.tensor(ids), clip[:, :frames].T)[-1].log_softmax(-1)
            scores[[1, 2]] = float("-inf")
            if scores.argmax() == 0:
                break
            ids.append(int(scores.argmax()))
        looped = looping(ids[2:])
        expected = ids[2 : len(ids) - looped * (repeats(looped) - 1)] if looped else ids[2:]
        assert (text.ids, text.looped) == (expected, bool(looped))
        assert all(log_prob <= 0 for log_prob in text.log_probs)


def test_a_text_has_room_for_its_marks(networks: Networks) -> None:
    _, decoder = networks
    encoded, lengths = 3 * torch.randn(1, WIDTH, 100), torch.tensor([100])
    written, memories = greedy(decoder, encoded, lengths, prompt=[1, 2], end=0, forbidden=[*range(3)])
    assert len(written[0].ids) <= decoder.max_tokens - 2
    decoder.attention(torch.tensor([[1, 2, *written[0].ids]]), memories, [(0, 0)])


def test_attention_is_that_of_the_chosen_heads(networks: Networks) -> None:
    _, decoder = networks
    tokens, encoded, lengths = torch.randint(PIECES, (2, 5)), torch.randn(2, WIDTH, 30), torch.tensor([30, 21])
    memories = decoder.memories(encoded, lengths)

    weights = decoder.attention(tokens, memories, [(0, 2), (1, 0), (1, 1)])

    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 5))
    assert not weights[1, :, :, 21:].any()
    layer = decoder.layers[0]
    x = decoder.embedding.weight[tokens[0]] + decoder.positions[:5]
    x = x + itself(layer.attention, layer.attention_norm(x), causal=True)
    query = layer.cross.query(layer.cross_norm(x)).chunk(HEADS, -1)[2]
    keys = layer.cross.key_value(encoded[0].T).chunk(2, -1)[0].chunk(HEADS, -1)[2]
    expected = (query @ keys.T / query.shape[-1] ** 0.5).softmax(-1)
    torch.testing.assert_close(weights[0, 0], expected, rtol=1e-4, atol=1e-5)


def test_too_long_a_clip_and_too_long_a_text_are_named(networks: Networks) -> None:
    encoder, decoder = networks
    with pytest.raises(ModelError, match="longer than the encoder's limit"):
        encoder(audio_signal=torch.zeros(1, 20, 201), length=torch.tensor([201]))
    with pytest.raises(ModelError, match="too many pieces"):
        encoded, length = torch.zeros(1, WIDTH, 4), torch.tensor([4])
        decoder(tokens=torch.zeros(1, 33, dtype=torch.long), encoded=encoded, encoded_lengths=length)


@given(st.lists(st.integers(0, 2), max_size=40), st.integers(1, 6))
def test_a_loop_is_found_where_a_phrase_stands_often_enough_in_a_row(start: list[int], phrase: int) -> None:
    unit = list(range(10, 10 + phrase))
    assert looping(start + unit * repeats(phrase)) == phrase
    assert looping(start + unit * (repeats(phrase) - 1)) == 0


def test_natural_repetition_is_no_loop() -> None:
    assert looping([5] * 5) == 0
    assert looping([1, 2, 3] * 3) == 0


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(4, 7), st.integers(0, 2**31))
def test_the_path_is_the_best_of_all(rows: int, frames: int, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(rows, frames)).astype(np.float32)

    def total(starts: tuple[int, ...]) -> float:
        ends = (*starts[1:], frames)
        return float(sum(scores[row, a:b].sum() for row, (a, b) in enumerate(zip(starts, ends, strict=True))))

    paths = [(0, *cuts) for cuts in itertools.combinations(range(1, frames), rows - 1)]
    found = tuple(monotonic_path(scores).tolist())
    assert found in paths
    assert total(found) == pytest.approx(max(map(total, paths)), abs=1e-4)


def test_more_tokens_than_frames_are_dealt_out() -> None:
    assert monotonic_path(np.zeros((4, 2), np.float32)).tolist() == [0, 0, 1, 1]


def test_times_follow_attention_that_moves_along() -> None:
    edges, frames = [0, 22, 31, 50, 58], 60
    attention = np.random.default_rng(0).uniform(0, 0.1, (2, 5, frames)).astype(np.float32)
    for token, (start, end) in enumerate(itertools.pairwise([*edges, frames])):
        attention[:, token, start:end] += 0.5
    peaks = [10, 24, 40, 52]
    for token, peak in enumerate(peaks):
        attention[:, token, peak] += 0.5

    begins, ends = token_times(attention / attention.sum(-1, keepdims=True))

    assert np.abs(ends - edges[1:]).max() <= 2
    assert begins.tolist() == peaks


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.data())
def test_a_word_keeps_its_sound_and_loses_the_quiet_around_it(loud: list[bool], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(loud) - 1))
    end = data.draw(st.integers(start + 1, len(loud)))

    first, last = spoken_part(start, end, np.array(loud))

    assert start <= first < last <= end
    lost = [*range(start, first), *range(last, end)]
    assert not any(loud[frame] for frame in lost)
    assert last - first <= 2 or (loud[first] and loud[last - 1])
