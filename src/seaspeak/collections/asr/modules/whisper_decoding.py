"""Greedy decoding of an encoder-decoder, and the times of its tokens.

Shape letters in this file:
    B  batch size    A  rows still being written    T  tokens    S  encoder frames    V  pieces
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seaspeak.collections.asr.modules.whisper import DecoderState, WhisperDecoder
from seaspeak.collections.asr.modules.whisper_layers import Memory

# A phrase written so many times in a row is a loop, not speech; a short one may come more often ("no, no, no").
_LOOP_REPEATS, _LOOP_PIECES, _LOOP_LONGEST = 4, 8, 24


@dataclasses.dataclass(slots=True)
class Written:
    """What was written for one clip.

    Attributes:
        ids: pieces without marks.
        log_probs: natural logarithm of the probability of each piece, and last of the end mark (if it was reached).
        looped: whether a repetition was cut off.
    """

    ids: list[int] = dataclasses.field(default_factory=list)
    log_probs: list[float] = dataclasses.field(default_factory=list)
    looped: bool = False


def greedy(
    decoder: WhisperDecoder,
    encoded: Tensor,
    encoded_lengths: Tensor,
    *,
    prompt: Sequence[int],
    end: int,
    forbidden: Sequence[int] = (),
    pieces_per_frame: float = 0.3,
) -> tuple[list[Written], list[Memory]]:
    """Write the likeliest piece, again and again, until the end mark; also return what the decoder attended to.

    A row that has ended leaves the batch when half of the rows have. A row ends as well when it repeats itself, or
    has more pieces than anyone can say.

    Args:
        decoder: in evaluation mode.
        encoded: (B, D, S), from the encoder.
        encoded_lengths: (B,), frames.
        prompt: the marks that a text begins with.
        end: the mark that it ends with.
        forbidden: marks that are never written.
        pieces_per_frame: most pieces per encoder frame; fast speech has 0.15.
    """
    most = decoder.max_tokens - len(prompt)
    limits = [min(most, 1 + int(8 + frames * pieces_per_frame)) for frames in encoded_lengths.tolist()]
    room = len(prompt) + max(limits)
    state = decoder.begin(encoded, encoded_lengths, room)
    memories = state.memories
    written = [Written() for _ in limits]
    rows = list(range(len(limits)))  # which clip each row of the state belongs to
    open_rows = set(rows)
    tokens = torch.tensor([list(prompt)], device=encoded.device).expand(len(rows), -1)
    while open_rows and state.length + tokens.shape[1] <= room:
        scores_AV = decoder.step(tokens, state).float()
        if forbidden:
            scores_AV[:, list(forbidden)] = float("-inf")
        best_A = scores_AV.argmax(dim=-1)
        sure_A = (scores_AV.gather(-1, best_A[:, None])[:, 0] - scores_AV.logsumexp(dim=-1)).tolist()
        for clip, token, log_prob in zip(rows, best_A.tolist(), sure_A, strict=True):
            if clip in open_rows and not _write(written[clip], token, log_prob, end=end, limit=limits[clip]):
                open_rows.discard(clip)
        tokens = best_A[:, None]
        if 0 < len(open_rows) <= len(rows) // 2:
            rows, state, tokens = _only(open_rows, rows, state, tokens)
    return written, memories


def _write(text: Written, token: int, log_prob: float, *, end: int, limit: int) -> bool:
    """Add a token; return whether the text goes on."""
    text.log_probs.append(log_prob)
    if token == end:
        return False
    text.ids.append(token)
    phrase = looping(text.ids)
    if phrase:
        kept = len(text.ids) - phrase * (repeats(phrase) - 1)
        del text.ids[kept:], text.log_probs[kept:]
        text.looped = True
        return False
    return len(text.ids) < limit


def repeats(phrase: int) -> int:
    """Return how often a phrase of so many pieces has to stand in a row to be called a loop."""
    return max(_LOOP_REPEATS, _LOOP_PIECES // phrase)


def looping(ids: Sequence[int]) -> int:
    """Return how many pieces long the phrase is that the end of ``ids`` repeats; 0 where it is no loop.

    >>> looping([7, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]), looping([5, 5, 5, 5, 5])
    (3, 0)
    """
    for phrase in range(1, _LOOP_LONGEST + 1):
        span = phrase * repeats(phrase)
        if span <= len(ids) and ids[-1] == ids[-1 - phrase]:
            tail = list(ids[-span:])
            if tail == tail[:phrase] * repeats(phrase):
                return phrase
    return 0


def _only(
    wanted: set[int], rows: list[int], state: DecoderState, tokens: Tensor
) -> tuple[list[int], DecoderState, Tensor]:
    """Return the wanted rows of everything."""
    places = [place for place, clip in enumerate(rows) if clip in wanted]
    index = torch.tensor(places, device=tokens.device)
    return [rows[place] for place in places], state.rows(index), tokens[index]


def token_times(attention: NDArray[np.float32], *, width: int = 7) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the frames (T,) at which each token begins and ends, half open.

    Each head's attention is normalised over the tokens (what all tokens attend to says nothing), smoothed by a median
    over frames, averaged, and followed by the best monotonic path in which every token has at least one frame. Within
    its stretch a token begins where it gets the most attention, which runs ahead of the sound.

    Args:
        attention: (heads, T + 1, S), the attention while each token was written, and the end mark.
        width: frames of the median, odd.

    Source: the path follows the published code's word-level timestamps by dynamic time warping (arXiv:2212.04356);
    where a token begins is ours, and nearer to a forced alignment.
    """
    spread = attention.std(axis=1, keepdims=True)
    sharp = (attention - attention.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-8)
    edges = monotonic_path(_median(sharp, width).mean(axis=0))
    begins, ends = edges[:-1].copy(), edges[1:]
    for token, weights in enumerate(attention.mean(axis=0)[:-1]):
        stretch = weights[edges[token] : edges[token + 1]]
        if len(stretch):
            begins[token] += int(stretch.argmax())
    return begins, ends


