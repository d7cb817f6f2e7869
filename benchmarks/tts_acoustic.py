"""Tacotron 2 and WaveGlow: do their recipes learn, and how fast do they speak?

    python benchmarks/tts_acoustic.py learn tacotron2 --data ../shared/data/fsdd/train.json --out docs/figures
    python benchmarks/tts_acoustic.py learn waveglow --data ../shared/data/fsdd/train.json --out docs/figures
    python benchmarks/tts_acoustic.py speed

``learn`` trains a narrow form of the packaged configuration on the clips of one speaker for some minutes and draws the
loss, and for Tacotron 2 the attention of a clip that it was not trained on. ``speed`` compares what the models do with
a plain formulation of the same arithmetic, in turns, at the published sizes and random weights.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from seaspeak.collections.tts.models import Tacotron2Model, WaveGlowModel
from seaspeak.core.optimization import build_optimizer

NARROW: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "tacotron2": (
        Tacotron2Model,
        {
            "embedding_dim": 128,
            "guided_attention": 2.0,
            "decoder.prenet_dim": 64,
            "decoder.attention_rnn_dim": 192,
            "decoder.decoder_rnn_dim": 192,
            "postnet.postnet_embedding_dim": 96,
            "preprocessor.pad_to": 1,
            "preprocessor.n_window_stride": 512,
            "train_ds.dataloader_params": {"batch_size": 32, "shuffle": True, "drop_last": True},
            "validation_ds.dataloader_params": {"batch_size": 32},
            "optim.lr": 2e-3,
        },
    ),
    "waveglow": (
        WaveGlowModel,
        {
            "waveglow.n_wn_channels": 48,
            "waveglow.n_wn_layers": 5,
            "waveglow.n_flows": 8,
            "train_ds.dataset.n_segments": 8000,
            "train_ds.dataloader_params": {"batch_size": 6, "shuffle": True},
            "validation_ds.dataset.n_segments": 8000,
            "validation_ds.dataloader_params": {"batch_size": 8},
            "optim.lr": 1e-3,
        },
    ),
}


def configuration(name: str, changes: dict[str, Any]) -> Any:
    """The section ``model`` of a packaged configuration, with changes by dotted key."""
    import seaspeak.collections.tts.configs as packaged

    config = OmegaConf.load(Path(packaged.__file__).parent / f"{name}.yaml")
    for key, value in changes.items():
        OmegaConf.update(config, f"model.{key}", value, merge=False)
    OmegaConf.resolve(config)
    return config.model


def split(manifest: Path, speaker: str, folder: Path) -> dict[str, str]:
    """Write the clips of a speaker into two manifests, every tenth into the second."""
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows = [row for row in rows if row.get("speaker", speaker) == speaker]
    for row in rows:
        row["audio_filepath"] = str((manifest.parent / row["audio_filepath"]).resolve())
    parts = {"train_ds": [row for n, row in enumerate(rows) if n % 10], "validation_ds": rows[::10]}
    paths = {key: folder / f"{key}.json" for key in parts}
    for key, path in paths.items():
        path.write_text("".join(json.dumps(row) + "\n" for row in parts[key]))
    return {f"{key}.dataset.manifest_filepath": str(path) for key, path in paths.items()}


def batches(loader: Iterable[Any], seconds: float) -> Iterator[tuple[int, Any]]:
    """Batches, read once, in a new order every epoch until the time is over, numbered."""
    read = list(loader)
    until, number = time.monotonic() + seconds, 0
    while True:
        for batch in random.sample(read, len(read)):
            if time.monotonic() > until:
                return
            yield number, batch
            number += 1


def learn(name: str, manifest: Path, speaker: str, minutes: float, out: Path) -> None:
    """Train a narrow model for some minutes and draw what it learnt."""
    torch.manual_seed(0)
    random.seed(0)
    kind, changes = NARROW[name]
    with tempfile.TemporaryDirectory() as folder:
        model = kind(configuration(name, changes | split(manifest, speaker, Path(folder))))
        optimizer = build_optimizer(model.parameters(), model.cfg.optim)
        losses: list[float] = []
        model.train()
        for number, batch in batches(model.train_dataloader(), minutes * 60):
            loss = model.training_step(batch, number)["loss"]
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(float(model.logged["train_loss"]))
            if number % 50 == 0:
                print(f"step {number:5d}  loss {losses[-1]:8.3f}", flush=True)
        model.eval()
        held_out = next(iter(model.val_dataloader()))
        with torch.no_grad():
            results = model.validation_step(held_out, 0)
    print(
        f"{name}: {len(losses)} steps, loss {losses[0]:.3f} -> {statistics.mean(losses[-20:]):.3f}; on held-out clips:"
    )
    print({key: round(float(value), 3) for key, value in results.items()})
    out.mkdir(parents=True, exist_ok=True)
    draw_curve(losses, f"{name}, narrow: training loss", out / f"{name}_loss.svg")
    if name == "tacotron2":
        draw_attention(model, held_out, out / "tacotron2_attention.svg")


def svg(width: int, height: int, parts: list[str], path: Path) -> None:
    """Write a drawing."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">'
    path.write_text("\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""]))


def draw_curve(losses: list[float], title: str, path: Path) -> None:
    """Draw means over ten steps."""
    means = [statistics.mean(losses[at : at + 10]) for at in range(0, len(losses), 10)]
    low, high = min(means), max(means)
    points = " ".join(
        f"{60 + 420 * at / max(1, len(means) - 1):.1f},{30 + 170 * (high - mean) / (high - low or 1):.1f}"
        for at, mean in enumerate(means)
    )
    texts = [(60, 18, title), (60, 222, "0"), (440, 222, f"{len(losses)} steps"), (5, 36, f"{high:.2f}")]
    parts = [f'<text x="{x}" y="{y}" font-size="12">{text}</text>' for x, y, text in [*texts, (5, 203, f"{low:.2f}")]]
    parts.append('<path d="M60 30V200H480" fill="none" stroke="gray"/>')
    svg(500, 230, [*parts, f'<polyline points="{points}" fill="none" stroke="#1f77b4" stroke-width="1.5"/>'], path)


def draw_attention(model: Tacotron2Model, batch: Any, path: Path) -> None:
    """Draw the attention of the longest text of a batch, speaking freely: darker is more."""
    row = int(batch[3].argmax())
    numbers = batch[2][row, : batch[3][row]].tolist()
    torch.manual_seed(0)
    model.decoder.max_decoder_steps = int(batch[1][row]) // model.mel_recipe.hop_length  # as long as the recording
    with torch.no_grad():
        spoken = model(tokens=torch.tensor([numbers]), token_len=batch[3][row : row + 1].detach())
    weights, symbols = spoken.alignments[0], [*model.labels, "begin", "end"]
    parts = ['<text x="60" y="15" font-size="12">attention: tokens upwards, frames to the right</text>']
    for place, number in enumerate(numbers):
        y = 25 + 20 * (len(numbers) - 1 - place)
        parts.append(f'<text x="5" y="{y + 14}" font-size="12">{symbols[number]}</text>')
        for frame, weight in enumerate(weights[:, place].tolist()):
            if weight > 0.02:
                parts.append(f'<rect x="{60 + 6 * frame}" y="{y}" width="6" height="20" fill-opacity="{weight:.2f}"/>')
    svg(max(320, 70 + 6 * len(weights)), 30 + 20 * len(numbers), parts, path)


def in_turns(first: Callable[[], Any], second: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Median seconds of two functions that take turns."""
    spans: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for function, taken in zip((first, second), spans, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return statistics.median(spans[0][1:]), statistics.median(spans[1][1:])


def plain_decoding(decoder: Any, memory: Tensor, steps: int) -> Tensor:
    """Tacotron 2's loop as the paper writes it: every layer in every step, gradients recorded."""
    attention, location = decoder.attention_layer, decoder.attention_layer.location_layer
    frame = memory.new_zeros(1, decoder.n_mel_channels)
    state = [[memory.new_zeros(1, cell.hidden_size)] * 2 for cell in (decoder.attention_rnn, decoder.decoder_rnn)]
    weights = total = memory.new_zeros(1, memory.shape[1])
    context, frames = memory.new_zeros(1, memory.shape[2]), []
    for _ in range(steps):
        state[0] = decoder.attention_rnn(torch.cat([decoder.prenet(frame), context], 1), state[0])
        looked = location.location_conv(torch.stack([weights, total], 1)).transpose(1, 2)
        query = attention.query_layer(state[0][0])[:, None]
        energies = attention.v((query + attention.memory_layer(memory) + location.location_dense(looked)).tanh())
        weights = energies[..., 0].softmax(1)
        total, context = total + weights, (weights[:, None] @ memory)[:, 0]
        state[1] = decoder.decoder_rnn(torch.cat([state[0][0], context], 1), state[1])
        heads = torch.cat([state[1][0], context], 1)
        frame = decoder.linear_projection(heads)
        decoder.gate_layer(heads).sigmoid()
        frames.append(frame)
    return torch.stack(frames, 2)


def speed(seconds: float, rounds: int) -> None:
    """Print how fast both models speak, beside plain formulations."""
    torch.manual_seed(0)
    frames = round(seconds * 22050 / 256)
    tacotron = Tacotron2Model(configuration("tacotron2", {"train_ds": None, "validation_ds": None})).eval()
    memory, length = torch.randn(1, 60, 512), torch.tensor([60])
    plain, ours = in_turns(
        lambda: plain_decoding(tacotron.decoder, memory, frames),
        lambda: tacotron.decoder.infer(memory, length, max_steps=frames),
        rounds,
    )
    report("Tacotron 2, decoder", plain, ours, seconds)
    waveglow = WaveGlowModel(configuration("waveglow", {"train_ds": None, "validation_ds": None})).eval()
    network, spec = waveglow.waveglow, torch.randn(1, 80, frames) - 5
    with torch.no_grad():
        z = network.noise(spec, 1.0)
        plain, ours = in_turns(lambda: network.plain_inverse(spec, z), lambda: network.inverse(spec, z), rounds)
    report("WaveGlow 88 M, inverse", plain, ours, seconds)


def report(what: str, plain: float, ours: float, seconds: float) -> None:
    """Print one comparison."""
    print(f"{what}: {seconds / ours:.2f} x real time, plain {seconds / plain:.2f}: {plain / ours:.2f} x as fast")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    learning = commands.add_parser("learn")
    learning.add_argument("model", choices=NARROW)
    learning.add_argument("--data", type=Path, required=True)
    learning.add_argument("--speaker", default="george")
    learning.add_argument("--minutes", type=float, default=6)
    learning.add_argument("--out", type=Path, default=Path("docs/figures"))
    pace = commands.add_parser("speed")
    pace.add_argument("--seconds", type=float, default=1.0)
    pace.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.command == "learn":
        learn(given.model, given.data, given.speaker, given.minutes, given.out)
    else:
        speed(given.seconds, given.rounds)


if __name__ == "__main__":
    main()
