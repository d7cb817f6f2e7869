"""Make the recordings that ship with Seaspeak: sentences of our own, spoken by two voices of Flite.

    apt install flite
    .venv/bin/python examples/make_samples.py src/seaspeak/assets/samples

Flite (https://github.com/festvox/flite) and its voices may be used for anything (a BSD-like licence).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000
PAUSE_SECONDS = 0.35  # between the sentences of one recording

SENTENCES = {
    "boats.flac": ("slt", ["The fishing boats came back to the beach before the storm."]),
    "library.ogg": ("rms", ["She found the old map between two books in the library."]),
    "train.mp3": ("slt", ["The last train to the city leaves at seven in the evening."]),
    "garden.flac": ("rms", ["My grandfather planted an apple tree for every child in the family."]),
    "weather.opus": ("slt", ["Tomorrow will be cold and bright, with a light wind from the north."]),
    "letter.flac": (
        "slt",
        [
            "Have you seen the letter from my sister?",
            "She has found a small house near the river, and she wants to move there in the spring.",
            "I think we should visit her.",
        ],
    ),
    "lighthouse.opus": (
        "rms",
        [
            "The lighthouse stood alone on a small island, an hour from the coast.",
            "Every evening the keeper climbed the stairs, cleaned the glass, and lit the lamp.",
            "He had done this for thirty years, and he had never missed a night.",
            "In summer the visitors came with their children, and they asked him if he was lonely.",
            "He always gave them the same answer.",
            "Look at the water, he said, and tell me how many ships you can see.",
            "Each of them knows where it is, because I am here.",
            "One winter the sea was so high that no boat could reach the island for a month.",
            "The people in the village were afraid that he had nothing left to eat.",
            "But every night, through the rain and the snow, they saw the light go round.",
            "When the storm was over, they sailed out with bread and coffee, and found him asleep in his chair.",
            "The lamp was still burning.",
        ],
    ),
}


def speak(voice: str, sentence: str) -> np.ndarray:
    """Return one sentence as float32 samples at ``SAMPLE_RATE``."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", sentence, "-o", str(wav)], check=True)
        samples, rate = soundfile.read(wav, dtype="float32")
    return soxr.resample(samples, rate, SAMPLE_RATE)


def record(voice: str, sentences: list[str]) -> np.ndarray:
    """Return the sentences one after another, the loudest sample at 0.7."""
    pause = np.zeros(round(PAUSE_SECONDS * SAMPLE_RATE), np.float32)
    pieces = [piece for sentence in sentences for piece in (speak(voice, sentence), pause)]
    samples = np.concatenate([pause, *pieces])
    return samples * (0.7 / np.abs(samples).max())


def plain(sentences: list[str]) -> str:
    """Return the words as recognisers write them: lower case, no punctuation."""
    return "".join(c for c in " ".join(sentences).lower() if c.isalpha() or c in " '")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, (voice, sentences) in SENTENCES.items():
        samples = record(voice, sentences)
        opus = {"format": "OGG", "subtype": "OPUS"} if name.endswith(".opus") else {}
        soundfile.write(folder / name, samples, SAMPLE_RATE, **opus)
        duration = round(len(samples) / SAMPLE_RATE, 2)
        lines.append({"audio_filepath": name, "duration": duration, "text": plain(sentences), "voice": voice})
    (folder / "manifest.json").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