def spoken_part(start: int, end: int, loud: NDArray[np.bool_], *, least: int = 2) -> tuple[int, int]:
    """Return ``start`` and ``end`` (frames, half open) of a word without the quiet frames at both sides.

    Args:
        start: where the word begins.
        end: where it ends.
        loud: (S,), true where there is sound.
        least: frames that are left in any case, if there are so many.
    """
    while end - start > least and not loud[start]:
        start += 1
    while end - start > least and not loud[end - 1]:
        end -= 1
    return start, end


def _median(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return the running median over the last axis, edges mirrored."""
    half = min(width // 2, values.shape[-1] - 1)
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(half, half)], mode="reflect")
    median: NDArray[np.float32] = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, -1), axis=-1)
    return median


def monotonic_path(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the first frame (N,) of each row on the path through ``scores`` (N, S) with the highest sum.

    The path begins in the first row and ends in the last, and goes from frame to frame to the same row or the next.
    With more rows than frames there is no such path, and the frames are dealt out evenly.
    """
    rows, frames = scores.shape
    if rows > frames:
        evenly: NDArray[np.int64] = np.arange(rows) * frames // rows
        return evenly
    total = np.full(rows, -np.inf)
    total[0] = scores[0, 0]
    stepped = np.zeros((frames, rows), dtype=bool)
    for frame in range(1, frames):
        before = np.concatenate(([-np.inf], total[:-1]))
        stepped[frame] = before > total
        total = np.maximum(before, total) + scores[:, frame]
    starts = np.zeros(rows, dtype=np.int64)
    row = rows - 1
    for frame in range(frames - 1, 0, -1):
        if stepped[frame, row]:
            starts[row] = frame
            row -= 1
    return starts
