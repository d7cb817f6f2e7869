"""What the type check costs: nanoseconds a call, times the calls of one forward pass of QuartzNet 15x5.

    OMP_NUM_THREADS=2 python benchmarks/typecheck.py [--seconds 15]

Each typed call of the pass is repeated with its own arguments and results, but without the network, with the check on,
switched off, and undecorated; so the figure is the check alone, and not the difference of two long times.
"""

from __future__ import annotations

import argparse
import functools
import timeit
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import torch
from omegaconf import OmegaConf

from seaspeak.collections.asr.models import EncDecCTCModel
from seaspeak.core import NeuralModule, typecheck

Recorded = tuple[NeuralModule, tuple[Any, ...], dict[str, Any], Any]


def nanoseconds(call: Callable[[], object], number: int = 2000) -> float:
    """Return the time of one call, the best of ten rounds."""
    return min(timeit.repeat(call, number=number, repeat=10)) / number * 1e9


def typed_calls(model: EncDecCTCModel, batch: dict[str, Any]) -> list[Recorded]:
    """Return every call of a neural module in one forward pass."""
    calls: list[Recorded] = []

    def keep(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        calls.append((module, args, kwargs, result))

    hooks = [
        module.register_forward_hook(keep, with_kwargs=True)
        for module in model.modules()
        if isinstance(module, NeuralModule)
    ]
    model(**batch)
    for hook in hooks:
        hook.remove()
    return calls


def price(call: Recorded) -> tuple[float, float]:
    """Return what one call pays for the check, and for the switched-off check, in nanoseconds."""
    module, args, kwargs, result = call

    @functools.wraps(type(module).forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        return result

    forward.__wrapped__ = getattr(type(module).forward, "__wrapped__", type(module).forward)
    checked = typecheck()(forward)
    plain = nanoseconds(lambda: forward(module, *args, **kwargs))
    on = nanoseconds(lambda: checked(module, *args, **kwargs))
    with typecheck.disable_checks():
        off = nanoseconds(lambda: checked(module, *args, **kwargs))
    return on - plain, off - plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="length of the recording")
    seconds = parser.parse_args().seconds

    config = OmegaConf.load(files("seaspeak.collections.asr.configs").joinpath("quartznet_15x5.yaml")).model
    config.train_ds = config.validation_ds = None
    model = EncDecCTCModel(cfg=config).eval()
    samples = int(seconds * 16000)
    batch = {"input_signal": torch.randn(1, samples) / 10, "input_signal_length": torch.tensor([samples])}
    with torch.inference_mode():
        calls = typed_calls(model, batch)
        forward = min(timeit.repeat(lambda: model(**batch), number=1, repeat=7)) * 1e9
    prices = [price(call) for call in calls]

    print(f"{'module':45}{'check, ns':>12}{'off, ns':>10}")
    for (module, *_), (on, off) in zip(calls, prices, strict=True):
        print(f"{type(module).__name__:45}{on:12.0f}{off:10.0f}")
    on, off = (sum(column) for column in zip(*prices, strict=True))
    print(f"{'together':45}{on:12.0f}{off:10.0f}")
    print(f"forward, 1 x {seconds:g} s: {forward / 1e6:.1f} ms, {torch.get_num_threads()} threads")
    print(f"check {100 * on / forward:.4f} %, switched off {100 * off / forward:.4f} %  (limit: 1 %)")


if __name__ == "__main__":
    main()
