"""``seaspeak train``: from a configuration and a manifest to a model."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from seaspeak.core.errors import ConfigError
from seaspeak.training.packaged import packaged_configs

SHOWN = ("train_loss", "t_loss", "training_batch_wer", "val_loss", "val_wer", "val_cer")
TRIED = {
    "transcribe": "seaspeak transcribe FILE -m",
    "add_punctuation_capitalization": "seaspeak punctuate FILE -m",
    "generate_spectrogram": 'seaspeak speak "Hello." -o hello.wav --tts',
    "convert_spectrogram_to_audio": 'seaspeak speak "Hello." -o hello.wav --vocoder',
}
"""How to try a model, by a verb that it has."""

_RESUME = ("++exp_manager.resume_if_exists=true", "++exp_manager.resume_ignore_no_checkpoint=true")


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=f"Packaged configurations: {', '.join(packaged_configs())}.")
def train(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Changes: KEY=VALUE sets a key, +KEY=VALUE adds one, ~KEY removes one (Hydra's grammar).",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option("-c", "--config", metavar="NAME|FILE", help="A packaged configuration, or a YAML file."),
    ] = None,
) -> None:
    """Train a model. The same command again goes on from the last checkpoint.

    seaspeak train --config quartznet_5x5 model.train_ds.manifest_filepath=train.json
    model.validation_ds.manifest_filepath=dev.json trainer.max_epochs=50
    """
    if config is None:
        raise typer.BadParameter(f"name one of {', '.join(packaged_configs())}, or a YAML file", param_hint="--config")
    with _messages():
        _train(config, overrides or [])


def _train(config: str, overrides: list[str]) -> None:
    from seaspeak.training import exp_manager
    from seaspeak.training.hydra import compose
    from seaspeak.training.settings import check_complete, leave_out_open_sets
    from seaspeak.training.trainer import make_trainer

    cfg = compose(config, [*_RESUME, *overrides])
    leave_out_open_sets(cfg)
    check_complete(cfg)
    trainer = make_trainer(
        cfg.get("trainer") or {},
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stdout.isatty(),
    )
    folder = exp_manager(trainer, cfg.get("exp_manager") or {})
    if (seed := cfg.get("seed")) is not None:
        _package(trainer).seed_everything(seed, workers=True, verbose=False)
    model = _model(cfg, trainer)
    _log_every_epoch(trainer, model)
    reporter = _reporter(_package(trainer))
    trainer.callbacks.insert(0, reporter)
    _say(f"{type(model).__name__}, {sum(p.numel() for p in model.parameters()):,} parameters, on {_device(trainer)}")
    _fit(trainer, model)
    if not reporter.started:
        _say("this run is complete: trainer.max_epochs=... goes on with it, exp_manager.name=... starts another")
    if trainer.is_global_zero and folder is not None:
        typer.echo(_results(trainer, folder))


def _model(cfg: Any, trainer: Any) -> Any:
    from seaspeak.collections.asr.models import EncDecCTCModel
    from seaspeak.core import Model

    kind: Any = Model if cfg.model.get("target") else EncDecCTCModel
    return kind.from_config_dict(cfg.model, trainer=trainer)


def _log_every_epoch(trainer: Any, model: Any) -> None:
    """Let a small data set be logged at least once an epoch."""
    loader = model.train_dataloader()
    if hasattr(loader, "__len__") and trainer.log_every_n_steps:
        trainer.log_every_n_steps = max(1, min(trainer.log_every_n_steps, len(loader)))


def _fit(trainer: Any, model: Any) -> None:
    """Train; an interrupted run says from where it can go on.

    Raises:
        ConfigError: the checkpoint to go on from belongs to another network.
        KeyboardInterrupt: Ctrl-C.
    """
    try:
        trainer.fit(model)
    except SystemExit:
        if not trainer.interrupted:
            raise
        _say(f"stopped at step {trainer.global_step}; the same command goes on from the last checkpoint")
        raise KeyboardInterrupt from None
    except RuntimeError as error:
        if trainer.ckpt_path is None or "loading state_dict" not in str(error):
            raise
        raise ConfigError(
            f"{trainer.ckpt_path} belongs to another network than this configuration describes",
            got=str(error).splitlines()[1].strip(),
            fix="exp_manager.name=... starts a run of its own",
        ) from error


def _reporter(package: Any) -> Any:
    """A callback that writes a line after every epoch."""

    class Reporter(package.Callback):
        started = validated = False

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self.started = True

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            self.validated = not trainer.sanity_checking

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            found = trainer.callback_metrics
            names = [name for name in SHOWN if name in found and (self.validated or not name.startswith("val"))]
            text = "  ".join(f"{name} {float(found[name]):.4g}" for name in names)
            line = f"epoch {trainer.current_epoch}  step {trainer.global_step}  {text}"
            if trainer.is_global_zero:
                bar = trainer.progress_bar_callback
                bar.print(line) if bar is not None else _say(line)
            self.validated = False

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            if isinstance(exception, KeyboardInterrupt):
                sys.excepthook = lambda *_: None  # threads that talk to stopped workers have nothing to tell

    return Reporter()


def _results(trainer: Any, folder: Path) -> str:
    """Where everything is, and what can be done with it."""
    saver = next((one for one in trainer.checkpoint_callbacks if hasattr(one, "nemo_path")), None)
    rows = [("results", _short(folder)), ("curves", _short(folder / "metrics.csv"))]
    if saver is not None:
        if saver.best_model_path:
            rows.append(("best", f"{_short(saver.best_model_path)}  ({saver.monitor} {saver.best_model_score:.4g})"))
        if saver.last_model_path:
            rows.append(("last", _short(saver.last_model_path)))
        if saver.nemo_path.exists():
            model = _short(saver.nemo_path)
            rows.append(("model", model))
            rows += [("try it", f"{how} {model}") for verb, how in TRIED.items() if hasattr(trainer.model, verb)]
    return "\n".join(f"{name:9}{text}" for name, text in rows)


def _short(path: str | Path) -> str:
    """A path as it can be typed here: relative, where it lies below the working directory."""
    path = Path(path)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _package(trainer: Any) -> Any:
    from seaspeak.training.lightning import package_of

    return import_module(str(package_of(trainer)))


def _device(trainer: Any) -> str:
    kind = trainer.strategy.root_device.type
    return f"{trainer.world_size} x {kind}" if trainer.world_size > 1 else kind


def _say(text: str) -> None:
    typer.echo(text, err=True)


@contextmanager
def _messages() -> Iterator[None]:
    """Show what Seaspeak logs, on standard error; and not what Lightning has to say to its own developers."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    found = logging.getLogger("seaspeak")
    before = found.level
    found.addHandler(handler)
    found.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"lightning|pytorch_lightning")
            warnings.filterwarnings("ignore", message=".*does not have many workers")
            warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")
            yield
    finally:
        found.removeHandler(handler)
        found.setLevel(before)
