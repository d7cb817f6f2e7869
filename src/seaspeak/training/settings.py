"""What the section ``exp_manager`` of a configuration may say, and how it is read."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seaspeak.core.config import to_config
from seaspeak.core.errors import ConfigError, UnknownNameError, nearest

logger = logging.getLogger(__name__)


@dataclass
class CheckpointSettings:
    """``checkpoint_callback_params``: what is kept of a run, and when.

    Attributes:
        dirpath: folder of the checkpoints; null: ``checkpoints`` in the run's folder.
        filename: pattern such as ``{epoch}-{val_loss:.2f}``; null: name, monitored value, epoch and step.
        monitor: the logged value by which the best are chosen, with ``mode`` ``min`` or ``max``.
        save_last: keep the newest state, from which a run is resumed.
        save_top_k: keep as many of the best; -1 keeps all, 0 none.
        save_weights_only: leave out what only resuming needs.
        every_n_epochs, every_n_train_steps: how often; set the second for long epochs.
        train_time_interval: minutes between checkpoints.
        prefix, postfix: name of the ``.nemo`` file; null: the run's name.
        save_nemo_on_train_end: write the ``.nemo`` file when training ends.
        save_best_model: with the best weights in it, not the last.
        always_save_nemo: write it at every checkpoint too.
        auto_insert_metric_name: write the names of the values into file names that ``filename`` describes.
        verbose: log every checkpoint.
    """

    dirpath: str | None = None
    filename: str | None = None
    monitor: str = "val_loss"
    mode: str = "min"
    save_last: bool = True
    save_top_k: int = 3
    save_weights_only: bool = False
    every_n_epochs: int | None = None
    every_n_train_steps: int | None = None
    train_time_interval: float | None = None
    prefix: str | None = None
    postfix: str = ".nemo"
    save_nemo_on_train_end: bool = True
    save_best_model: bool = False
    always_save_nemo: bool = False
    auto_insert_metric_name: bool = True
    verbose: bool = False
    # NeMo's, without a meaning here
    filepath: str | None = None
    period: int | None = None
    save_on_train_epoch_end: bool | None = None
    model_parallel_size: int | None = None
    async_save: bool = False
    save_last_n_optim_states: int = -1


@dataclass
class EarlyStoppingSettings:
    """``early_stopping_callback_params``: the arguments of Lightning's ``EarlyStopping``."""

    monitor: str = "val_loss"
    mode: str = "min"
    min_delta: float = 0.001
    patience: int = 10
    verbose: bool = True
    strict: bool = True
    check_finite: bool = True
    stopping_threshold: float | None = None
    divergence_threshold: float | None = None
    check_on_train_epoch_end: bool | None = None
    log_rank_zero_only: bool = False


@dataclass
class ExperimentSettings:
    """The section ``exp_manager``; keys and defaults are NeMo's where it has them.

    Attributes:
        exp_dir, name, version: the run's folder is ``exp_dir/name/version``.
        explicit_log_dir: the run's folder, whatever the three say.
        use_datetime_version: a version that is not given is the time, else ``version_<n>``.
        resume_if_exists: go on from the newest checkpoint in the folder; no version folder is added then.
        resume_ignore_no_checkpoint: start anew where there is none.
        resume_past_end: also resume from a file ``*end.ckpt``, which says that training was complete.
        resume_from_checkpoint: a checkpoint to go on from when the folder has none.
        create_csv_logger: write ``metrics.csv``.
        create_tensorboard_logger: write TensorBoard's files, if it is installed.
        create_checkpoint_callback: keep checkpoints, see :class:`CheckpointSettings`.
        create_early_stopping_callback: stop when a value does not get better.
        max_time_per_run: stop after ``DD:HH:MM:SS``, keeping the state.
        files_to_copy: are copied into the run's folder.
    """

    explicit_log_dir: str | None = None
    exp_dir: str | None = None
    name: str | None = None
    version: str | None = None
    use_datetime_version: bool = True
    resume_if_exists: bool = False
    resume_past_end: bool = False
    resume_ignore_no_checkpoint: bool = False
    resume_from_checkpoint: str | None = None
    create_csv_logger: bool = True
    create_tensorboard_logger: bool = True
    summary_writer_kwargs: dict[str, Any] | None = None
    create_wandb_logger: bool = False
    wandb_logger_kwargs: dict[str, Any] | None = None
    create_mlflow_logger: bool = False
    mlflow_logger_kwargs: dict[str, Any] | None = None
    create_checkpoint_callback: bool = True
    checkpoint_callback_params: CheckpointSettings = field(default_factory=CheckpointSettings)
    create_early_stopping_callback: bool = False
    early_stopping_callback_params: EarlyStoppingSettings = field(default_factory=EarlyStoppingSettings)
    max_time_per_run: str | None = None
    files_to_copy: list[str] | None = None
    # NeMo's, without a meaning here
    create_dllogger_logger: bool = False
    dllogger_logger_kwargs: dict[str, Any] | None = None
    create_clearml_logger: bool = False
    clearml_logger_kwargs: dict[str, Any] | None = None
    create_neptune_logger: bool = False
    neptune_logger_kwargs: dict[str, Any] | None = None
    create_preemption_callback: bool = True
    log_step_timing: bool = True
    log_delta_step_timing: bool = False
    step_timing_kwargs: dict[str, Any] | None = None
    log_local_rank_0_only: bool = False
    log_global_rank_0_only: bool = False
    disable_validation_on_resume: bool = True
    ema: dict[str, Any] | None = None
    seconds_to_sleep: float = 5
    create_straggler_detection_callback: bool = False
    straggler_detection_params: dict[str, Any] | None = None
    create_fault_tolerance_callback: bool = False
    fault_tolerance: dict[str, Any] | None = None
    create_ipl_epoch_stopper_callback: bool = False
    ipl_epoch_stopper_params: dict[str, Any] | None = None
    log_tflops_per_sec_per_gpu: bool = True


