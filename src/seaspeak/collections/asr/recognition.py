"""From samples to transcripts with a network that scores frames (CTC), for recordings of any length.

Knows the network only as a ``Scorer``: a model in torch today, a graph in another engine tomorrow. Imports no torch.

Shape letters in this file:
    S  samples    D  features    T  feature frames    F  output frames    V  symbols, with the blank
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seaspeak.audio.windows import Window, overlapping
from seaspeak.text.ctc import CTCDecoder, Frames
from seaspeak.text.transcript import Transcript

Samples = NDArray[np.float32]
Features = NDArray[np.float32]

WINDOW_SECONDS = 480.0
"""Of a long recording computed at once. QuartzNet15x5 sees 40 s to each side: a sixth of the work is done twice."""

WHOLE_SECONDS = 300.0
"""Recordings up to this length are computed in one go, several at a time."""


class Scorer(Protocol):
    """A network that turns samples into log-probabilities of symbols.

    Attributes:
        sample_rate: of the samples, in Hz.
        hop_length: samples from one feature frame to the next.
        margin: feature frames next to a cut in the samples that the cut may have changed.
        subsampling: feature frames per output frame.
        context: feature frames to the left and right that can change an output frame.
        normalisation: ``per_feature``, ``all_features``, or empty where features need no statistics of a recording.
    """

    sample_rate: int
    hop_length: int
    margin: int
    subsampling: int
    context: tuple[int, int]
    normalisation: str

    def features(self, samples: Samples) -> Features:
        """Return (D, T) features before the normalisation that needs statistics."""
        ...

    def num_frames(self, num_samples: int) -> int:
        """Return how many feature frames count for that many samples."""
        ...

    def log_probs(self, features: Sequence[Features]) -> list[NDArray[np.float32]]:
        """Return (F, V) natural log-probabilities for each of several normalised (D, T)."""
        ...


@dataclasses.dataclass
class Moments:
    """Count, mean and sum of squared differences from it, of values that come block by block."""

    count: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, features: Features, kind: str) -> Moments:
        """Of (D, T) features: (D, 1) for ``per_feature``, (1, 1) for ``all_features``."""
        axes = 1 if kind == "per_feature" else (0, 1)
        count = features.shape[1] if kind == "per_feature" else features.size
        mean = features.mean(axes, keepdims=True, dtype=np.float64)
        return cls(count, mean, np.square(features - mean).sum(axes, keepdims=True))

    def plus(self, other: Moments) -> Moments:
        """Of the values of both."""
        count = self.count + other.count
        apart = other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * (other.count / count),
            self.squares + other.squares + np.square(apart) * (self.count * other.count / count),
        )

    def normalise(self, features: Features) -> Features:
        """Subtract the mean, divide by the standard deviation (n - 1) plus 1e-5, as the front end does."""
        deviation = np.sqrt(self.squares / max(self.count - 1, 1))
        scale = 1.0 / (deviation + 1e-5)
        return (features - self.mean.astype(np.float32)) * scale.astype(np.float32)


class FrameRecogniser:
    """Recognises recordings with a ``Scorer`` and a ``CTCDecoder``.

    Args:
        scorer: the network.
        decoder: reads its output.
        window_seconds: of a long recording computed at once.
        keep: whether transcripts hold the log-probabilities (memory then grows with the recording).
    """

    max_seconds = WHOLE_SECONDS

    def __init__(
        self, scorer: Scorer, decoder: CTCDecoder, *, window_seconds: float = WINDOW_SECONDS, keep: bool = False
    ) -> None:
        self.scorer, self.decoder = scorer, decoder
        self.window_seconds, self.keep = window_seconds, keep
        self.sample_rate = scorer.sample_rate

    def recognise(self, signals: Sequence[Samples]) -> list[Transcript]:
        """Return the transcripts of several recordings, each computed in one go."""
        ready = [self._whole(signal) for signal in signals]
        scored = [place for place, features in enumerate(ready) if features.shape[1]]
        found = dict(zip(scored, self.scorer.log_probs([ready[place] for place in scored]), strict=True))
        return [
            self.decoder.decode(self._frames(found.get(place)), duration=len(signal) / self.sample_rate)
            for place, signal in enumerate(signals)
        ]

    def recognise_long(self, blocks: Callable[[], Iterable[Samples]]) -> Transcript:
        """Return the transcript of a recording of any length, in memory that does not grow with it.

        The windows overlap by the network's context, so the frames are those of one pass over the whole.

        Args:
            blocks: begins to read the recording anew with each call; it is read twice where features are
                normalised by statistics of the recording.
        """
        moments, num_samples = self._measure(blocks)
        num_frames = self.scorer.num_frames(num_samples)
        left, right = self.scorer.context
        windows = overlapping(
            num_frames,
            length=round(self.window_seconds * self.sample_rate / self.scorer.hop_length),
            left=left,
            right=right,
            multiple=self.scorer.subsampling,
        )
        parts = [self._part(features, window, moments) for features, window in self._windows(blocks(), windows)]
        return self.decoder.decode(Frames.joined(parts), duration=num_samples / self.sample_rate)

    # --- in one go ------------------------------------------------------------------------------------------------

    def _whole(self, signal: Samples) -> Features:
        count = self.scorer.num_frames(len(signal))
        features = self.scorer.features(signal)[:, :count] if count else np.zeros((0, 0), np.float32)
        if not self.scorer.normalisation or not features.shape[1]:
            return features
        return Moments.of(features, self.scorer.normalisation).normalise(features)

    def _frames(self, log_probs: NDArray[np.float32] | None) -> Frames:
        if log_probs is None:
            log_probs = np.zeros((0, self.decoder.blank + 1), np.float32)
        return self.decoder.frames(log_probs, keep=self.keep)

    # --- by windows -----------------------------------------------------------------------------------------------

    def _measure(self, blocks: Callable[[], Iterable[Samples]]) -> tuple[Moments | None, int]:
        """Return the statistics of the recording's features and how many samples it has."""
        if not self.scorer.normalisation:
            return None, sum(len(block) for block in blocks())
        moments: Moments | None = None
        num_samples = 0
        stream = _FeatureStream(self.scorer)
        for block in blocks():
            num_samples += len(block)
            moments = _added(moments, stream.push(block), self.scorer.normalisation)
        return _added(moments, stream.finish(), self.scorer.normalisation), num_samples

    def _windows(self, blocks: Iterable[Samples], windows: Sequence[Window]) -> Iterator[tuple[Features, Window]]:
        """Yield the features of each window; those that the next one needs are kept."""
        stream = _FeatureStream(self.scorer)
        waiting: list[Features] = []
        begin = have = 0  # the frame that the first array in `waiting` begins with, and how many frames have come
        source = _pieces(stream, blocks)
        for window in windows:
            while have < window.stop:
                features = next(source)
                waiting.append(features)
                have += features.shape[1]
            joined = np.concatenate(waiting, axis=1) if waiting else np.zeros((0, 0), np.float32)
            yield joined[:, window.start - begin : window.stop - begin], window
            begin, waiting = window.start, [joined[:, window.start - begin :]]

    def _part(self, features: Features, window: Window, moments: Moments | None) -> Frames:
        """Score one window and keep the frames that are its own."""
        if not features.shape[1]:
            return self._frames(None)
        features = features if moments is None else moments.normalise(features)
        log_probs = self.scorer.log_probs([features])[0]
        step = self.scorer.subsampling
        first = (window.first - window.start) // step
        last = len(log_probs) if window.last == window.stop else (window.last - window.start) // step
        return self._frames(log_probs[first:last])


