"""``Model``: configuration, network, data and optimiser in one class, and one ``.nemo`` file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from seaspeak.core import archive, registry
from seaspeak.core.artifacts import PREFIX, Artifacts, CheckpointFiles, missing
from seaspeak.core.config import Configuration, to_config
from seaspeak.core.errors import ArchiveError, ConfigError
from seaspeak.core.module import NeuralModule
from seaspeak.core.registry import plain_class
from seaspeak.core.restore import (
    NEMO_VERSION,
    build,
    decide_recipe,
    describe,
    own_recipe,
    read_checkpoint,
    restoring,
    restoring_from,
)
from seaspeak.core.trainable import Trainable

if TYPE_CHECKING:
    from seaspeak.core.pretrained import PretrainedModelInfo
    from seaspeak.core.weights import Storage

Self = TypeVar("Self", bound="Model")

_OF_A_RUN = ("_trainer", "_optimizer", "_scheduler")  # not kept in copies and pickles


class Model(Trainable, NeuralModule):
    """Base of all models: a neural module that is described by a configuration.

    A subclass builds its parts in its constructor, after ``super().__init__(cfg=cfg, trainer=trainer)``, with
    ``self.build(self.cfg.encoder)``, and says how data is set up, what a training step is, and so on. Without a
    training engine the object is plain torch; where Lightning is loaded, or a trainer is given, it is born as a
    LightningModule (see ``seaspeak.training.lightning``).

    Args:
        cfg: the model's section of a configuration: a dictionary, ``DictConfig``, dataclass, or path of a YAML file.
        trainer: the Lightning trainer that is going to train it.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make the object, in the form that the training engine needs if there is one."""
        model = super().__new__(registry.plug("lightning").form_for_call(cls, args, kwargs))
        model.__dict__["_constructor_call"] = ((), {})  # the configuration says it all; a trainer is not to be kept
        return model

    def __init__(self, cfg: Configuration, trainer: Any = None) -> None:
        super().__init__()
        config = to_config(cfg)
        if "model" in config:
            raise ConfigError(
                "the configuration has a section 'model': this is a script's, not a model's",
                fix=f"pass cfg.model: {type(self).__name__}(cfg=cfg.model, trainer=trainer)",
            )
        config.target = registry.nemo_name(plain_class(type(self)))
        if own_recipe(config) is None:
            config.setdefault("nemo_version", NEMO_VERSION)
            config.seaspeak = {"recipe": "current", "nemo_version": config.get("nemo_version")}
        self._cfg = config
        if source := restoring():
            self._artifacts.keep(config, source.files)
        for key, _ in self._artifacts.opened():
            OmegaConf.update(config, key, self._artifacts.path(key), force_add=True)
        self._prepare(trainer)

    # --- configuration ------------------------------------------------------------------------------------------

    @property
    def cfg(self) -> DictConfig:
        """The model's configuration."""
        return self._cfg

    @cfg.setter
    def cfg(self, cfg: Configuration) -> None:
        config = to_config(cfg)
        if own_recipe(config) is None:
            config.seaspeak = {"recipe": self.recipe, "nemo_version": config.get("nemo_version")}
        self._cfg = config
        self._keep_config()

    @property
    def recipe(self) -> str:
        """How features are computed: ``"0.11"``, ``"1.0"`` or ``"current"``."""
        return str(self._cfg.seaspeak.recipe)

    @property
    def init_params(self) -> dict[str, Any]:
        """What the constructor needs to build the same model."""
        return {"cfg": self._cfg}

    def build(self, section: Any, **overrides: Any) -> Any:
        """Build the part that a section of the configuration describes; ``overrides`` win over the section."""
        return registry.instantiate(section, caller=plain_class(type(self)), **overrides)

    @classmethod
    def from_config_dict(cls: type[Self], config: Any, trainer: Any = None) -> Self:
        """Build the model that a configuration describes; ``target`` may name a subclass of this class."""
        config = to_config(config)
        chosen = cls._class_for(config) if "target" in config else cls
        model = chosen(config, trainer=trainer) if trainer is not None else chosen(config)
        return cast(Self, model)

    @classmethod
    def from_config_file(cls: type[Self], path2yaml_file: str | os.PathLike[str], trainer: Any = None) -> Self:
        """Build the model that a YAML file describes: the file's section ``model`` if it has one."""
        config = to_config(path2yaml_file)
        return cls.from_config_dict(config.get("model", config), trainer=trainer)

    def to_config_file(self, path2yaml_file: str | os.PathLike[str]) -> None:
        """Write the configuration as YAML."""
        with archive.atomic(Path(path2yaml_file).expanduser()) as file:
            file.write(OmegaConf.to_yaml(self._cfg, resolve=True).encode())

    def summarize(self, max_depth: int = 1) -> str:
        """Return a table of the parts and their sizes, ``max_depth`` levels deep (-1: all)."""
        rows = [
            (name, type(part).__name__, sum(parameter.numel() for parameter in part.parameters()))
            for name, part in self.named_modules()
            if name and (max_depth < 0 or name.count(".") < max_depth)
        ]
        total = sum(parameter.numel() for parameter in self.parameters())
        rows.append((plain_class(type(self)).__name__, "", total))
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        lines = [f"{name:{widths[0]}}  {kind:{widths[1]}}  {count:>13,}" for name, kind, count in rows]
        return "\n".join([*lines[:-1], "-" * len(lines[-1]), lines[-1]])

    # --- saving and restoring -----------------------------------------------------------------------------------

    def save_to(self, save_path: str | os.PathLike[str], *, storage: Storage = "float32") -> None:
        """Write the model into a ``.nemo`` archive, which NeMo reads if the model is made of NeMo's classes.

        What stood at ``save_path`` before is replaced at once, or, if writing fails, left as it was. Of several
        processes that train together only the first one writes.

        Args:
            save_path: the file; its folder is made if it does not exist.
            storage: ``"float16"`` or ``"int8"`` give the smaller form of archives that are shipped.

        Raises:
            StorageError: the file cannot be written.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_rank():
            return
        archive.write(
            save_path,
            self._config_to_save(),
            self.state_dict(),
            {artifact.member: artifact.content for _, artifact in self._artifacts},
            storage,
        )

    def _config_to_save(self) -> DictConfig:
        plain = OmegaConf.to_container(self._cfg, resolve=True)
        config = cast(DictConfig, OmegaConf.create(_with_names_we_write(plain)))
        config.target = registry.nemo_name(plain_class(type(self)))
        config.seaspeak.nemo_version = config.get("nemo_version")
        for key, artifact in self._artifacts:
            OmegaConf.update(config, key, f"{PREFIX}{artifact.member}", force_add=True)
        return config

    @classmethod
    def restore_from(
        cls,
        restore_path: str | os.PathLike[str],
        override_config_path: Any = None,
        map_location: Any = None,
        strict: bool = True,
        return_config: bool = False,
        save_restore_connector: Any = None,
        trainer: Any = None,
        *,
        recipe: str | None = None,
        _known_recipe: str | None = None,
    ) -> Any:
        """Return the model of a ``.nemo`` archive, of its own class (or of the calling one, if that is a subclass).

        Args:
            restore_path: the archive, written by NeMo 1.0 to 3.0 or by Seaspeak.
            override_config_path: a configuration (or the path of one) to use instead of the archive's.
            map_location: the device; the first GPU if there is one.
            strict: whether the archive's weights must be exactly the model's.
            return_config: return the archive's configuration instead of a model.
            save_restore_connector: an object whose ``modify_state_dict(config, state_dict)``, if it has one, returns
                both as they shall be used.
            trainer: the trainer that is going to train the model.
            recipe: how features are computed, where the archive does not know it.

        Raises:
            FileMissingError: there is no such file.
            ArchiveError: it is damaged or unsafe, or its weights are not those of its configuration.
            UnknownNameError: it needs a class that is not known.
        """
        with archive.Archive.open(restore_path) as source, restoring_from(source):
            config = describe(source, override_config_path, recipe, _known_recipe)
            if return_config:
                return config
            state = source.state_dict()
            if hasattr(save_restore_connector, "modify_state_dict"):
                config, state = save_restore_connector.modify_state_dict(config, state)
            return cls._around(config, state, map_location, strict, str(restore_path), trainer)

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: str | os.PathLike[str],
        *args: Any,
        map_location: Any = None,
        hparams_file: str | os.PathLike[str] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Return the model of a training checkpoint; Lightning is not needed.

        Args:
            checkpoint_path: the file. It may hold plain values and tensors only, as our training writes it.
            *args: as for the constructor: a configuration to use instead of the one in the checkpoint, a trainer.
            map_location: the device; the first GPU if there is one.
            hparams_file: a YAML file with the configuration, for checkpoints that hold none.
            strict: whether the weights must be exactly the model's.
            **kwargs: ``cfg`` and ``trainer``, by name.

        Raises:
            FileMissingError: there is no such file.
            ArchiveError: it is damaged, holds objects, or no model.
        """
        given = {**dict(zip(("cfg", "trainer"), args, strict=False)), **kwargs}
        path = Path(checkpoint_path).expanduser()
        checkpoint = read_checkpoint(path)
        stored = to_config(hparams_file if hparams_file else checkpoint.get("hyper_parameters") or {})
        config = to_config(given.get("cfg") or stored.get("cfg", stored))
        if not config:
            raise ArchiveError(f"{path} holds no configuration", fix="pass cfg=..., or hparams_file=...")
        config.seaspeak = {"recipe": decide_recipe(config), "nemo_version": config.get("nemo_version")}
        with restoring_from(CheckpointFiles(checkpoint.get("artifacts") or {})):
            return cls._around(config, checkpoint["state_dict"], map_location, strict, str(path), given.get("trainer"))

    @classmethod
    def _around(
        cls, config: DictConfig, state: Mapping[str, Tensor], place: Any, strict: bool, where: str, trainer: Any
    ) -> Model:
        """The model of a configuration, around existing weights."""
        chosen = cls._class_for(config)
        config, state = chosen.adapt(config, state)

        def make() -> Model:
            return chosen(config, trainer=trainer) if trainer is not None else chosen(config)

        device = torch.device(place or ("cuda" if torch.cuda.is_available() else "cpu"))
        ours = chosen.__module__.startswith("seaspeak.")
        return build(make, state, device=device, strict=strict, where=where, trusted=not ours)

    @classmethod
    def adapt(cls, config: DictConfig, state: Mapping[str, Tensor]) -> tuple[DictConfig, Mapping[str, Tensor]]:
        """Return what was stored in the form that the class has today; here as it is.

        Args:
            config: the configuration; may be changed.
            state: the weights by name.
        """
        return config, state

    @classmethod
    def _class_for(cls, config: DictConfig) -> type[Model]:
        """The class that a stored configuration asks for: the calling class, where that is (a kind of) it."""
        target = config.get("target")
        if target is None and cls is not Model:
            return cls
        if target is None:
            raise ArchiveError("the archive does not say of which class its model is", fix="call a model's own class")
        if str(target).rpartition(".")[2] == cls.__name__:
            return cls  # the module that defines it may have moved, or been a script
        found = registry.resolve(str(target), caller=cls, key="target")
        if not issubclass(found, Model):
            raise ArchiveError(f"the archive's class {target!r} is no model")
        return cls if issubclass(cls, found) else found

    @classmethod
    def from_pretrained(
        cls,
        model_name: str,
        refresh_cache: bool = False,
        override_config_path: Any = None,
        map_location: Any = None,
        strict: bool = True,
        return_config: bool = False,
        trainer: Any = None,
    ) -> Any:
        """Return a published model by its name; ``list_available_models()`` lists them.

        Models that ship with Seaspeak and files that have been downloaded before need no network.

        Args:
            model_name: a name of the catalogue, or an alias.
            refresh_cache: download again, even if the file is there.
            override_config_path: a configuration (or the path of one) to use instead of the archive's.
            map_location: the device; the first GPU if there is one.
            strict: whether the archive's weights must be exactly the model's.
            return_config: return the archive's configuration instead of a model.
            trainer: the trainer that is going to train the model.

        Raises:
            UnknownNameError: no model has this name; the message has the nearest ones.
            DownloadError: the file cannot be fetched; the message says which file to put where.
        """
        from seaspeak.core import pretrained

        entry = pretrained.find(model_name)
        return cls.restore_from(
            pretrained.fetch(entry, refresh=refresh_cache),
            override_config_path=override_config_path,
            map_location=map_location,
            strict=strict,
            return_config=return_config,
            trainer=trainer,
            _known_recipe=entry.recipe,
        )

    @classmethod
    def list_available_models(cls) -> list[PretrainedModelInfo]:
        """The published models of this class and of its subclasses."""
        from seaspeak.core import pretrained

        return pretrained.of_class(cls)

    def register_artifact(self, config_path: str, src: str | None, verify_src_exists: bool = True) -> str | None:
        """Make a file part of the model: it is kept in memory, and written into the archive.

        Args:
            config_path: the dotted key of the configuration that names it.
            src: its path, or ``nemo:<member>`` of the archive that is being restored. Nothing happens without one.
            verify_src_exists: whether it is an error if there is no such file; otherwise None is returned.

        Returns:
            a path under which it can be opened as long as the model, or a copy of it, exists.

        Raises:
            FileMissingError: there is no such file.
        """
        if not src:
            return src
        if Path(src).suffix == ".nemo":
            raise ConfigError(f"{config_path}: an archive cannot be a part of another", got=src)
        source = restoring()
        if not self._artifacts.add(config_path, src, source.files if source else None):
            if verify_src_exists:
                raise missing(config_path, src)
            return None
        path = self._artifacts.path(config_path)
        if "_cfg" in self.__dict__:
            OmegaConf.update(self._cfg, config_path, path, force_add=True)
        return path

    def artifact_bytes(self, config_path: str) -> bytes:
        """The content of the file that was registered under ``config_path``."""
        return self._artifacts[config_path].content

    def has_artifacts(self) -> bool:
        """Whether files belong to the model."""
        return len(self._artifacts) > 0

    @property
    def _artifacts(self) -> Artifacts:
        """Made when first asked for: a subclass may register files before it calls this class's constructor."""
        found: Artifacts = self.__dict__.setdefault("_artifact_store", Artifacts())
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what belongs to a run."""
        return {**self.__dict__, **dict.fromkeys(_OF_A_RUN)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for key, _ in self._artifacts.opened():  # where this is loaded they lie in another folder
            OmegaConf.update(self._cfg, key, self._artifacts.path(key), force_add=True)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copies and pickles keep the form that the object has; only a constructor call chooses one."""
        state = cast(tuple[Any, ...], super().__reduce_ex__(max(2, protocol)))[2]
        engine = registry.plug("lightning")
        return engine.reborn, (plain_class(type(self)), engine.engine_package(type(self))), state


def _with_names_we_write(value: Any) -> Any:
    """A plain configuration in which every ``_target_`` is the name that NeMo has for the class."""
    if isinstance(value, list):
        return [_with_names_we_write(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: registry.canonical(item) if key == "_target_" and isinstance(item, str) else _with_names_we_write(item)
        for key, item in value.items()
    }
