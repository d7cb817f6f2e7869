"""Measure QuartzNet 15x5 beside the plain formulation, NeMo and onnxruntime, paired in one run.

    python benchmarks/asr_quartznet.py --archive QuartzNet15x5.nemo \
        --nemo-python ../nemo/bin/python --onnx-python ../onnx/bin/python --threads 2

Each contender is a process of its own that holds its model and waits; the contenders take turns, one figure at a
time, so that what else the machine does falls on all of them alike. Prints Markdown tables of medians and ratios.
The contenders' outputs for the same features are compared as well. ``--nemo-python`` is an interpreter with NeMo 3.0,
``--onnx-python`` one with onnx and onnxruntime (the graph is written from the folded weights); without them their
columns are missing. No archive: random weights.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
RATE = 16000
TASKS = {
    "front end 8 × 15 s": ("front_end", 8, 15.0),
    "forward 1 × 15 s": ("forward", 1, 15.0),
    "forward 8 × 15 s": ("forward", 8, 15.0),
    "training step 8 × 8 s": ("step", 8, 8.0),
}
LAZY = ("lightning", "pytorch_lightning", "hydra", "transformers", "matplotlib", "librosa", "scipy", "pandas")


# --- contenders: each runs in a process of its own ------------------------------------------------------------------


class TorchContender:
    """A model in torch: ours, ours in its plain formulation, or NeMo's."""

    def __init__(self, kind: str, archive: str, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.torch, self.kind = torch, kind
        self.load = self._nemo if kind == "nemo" else self._seaspeak
        self.archive = archive
        self.model = self.load()
        self.training_model: Any = None

    def _nemo(self) -> Any:
        import logging

        logging.disable(logging.WARNING)
        from nemo.collections.asr.models import EncDecCTCModel
        from nemo.utils import logging as nemo_logging

        nemo_logging.setLevel(logging.ERROR)
        return EncDecCTCModel.restore_from(self.archive, map_location="cpu").eval()

    def _seaspeak(self) -> Any:
        from omegaconf import OmegaConf

        from seaspeak.collections.asr.models import EncDecCTCModel

        if self.archive:
            model = EncDecCTCModel.restore_from(self.archive, map_location="cpu")
        else:
            import seaspeak.collections.asr as asr

            config = OmegaConf.load(Path(asr.__file__).with_name("configs") / "quartznet_15x5.yaml")
            config.model.train_ds = config.model.validation_ds = None
            model = EncDecCTCModel(cfg=config.model)
        if self.kind == "plain":
            model.encoder.encode = model.encoder.plain
        return model.eval()

    def front_end(self, batch: int, seconds: float) -> None:
        """Samples to features."""
        samples, lengths = self._samples(batch, seconds)
        with self.torch.no_grad():
            self.model.preprocessor(input_signal=samples, length=lengths)

    def forward(self, batch: int, seconds: float) -> Any:
        """Features to log-probabilities."""
        features, lengths = self._features(batch, seconds)
        with self.torch.no_grad():
            encoded, _ = self.model.encoder(audio_signal=features, length=lengths)
            return self.model.decoder(encoder_output=encoded)

    def step(self, batch: int, seconds: float) -> None:
        """Samples to loss, back, and one step of AdamW."""
        if self.training_model is None:
            self.training_model = self.load().train()
            self.training_model.spec_augmentation = None
            self.optimizer = self.torch.optim.AdamW(self.training_model.parameters(), lr=1e-5)
        model, torch = self.training_model, self.torch
        samples, lengths = self._samples(batch, seconds)
        targets = torch.randint(0, 28, (batch, 100), generator=torch.Generator().manual_seed(0))
        log_probs, counts, _ = model.forward(input_signal=samples, input_signal_length=lengths)
        loss = model.loss(
            log_probs=log_probs,
            targets=targets,
            input_lengths=counts,
            target_lengths=torch.full((batch,), 100),
        )
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def save(self, path: str) -> None:
        """Write the log-probabilities of the smallest task, for comparison."""
        import numpy as np

        np.save(path, self.forward(1, 15.0).numpy())

    def _samples(self, batch: int, seconds: float) -> tuple[Any, Any]:
        generator = self.torch.Generator().manual_seed(1)
        samples = 0.1 * self.torch.randn(batch, round(seconds * RATE), generator=generator)
        return samples, self.torch.full((batch,), samples.shape[1])

    def _features(self, batch: int, seconds: float) -> tuple[Any, Any]:
        generator = self.torch.Generator().manual_seed(2)
        features = self.torch.randn(batch, 64, round(seconds * 100) + 1, generator=generator)
        return features, self.torch.full((batch,), features.shape[2])


class OnnxContender:
    """onnxruntime, on a graph of two-dimensional convolutions with folded normalisations, the best form for it."""

    def __init__(self, weights: str, threads: int) -> None:
        import numpy as np
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.np = np
        self.session = onnxruntime.InferenceSession(
            _onnx_graph(np.load(weights)), options, providers=["CPUExecutionProvider"]
        )

    def forward(self, batch: int, seconds: float, features: Any = None) -> Any:
        """Features to log-probabilities."""
        if features is None:
            generator = self.np.random.default_rng(2)
            features = generator.standard_normal((batch, 64, 1, round(seconds * 100) + 1), dtype=self.np.float32)
        return self.session.run(None, {"features": features})[0]

    def save(self, path: str) -> None:
        """Put log-probabilities in the place of the features that lie there."""
        features = self.np.load(path)
        self.np.save(path, self.forward(1, 15.0, features[:, :, None]))


def _onnx_graph(weights: Mapping[str, Any]) -> bytes:
    """Build the graph from ``plan`` (JSON: operations in order) and the arrays it names."""
    import onnx
    from onnx import helper, numpy_helper

    plan = json.loads(str(weights["plan"]))
    nodes = [helper.make_node(op["type"], op["inputs"], [op["output"]], **op.get("attributes", {})) for op in plan]
    tensors = [numpy_helper.from_array(weights[name], name) for name in weights.files if name != "plan"]
    described = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "quartznet",
        [helper.make_tensor_value_info("features", described, ["B", 64, 1, "T"])],
        [helper.make_tensor_value_info("log_probs", described, None)],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


def write_onnx_weights(archive: str, path: Path) -> None:
    """Write our folded weights, and the operations that they are for, as arrays that need no torch."""
    import numpy as np

    from seaspeak.collections.asr.modules.channels_last import Folded

    model = TorchContender("seaspeak", archive, 1).model
    arrays: dict[str, Any] = {}
    plan: list[dict[str, Any]] = []

    def add(type: str, inputs: Sequence[str], **attributes: Any) -> str:
        output = f"y{len(plan)}" if type != "LogSoftmax" else "log_probs"
        plan.append({"type": type, "inputs": list(inputs), "output": output, "attributes": attributes})
        return output

    def convolve(conv: Any, x: str) -> str:
        names = [f"w{len(arrays)}"]
        arrays[names[0]] = conv.weight.detach().numpy()
        if conv.bias is not None:
            names.append(f"b{len(arrays)}")
            arrays[names[1]] = conv.bias.detach().numpy()
        source, (left, right) = conv.source, conv.source.pads
        return add(
            "Conv",
            [x, *names],
            strides=[1, source.stride[0]],
            pads=[0, left, 0, right],
            dilations=[1, source.dilation[0]],
            group=source.groups,
        )

    x = "features"
    for block, folded in zip(model.encoder.blocks, Folded.of(model.encoder).blocks, strict=True):
        out = x
        for place, unit in enumerate(folded.main):
            for conv in unit:
                out = convolve(conv, out)
            out = add("Relu", [out]) if place < len(folded.main) - 1 else out
        for branch in folded.residual:
            residual = x
            for conv in branch:
                residual = convolve(conv, residual)
            out = add("Add", [out, residual])
        x = add("Relu", [out])
        assert not block.dense
    layer = model.decoder.decoder_layers[0]
    arrays["w_out"], arrays["b_out"] = layer.weight.detach()[:, :, None].numpy(), layer.bias.detach().numpy()
    arrays["axes"] = np.array([2])
    x = add("Conv", [x, "w_out", "b_out"])
    x = add("Transpose", [add("Squeeze", [x, "axes"])], perm=[0, 2, 1])
    add("LogSoftmax", [x], axis=-1)
    np.savez(path, plan=json.dumps(plan), **arrays)


def serve(contender: Any) -> None:
    """Do what standard input asks for, line by line, and answer with seconds."""
    for line in sys.stdin:
        task, *arguments = json.loads(line)
        started = time.perf_counter()
        getattr(contender, task)(*arguments)
        elapsed = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": elapsed, "peak": peak}), flush=True)


class Process:
    """A contender in its process."""

    def __init__(self, python: str, kind: str, archive: str, threads: int) -> None:
        command = [python, str(HERE), "--serve", kind, "--archive", archive, "--threads", str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.peak = 0.0

    def ask(self, *request: Any) -> float:
        """Return the seconds that a request took."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith('{"seconds"'):
                answer = json.loads(line)
                self.peak = answer["peak"]
                return float(answer["seconds"])
        raise RuntimeError("a contender has ended; see its messages above")

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


# --- the run --------------------------------------------------------------------------------------------------------


def paired(contenders: Mapping[str, Process], rounds: int) -> dict[str, dict[str, float]]:
    """Return the median of each task and contender; they take turns."""
    medians: dict[str, dict[str, float]] = {}
    for name, (task, batch, seconds) in TASKS.items():
        able = {key: one for key, one in contenders.items() if key != "onnxruntime" or task == "forward"}
        count = max(3, rounds // 2) if task == "step" else rounds
        for one in able.values():
            one.ask(task, batch, seconds)
        times: dict[str, list[float]] = {key: [] for key in able}
        for _ in range(count):
            for key, one in able.items():
                times[key].append(one.ask(task, batch, seconds))
        medians[name] = {key: statistics.median(values) for key, values in times.items()}
    return medians


def differences(contenders: Mapping[str, Process], archive: str) -> dict[str, float]:
    """Return the largest difference of each contender's log-probabilities from ours, by the largest of them."""
    import numpy as np

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for key, one in contenders.items():
            path = Path(folder) / f"{key}.npy"
            if key == "onnxruntime":
                np.save(path, TorchContender("seaspeak", archive, 1)._features(1, 15.0)[0].numpy())
            one.ask("save", str(path))
            found[key] = np.load(path)
    ours = found["seaspeak"]
    return {key: float(np.abs(value - ours).max() / np.abs(ours).max()) for key, value in found.items()}


def in_turns(programs: Mapping[str, Sequence[str]], rounds: int = 3) -> dict[str, float]:
    """Return the median time of each of several programs, which take turns; the first round does not count."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds + 1):
        for name, command in programs.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(found[1:]) for name, found in times.items()}


def imports(nemo_python: str) -> dict[str, float]:
    """Return what importing costs, the interpreter's own start taken off."""
    programs = {
        "": [sys.executable, "-c", "pass"],
        "import seaspeak": [sys.executable, "-c", "import seaspeak"],
        "import torch": [sys.executable, "-c", "import torch"],
        "from seaspeak.collections.asr.models import EncDecCTCModel": [
            sys.executable,
            "-c",
            "from seaspeak.collections.asr.models import EncDecCTCModel",
        ],
    }
    if nemo_python:
        programs["import nemo.collections.asr"] = [nemo_python, "-c", "import nemo.collections.asr"]
    found = in_turns(programs)
    start = found.pop("")
    return {name: seconds - start for name, seconds in found.items()}


def loaded_by_inference(archive: str) -> list[str]:
    """Return which of the heavy packages a process holds that has transcribed."""
    code = (
        "import sys, numpy as np; from seaspeak.collections.asr.models import EncDecCTCModel;"
        f"EncDecCTCModel.restore_from({archive!r}).transcribe(np.zeros(16000, np.float32));"
        f"print([name for name in {LAZY!r} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return list(json.loads(out.stdout.replace("'", '"')))


NEMO_TRANSCRIBES = """
import sys
from nemo.collections.asr.models import EncDecCTCModel
print(EncDecCTCModel.restore_from(sys.argv[1], map_location="cpu").transcribe([sys.argv[2]], verbose=False)[0].text)
"""


def cold(archive: str, nemo_python: str) -> dict[str, float]:
    """Return process start to text, for a recording of 10 s."""
    import numpy as np
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "ten.wav")
        soundfile.write(path, 0.05 * np.random.default_rng(0).standard_normal(10 * RATE), RATE)
        command = [sys.executable, "-m", "seaspeak", "transcribe", path, "-m", archive, "--device", "cpu"]
        programs = {"seaspeak transcribe": command}
        if nemo_python:
            programs["NeMo: import, restore, transcribe"] = [nemo_python, "-c", NEMO_TRANSCRIBES, archive, path]
        return in_turns(programs)


def long_recording(archive: str, hours: float) -> tuple[float, float]:
    """Return seconds and peak memory (MB) of transcribing a recording of that length."""
    import numpy as np
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.flac"
        generator = np.random.default_rng(0)
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for _ in range(round(hours * 60)):
                file.write(0.05 * generator.standard_normal(60 * RATE))
        code = (
            "import resource, sys; from seaspeak.collections.asr.models import EncDecCTCModel;"
            "EncDecCTCModel.restore_from(sys.argv[1]).transcribe(sys.argv[2]);"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        started = time.perf_counter()
        out = subprocess.run([sys.executable, "-c", code, archive, str(path)], check=True, stdout=subprocess.PIPE)
        return time.perf_counter() - started, float(out.stdout.split()[-1])


# --- tables ---------------------------------------------------------------------------------------------------------


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def machine(threads: int) -> str:
    import torch

    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    level = torch.backends.cpu.get_cpu_capability()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{date.today()}, {cpu} ({level}), {threads} threads, {versions}"


def print_paired(medians: Mapping[str, Mapping[str, float]], base: str) -> None:
    names = list(dict.fromkeys(name for row in medians.values() for name in row))
    rows = []
    for task, row in medians.items():
        cells = [f"{row[n]:.3f} s ({row[base] / row[n]:.2f} ×)" if n in row else "-" for n in names]
        audio = TASKS[task][1] * TASKS[task][2]
        rows.append([task, *cells, f"{audio / row['seaspeak']:.0f}"])
    table(["task", *names, "ours, × real time"], rows)
    print(f"In brackets: how many times as fast as {base}.\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", default="", help="a .nemo file; random weights without")
    parser.add_argument("--nemo-python", default="", help="an interpreter with NeMo 3.0")
    parser.add_argument("--onnx-python", default="", help="an interpreter with onnx and onnxruntime")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--hours", type=float, default=0.0, help="also transcribe a recording of that length")
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        one = OnnxContender if options.serve == "onnxruntime" else None
        serve(
            one(options.archive, options.threads)
            if one
            else TorchContender(options.serve, options.archive, options.threads)
        )
        return
    print(f"{machine(options.threads)}\n")
    with tempfile.TemporaryDirectory() as folder:
        contenders = {
            "plain formulation": Process(sys.executable, "plain", options.archive, options.threads),
            "seaspeak": Process(sys.executable, "seaspeak", options.archive, options.threads),
        }
        if options.nemo_python:
            nemo = Process(options.nemo_python, "nemo", options.archive, options.threads)
            contenders = {"NeMo 3.0": nemo, **contenders}
        if options.onnx_python:
            weights = Path(folder) / "weights.npz"
            write_onnx_weights(options.archive, weights)
            contenders["onnxruntime"] = Process(options.onnx_python, "onnxruntime", str(weights), options.threads)
        apart = differences(contenders, options.archive)
        print_paired(paired(contenders, options.rounds), next(iter(contenders)))
        rows = [[key, f"{one.peak:.0f} MB", f"{apart[key]:.1e}"] for key, one in contenders.items()]
        table(["", "peak memory, all tasks", "largest difference from ours"], rows)
        for one in contenders.values():
            one.close()
    found = imports(options.nemo_python)
    table(["import", "seconds"], [[name, f"{seconds:.2f}"] for name, seconds in found.items()])
    if not options.archive:
        return
    print(f"Heavy packages loaded by inference: {', '.join(loaded_by_inference(options.archive)) or 'none'}\n")
    starts = cold(options.archive, options.nemo_python)
    table(["10 s recording, process start to text", "seconds"], [[k, f"{v:.2f}"] for k, v in starts.items()])
    if options.hours:
        seconds, peak = long_recording(options.archive, options.hours)
        factor = options.hours * 3600 / seconds
        print(f"A recording of {options.hours:g} h: {seconds:.0f} s ({factor:.0f} × real time), peak {peak:.0f} MB")


if __name__ == "__main__":
    main()