def _added(moments: Moments | None, features: Features, kind: str) -> Moments | None:
    if not features.shape[1]:
        return moments
    new = Moments.of(features, kind)
    return new if moments is None else moments.plus(new)


def _pieces(stream: _FeatureStream, blocks: Iterable[Samples]) -> Iterator[Features]:
    """Yield features as blocks complete them, never none."""
    pushed = (stream.push(block) for block in blocks)
    finished = (stream.finish() for _ in range(1))  # after the blocks, not before
    yield from (features for features in itertools.chain(pushed, finished) if features.shape[1])


class _FeatureStream:
    """The features of a recording, from blocks of samples: the same as from all samples at once.

    A piece of samples is analysed with ``margin`` frames more on each side, and those are thrown away, since its cut
    edges are not edges of the recording.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.waiting = np.zeros(0, np.float32)  # samples from frame `start` on
        self.start = 0  # frame at which `waiting` begins
        self.done = 0  # frames returned so far

    def push(self, block: Samples) -> Features:
        """Return the frames that ``block`` completes, (D, T)."""
        self.waiting = np.concatenate([self.waiting, block])
        ready = self.start + len(self.waiting) // self.scorer.hop_length - self.scorer.margin
        if ready <= self.done:
            return np.zeros((0, 0), np.float32)
        features = self.scorer.features(self.waiting)[:, self.done - self.start : ready - self.start]
        self._forget(ready)
        return features

    def finish(self) -> Features:
        """Return the frames that are left."""
        total = self.start + self.scorer.num_frames(len(self.waiting))
        if total <= self.done:
            return np.zeros((0, 0), np.float32)
        features = self.scorer.features(self.waiting)[:, self.done - self.start : total - self.start]
        self.done = total
        return features

    def _forget(self, ready: int) -> None:
        """Drop the samples that no later frame needs."""
        self.done = ready
        start = max(0, ready - self.scorer.margin)
        self.waiting = self.waiting[(start - self.start) * self.scorer.hop_length :]
        self.start = start