_WITHOUT_EFFECT = (
    "create_dllogger_logger",
    "create_clearml_logger",
    "create_neptune_logger",
    "log_delta_step_timing",
    "create_straggler_detection_callback",
    "create_fault_tolerance_callback",
    "create_ipl_epoch_stopper_callback",
    "checkpoint_callback_params.filepath",
    "checkpoint_callback_params.period",
    "checkpoint_callback_params.async_save",
)


def read_settings(cfg: Any, section: str = "exp_manager") -> ExperimentSettings:
    """Read the section ``exp_manager``.

    Args:
        cfg: a dictionary, ``DictConfig`` or dataclass.
        section: the path of the section, for messages.

    Raises:
        UnknownNameError: it has a key that nothing is known of; the message has the full path and the nearest.
        ConfigError: a value is open (``???``) or of the wrong kind.
    """
    if not (isinstance(cfg, Mapping | DictConfig) or dataclasses.is_dataclass(cfg)):
        raise ConfigError(f"{section} is not a section of a configuration", got=type(cfg).__name__)
    given = to_config(cfg)
    _refuse_unknown(given, ExperimentSettings, section)
    check_complete(OmegaConf.create({section: given}))
    for key in ("checkpoint_callback_params", "early_stopping_callback_params"):
        if key in given and given[key] is None:
            del given[key]
    try:
        settings = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(ExperimentSettings), given))
    except OmegaConfBaseException as error:
        key = f"{section}.{error.full_key}" if error.full_key else section
        raise ConfigError(f"{key}: {str(error.msg or error).splitlines()[0]}") from error
    assert isinstance(settings, ExperimentSettings)
    if ignored := [key for key in _WITHOUT_EFFECT if OmegaConf.select(given, key)]:
        logger.warning("these settings of %s have no effect here: %s", section, ", ".join(ignored))
    if (settings.ema or {}).get("enable"):
        logger.warning("%s.ema has no effect yet: weights are not averaged", section)
    return settings


def leave_out_open_sets(cfg: DictConfig) -> None:
    """Set ``model.validation_ds`` and ``model.test_ds`` to null where it is open which data they are; says so."""
    for name in ("validation_ds", "test_ds"):
        section = OmegaConf.select(cfg, f"model.{name}")
        if isinstance(section, DictConfig) and OmegaConf.is_missing(section, "manifest_filepath"):
            cfg.model[name] = None
            logger.warning("no %s: model.%s.manifest_filepath is not given", name.replace("_ds", " data"), name)


def check_complete(cfg: DictConfig) -> None:
    """Refuse a configuration in which a value is still to be given, naming all of them at once.

    Raises:
        ConfigError: keys hold ``???``.
    """
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise ConfigError(
            f"the configuration leaves {len(missing)} value{'s' if len(missing) > 1 else ''} open (???)",
            got=", ".join(missing),
            fix=" ".join(f"{key}=..." for key in missing),
        )


def _refuse_unknown(given: DictConfig, known: Any, path: str) -> None:
    fields = {one.name: one for one in dataclasses.fields(known)}
    for key in map(str, given):
        if key not in fields:
            raise UnknownNameError(
                f"{path}.{key} is not a setting",
                fix=nearest(key, fields) or f"settings are {', '.join(fields)}",
            )
        factory = fields[key].default_factory
        if isinstance(factory, type) and isinstance(OmegaConf.select(given, key), DictConfig):
            _refuse_unknown(given[key], factory, f"{path}.{key}")
