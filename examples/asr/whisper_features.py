"""Features for ``whisper_finetune.py``: speech at several speeds and with noise, synthesised speech, and no speech.

Everything is decoded and turned into log-mel features once and kept on disk in half precision, so that a training step
only reads. Each part is a pair of files, ``NAME.f16`` (frames of all clips, one after another) and ``NAME.json``
(where each clip lies, and its text).
"""

from __future__ import annotations

import io
import json
import random
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from seaspeak.audio import io as audio
from seaspeak.audio.resample import resample
from seaspeak.audio.whisper_mel import WhisperMelPreprocessor
from seaspeak.core.errors import require
from seaspeak.text.bytepair import normalise

RATE, BANDS, LONGEST = 16000, 80, 30.0
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip of a part: its frames, its text, and whose voice it is (empty: nobody speaks)."""

    start: int
    frames: int
    text: str
    voice: str


def write_part(folder: Path, name: str, clips: Iterable[tuple[Samples, str, str]]) -> None:
    """Compute and keep the features of (samples, text, voice); the index comes last, so half a part counts as none."""
    preprocessor, index, place = WhisperMelPreprocessor(), [], 0
    with (folder / f"{name}.f16").open("wb") as out:
        for samples, text, voice in clips:
            if not 0.1 <= len(samples) / RATE <= LONGEST:
                continue
            features = preprocessor.log_mel(torch.from_numpy(samples.astype(np.float32))).T.half().numpy()
            out.write(features.tobytes())
            index.append(astuple(Clip(place, len(features), text, voice)))
            place += len(features)
    (folder / f"{name}.json").write_text(json.dumps(index))


def read_part(folder: Path, name: str) -> tuple[NDArray[np.float16], list[Clip]]:
    """Return the frames (all, 80) of a part, left on disk, and its clips."""
    frames = np.memmap(folder / f"{name}.f16", dtype=np.float16, mode="r").reshape(-1, BANDS)
    return frames, [Clip(*entry) for entry in json.loads((folder / f"{name}.json").read_text())]


# --- speech -----------------------------------------------------------------------------------------------------------


def entries(manifest: Path) -> list[dict[str, str]]:
    """Return the lines of a manifest."""
    return [json.loads(line) for line in manifest.read_text().splitlines()]


def recordings(data: Path, fraction: float) -> Iterator[tuple[Samples, str, str]]:
    """Yield the training recordings: LibriSpeech's out of its tar shards, Kathleen's from files."""
    libri = {entry["audio_filepath"]: entry for entry in entries(data / "librispeech/train/train.json")}
    wanted = set(list(libri)[: int(len(libri) * fraction)])
    for shard in sorted((data / "librispeech/train").glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.name in wanted else None
                if content is not None:
                    entry = libri[member.name]
                    samples = audio.read(io.BytesIO(content.read()), sample_rate=RATE).samples
                    yield samples, entry["text"], f"libri {entry['speaker']}"
    kathleen = entries(data / "kathleen/train.json")
    for entry in kathleen[: int(len(kathleen) * fraction)]:
        samples = audio.read(data / "kathleen" / entry["audio_filepath"], sample_rate=RATE).samples
        yield samples, entry["text"], "kathleen"


def varied(clips: Iterable[tuple[Samples, str, str]], noise: Noise) -> Iterator[tuple[Samples, str, str]]:
    """Yield each clip four times: as it is, slower, faster, and with noise at about its own speed."""
    for samples, text, voice in clips:
        for speed in (1.0, 0.9, 1.1):
            yield at_speed(samples, speed), text, voice
        yield noise.added(at_speed(samples, noise.draw.uniform(0.92, 1.08))), text, voice


def at_speed(samples: Samples, speed: float) -> Samples:
    """Return the clip faster and higher, or slower and lower."""
    return samples if speed == 1.0 else resample(samples, round(RATE * speed), RATE)


SHARES = {"fiction": 0.5, "nonfiction": 0.13, "drama": 0.05, "speech": 0.1, "sentences": 0.22}
_PLAIN = re.compile(r"[A-Z][A-Za-z ,;:'\-?.!]+[.?!]")
_ABBREVIATED = re.compile(r"\b[A-Z]{2,}|\b(Mr|Mrs|Dr|St|Ms|No|vs|etc|Esq|Capt|Lieut|Gen|Col)\b|\b[A-Z]\.| '|' ")


def sentences(texts: Path, count: int) -> list[str]:
    """Return sentences in which every word is spoken as it is written, from several genres, mixed."""
    draw, found = random.Random(7), []
    for genre, share in SHARES.items():
        plain = re.sub('[“”"‘]', "", (texts / f"{genre}.txt").read_text()).replace("’", "'")
        split = re.split(r"(?<=[.?!])\s+", re.sub("[—–]", ", ", plain))
        fit = [s for s in split if _PLAIN.fullmatch(s) and not _ABBREVIATED.search(s) and 4 <= len(s.split()) <= 32]
        found += draw.sample(fit, min(len(fit), max(1, int(count * share))))
    return draw.sample(found, len(found))


def spoken(texts: Iterable[str], noise: Noise) -> Iterator[tuple[Samples, str, str]]:
    """Yield sentences spoken by the two English Pico voices at several speeds and pitches, every third with noise."""
    pico = require("py_nanotts", extra="train", why="synthesised training speech").NanoTTS()
    draw = random.Random(7)
    for number, text in enumerate(texts):
        voice, speed, pitch = ("en-US", "en-GB")[number % 2], draw.uniform(0.85, 1.25), draw.uniform(0.75, 1.25)
        samples = np.frombuffer(pico.speak(text, voice=voice, speed=speed, pitch=pitch), np.int16) / np.float32(32768)
        yield noise.added(samples) if number % 3 == 0 else samples, normalise(text), "pico"


# --- noise, music, silence --------------------------------------------------------------------------------------------


class Noise:
    """Noises, recorded and made: added to speech, or alone with an empty text.

    Args:
        folder: recordings of noise.
        seed: of everything that is drawn.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.recorded = [audio.read(file, sample_rate=RATE).samples for file in sorted(folder.glob("*.opus"))]
        self.draw = np.random.default_rng(seed)

    def added(self, samples: Samples) -> Samples:
        """Return the clip with noise 5 to 25 dB below it."""
        noise = self.room(len(samples)) if self.draw.random() < 0.75 else self.coloured(len(samples))
        decibel = self.draw.uniform(5, 25)
        gain = np.sqrt(np.mean(samples**2) / (np.mean(noise**2) + 1e-12) / 10 ** (decibel / 10))
        return (samples + gain * noise).astype(np.float32)

    def silence(self, count: int) -> Iterator[tuple[Samples, str, str]]:
        """Yield clips of 0.4 to 12 s in which nobody speaks, at any level, with an empty text."""
        kinds = [self.music] * 7 + [self.coloured] * 3 + [self.room] * 4 + [self.hum, self.beeps, self.clicks]
        for _ in range(count):
            length = int(RATE * min(12.0, self.draw.gamma(2.0, 3.0) + 0.4))
            if self.draw.random() < 0.05:
                clip = np.zeros(length)
            else:
                clip = kinds[self.draw.integers(len(kinds))](length)
                clip = clip / (np.abs(clip).max() + 1e-9) * 10 ** self.draw.uniform(-2.0, -0.05)
            if self.draw.random() < 0.3:
                clip = clip + self.draw.standard_normal(length) * 10 ** self.draw.uniform(-5, -2.5)
            yield clip.astype(np.float32), "", ""

    def room(self, length: int) -> NDArray[np.float64]:
        """Return a piece of a recorded noise, repeated if it is too short."""
        noise = self.recorded[self.draw.integers(len(self.recorded))]
        start = self.draw.integers(max(1, len(noise) - length))
        return np.resize(noise[start : start + length], length).astype(np.float64)

    def coloured(self, length: int) -> NDArray[np.float64]:
        """Return noise between white and a little darker than pink."""
        spectrum = np.fft.rfft(self.draw.standard_normal(length))
        bins = np.maximum(np.arange(len(spectrum)), 1.0)
        return np.fft.irfft(spectrum / bins ** self.draw.uniform(0, 1.2), length)

    def hum(self, length: int) -> NDArray[np.float64]:
        """Return mains hum with some hiss."""
        time, mains = np.arange(length) / RATE, self.draw.choice([50, 60])
        waves = [np.sin(2 * np.pi * mains * k * time + self.draw.uniform(0, 6)) / k for k in range(1, 8)]
        hiss = self.coloured(length)
        return np.sum(waves, axis=0) + self.draw.uniform(0, 1) * hiss / (np.abs(hiss).max() + 1e-9)

    def beeps(self, length: int) -> NDArray[np.float64]:
        """Return a few plain tones."""
        clip = np.zeros(length)
        for _ in range(self.draw.integers(1, 8)):
            tone = np.sin(2 * np.pi * self.draw.uniform(200, 4000) / RATE * np.arange(self._seconds(0.05, 1.5)))
            _mix(clip, tone, self.draw.integers(length))
        return clip

    def clicks(self, length: int) -> NDArray[np.float64]:
        """Return short bursts over quiet noise."""
        clip = self.coloured(length) * self.draw.uniform(0, 0.05)
        for _ in range(self.draw.integers(1, 30)):
            _mix(clip, self._burst(self._seconds(0.002, 0.1), 5.0), self.draw.integers(length))
        return clip

    def music(self, length: int) -> NDArray[np.float64]:
        """Return a made-up piece: a melody, chords and drums, each there or not, in major or minor."""
        major, minor = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
        scale = major if self.draw.random() < 0.6 else minor
        beat, root, plucked = self.draw.uniform(0.2, 0.6), self.draw.uniform(80, 330), bool(self.draw.integers(2))
        melody, chords, drums = self.draw.random(3) < (0.8, 0.7, 0.5)
        clip, place = np.zeros(length), 0
        while place < length:
            note = int(beat * RATE * self.draw.choice([0.5, 1, 1, 2]))
            if melody and self.draw.random() < 0.85:
                pitch = self.draw.choice(scale) + 12 * self.draw.integers(3)
                _mix(clip, self._note(root * 2 ** (pitch / 12), note + RATE // 4, plucked), place)
            if chords and self.draw.random() < 0.4:
                step = self.draw.integers(7)
                for third in (step, step + 2, step + 4):
                    pitch = scale[third % 7] + 12 * (third // 7)
                    _mix(clip, 0.5 * self._note(root * 2 ** (pitch / 12), int(2 * beat * RATE), plucked), place)
            if drums:
                _mix(clip, self._burst(int(0.15 * RATE), 5.0), place)
            place += note
        return clip

    def _note(self, pitch: float, length: int, plucked: bool) -> NDArray[np.float64]:
        time = np.arange(length) / RATE
        vibrato = 1 + self.draw.uniform(0, 0.006) * np.sin(2 * np.pi * self.draw.uniform(4, 7) * time)
        phase, slope = 2 * np.pi * np.cumsum(pitch * vibrato) / RATE, self.draw.uniform(0.5, 1.6)
        audible = [k for k in range(1, 7) if k * pitch < 7800]
        tone = np.sum([np.sin(phase * k + self.draw.uniform(0, 6)) / k**slope for k in audible], axis=0)
        fall = np.exp(-time * self.draw.uniform(1.5, 8)) if plucked else np.minimum(1, (length / RATE - time) / 0.05)
        return tone * fall * np.minimum(1, time / self.draw.uniform(0.003, 0.08))

    def _burst(self, length: int, fall: float) -> NDArray[np.float64]:
        return self.draw.standard_normal(length) * np.exp(-np.arange(length) / length * fall)

    def _seconds(self, least: float, most: float) -> int:
        return int(RATE * self.draw.uniform(least, most))


def _mix(clip: NDArray[np.float64], sound: NDArray[np.float64], place: int) -> None:
    """Add ``sound`` to ``clip`` from ``place`` on, as far as it reaches."""
    fits = clip[place : place + len(sound)]
    fits += sound[: len(fits)]
