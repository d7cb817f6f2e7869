"""From the section ``trainer`` of a configuration to a Lightning trainer."""

from __future__ import annotations

import inspect
import logging
from importlib.util import find_spec
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from seaspeak.core.config import as_config
from seaspeak.core.errors import MissingExtra, UnknownNameError, nearest, require
from seaspeak.training.lightning import PACKAGES
from seaspeak.training.quiet import lower_voice

logger = logging.getLogger(__name__)

_RENAMED = {"checkpoint_callback": "enable_checkpointing", "replace_sampler_ddp": "use_distributed_sampler"}
_GONE = (
    "amp_backend",
    "amp_level",
    "auto_select_gpus",
    "flush_logs_every_n_steps",
    "progress_bar_refresh_rate",
    "resume_from_checkpoint",
    "terminate_on_nan",
    "track_grad_norm",
    "weights_save_path",
    "weights_summary",
)


def make_trainer(section: DictConfig | dict[str, Any], **defaults: Any) -> Any:
    """Return the trainer that a section describes, of the installed Lightning package.

    Args:
        section: the arguments of Lightning's ``Trainer``; those of 2020 are translated.
        defaults: arguments for what the section does not say.

    Raises:
        UnknownNameError: the section has a key that the trainer does not; the message has the nearest.
        MissingExtra: Lightning is not installed.
    """
    if not any(find_spec(package.split(".")[0]) for package in PACKAGES):
        raise MissingExtra(
            "training needs the package 'lightning', which is not installed", fix='pip install "seaspeak[train]"'
        )
    package = next(name for name in PACKAGES if find_spec(name.split(".")[0]))
    trainer = require(package, extra="train", why="training").Trainer
    lower_voice(package)
    arguments = {**defaults, **modernise(OmegaConf.to_container(as_config(section), resolve=True))}
    known = inspect.signature(trainer.__init__).parameters
    for key in arguments:
        if key not in known:
            raise UnknownNameError(f"trainer.{key} is not an argument of Lightning's trainer", fix=nearest(key, known))
    return trainer(**arguments)


def modernise(given: Any) -> dict[str, Any]:
    """Return a trainer's arguments as Lightning has them today, from those of NeMo 1.0's configurations.

    >>> modernise({"gpus": 2, "accelerator": "ddp", "checkpoint_callback": False, "max_steps": None})
    {'enable_checkpointing': False, 'accelerator': 'gpu', 'devices': 2, 'strategy': 'ddp', 'max_steps': -1}
    """
    old = {str(key): value for key, value in given.items()}
    new = {_RENAMED.get(key, key): value for key, value in old.items() if key not in ("gpus", "max_steps", *_GONE)}
    if dropped := [key for key in _GONE if old.get(key) is not None]:
        logger.warning("these settings of trainer have no effect any more: %s", ", ".join(dropped))
    ways = {"accelerator", "distributed_backend"}
    strategy = next((old[way] for way in ways if str(old.get(way)).startswith(("ddp", "dp"))), None)
    if strategy or "gpus" in old:
        for way in ways:
            new.pop(way, None)
        gpus = old.get("gpus")
        new["accelerator"] = "gpu" if gpus else ("cpu" if "gpus" in old else "auto")
        if "gpus" in old:
            new["devices"] = gpus or 1
        if strategy and gpus not in (None, 0, 1):
            new["strategy"] = "ddp" if strategy == "dp" else strategy
    if "max_steps" in old:
        new["max_steps"] = -1 if old["max_steps"] is None else old["max_steps"]
    return new


def modernise_section(cfg: DictConfig) -> None:
    """Translate ``cfg.trainer`` in place, so that ``Trainer(**cfg.trainer)`` works."""
    section = cfg.get("trainer")
    if isinstance(section, DictConfig):
        plain = OmegaConf.to_container(section, resolve=True)
        if (modern := modernise(plain)) != plain:
            with open_dict(cfg):
                cfg.trainer = modern
