"""Names that scripts, documents and checks rely on."""

from __future__ import annotations

import inspect

import pytest

import seaspeak

CORE = (
    "Model register NeuralModule Loss Dataset typecheck Typing NeuralModuleFactory NeuralGraph DeviceType Optimization "
    "OperationMode SimpleLossLoggerCallback NeuralType AxisType AxisKind AxisKindAbstract NeuralTypeComparisonResult"
)


def test_the_package_has_what_it_promises() -> None:
    for name in ("__version__", "logging", "core", "tutorials", "SeaspeakError", "collections"):
        assert getattr(seaspeak, name) is not None
        assert name in dir(seaspeak)


@pytest.mark.parametrize("name", CORE.split())
def test_core_has(name: str) -> None:
    assert getattr(seaspeak.core, name) is not None
    assert name in dir(seaspeak.core)


def test_core_has_everything_of_types() -> None:
    for name in seaspeak.core.types.__all__:
        assert getattr(seaspeak.core, name) is getattr(seaspeak.core.types, name)


@pytest.mark.parametrize("part", ["models", "modules", "losses", "metrics", "data"])
def test_asr_has(part: str) -> None:
    from seaspeak.collections import asr

    module = getattr(asr, part)
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (
            "restore_from",
            "restore_path override_config_path=None map_location=None strict=True return_config=False "
            "save_restore_connector=None trainer=None recipe=None",
        ),
        (
            "from_pretrained",
            "model_name refresh_cache=False override_config_path=None map_location=None strict=True "
            "return_config=False trainer=None",
        ),
        ("save_to", "save_path"),
        ("load_from_checkpoint", "checkpoint_path map_location=None"),
        ("list_available_models", ""),
    ],
)
def test_model_methods_take_the_arguments_of_nemo(method: str, parameters: str) -> None:
    from seaspeak.collections.asr.models import EncDecCTCModel

    for cls in (seaspeak.core.Model, EncDecCTCModel):
        found = inspect.signature(getattr(cls, method)).parameters.values()
        plain = [
            p.name if p.default is p.empty else f"{p.name}={p.default}"
            for p in found
            if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        assert plain[: len(parameters.split())] == parameters.split()


def test_checkpoints_are_loaded_strictly_unless_told_otherwise() -> None:
    assert inspect.signature(seaspeak.core.Model.load_from_checkpoint).parameters["strict"].default is True


def test_transcribe_takes_the_arguments_of_nemo() -> None:
    from seaspeak.collections.asr.models import EncDecCTCModel, WhisperModel

    for cls in (EncDecCTCModel, WhisperModel):
        parameters = inspect.signature(cls.transcribe).parameters
        wanted = {"audio", "paths2audio_files", "batch_size", "logprobs", "num_workers", "channel_selector", "verbose"}
        assert wanted | {"timestamps", "return_hypotheses"} <= set(parameters)
