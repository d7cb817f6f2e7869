"""Configurations from YAML files and the command line, by Hydra: ``@hydra_runner`` for scripts, ``compose`` for others.

Hydra is imported when a configuration is read.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from seaspeak.core.errors import ConfigError, FileMissingError, SeaspeakError, UnknownNameError, nearest, require
from seaspeak.training.lightning import PACKAGES
from seaspeak.training.packaged import CONFIGS, packaged_configs
from seaspeak.training.quiet import lower_voice
from seaspeak.training.settings import check_complete, leave_out_open_sets
from seaspeak.training.trainer import modernise_section

_QUIET = ("hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=stdout")
_SCHEMA, _WITH_SCHEMA = "seaspeak_schema", "seaspeak_with_schema"

Task = Callable[[DictConfig], Any]


def hydra_runner(
    config_path: str | None = ".", config_name: str | None = None, schema: Any = None
) -> Callable[[Task], Callable[..., Any]]:
    """Make ``main(cfg)`` a program: its configuration is read from YAML and changed from the command line.

    Like Hydra's own decorator, but no output folder is made and the working directory stays; names of packaged
    configurations (``quartznet_5x5``, ...) are found as well; an error that is made for people is printed as it is,
    with exit code 1 (``HYDRA_FULL_ERROR=1`` shows the traceback).

    Args:
        config_path: folder of the YAML files, relative to the script; it may be missing.
        config_name: the file to read, with or without ``.yaml``; ``--config-name`` on the command line wins.
        schema: a dataclass that says which keys there are, of which type; unknown keys are refused.

    The decorated function also takes a configuration itself: ``main(cfg)`` calls the function, without Hydra.
    """

    def decorate(task: Task) -> Callable[..., Any]:
        @functools.wraps(task)
        def program(cfg: DictConfig | None = None) -> Any:
            if cfg is not None:
                return task(cfg)
            return _run(task, config_path, config_name, schema)

        return program

    return decorate


def compose(config: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Read a configuration and change it.

    Args:
        config: the name of a packaged configuration, or the path of a YAML file.
        overrides: ``key=value``, ``+key=value``, ``++key=value``, ``~key``, as on Hydra's command lines.

    Raises:
        UnknownNameError: there is no such configuration, or no such key; the message has the nearest.
        ConfigError: an override, or the file, cannot be understood.
        MissingExtra: Hydra is not installed.
    """
    path = Path(config).expanduser()
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            raise FileMissingError(f"there is no configuration file {path}")
        initialize, place = _hydra("").initialize_config_dir, str(path.resolve().parent)
    elif config in packaged_configs():
        initialize, place = _hydra("").initialize_config_module, CONFIGS[0]
    else:
        known = packaged_configs()
        raise UnknownNameError(
            f"no packaged configuration is called {config!r}, and it is no file",
            expected=", ".join(known),
            fix=nearest(config, known),
        )
    find_packaged_configs()
    with initialize(place, version_base="1.3"):
        try:
            cfg: DictConfig = _hydra("").compose(path.stem, list(overrides))
        except (_hydra("errors").HydraException, OmegaConfBaseException, YAMLError) as error:
            raise _unusable(error, overrides, _hydra("").compose, path.stem) from error
    return cfg


def _unusable(error: Exception, overrides: Sequence[str], read: Callable[..., Any], name: str) -> ConfigError:
    """What to say of a configuration that Hydra refuses; a key that does not exist gets the nearest that does."""
    text = str(error).split("\n")[0]
    missing = re.match(r"Could not (?:override|delete)[^']*'([^']+)'", text)
    if missing is None or not overrides:
        return ConfigError(f"the configuration {name} cannot be used: {text or error.__cause__}")
    key = missing[1]
    parent = key.rpartition(".")[0]
    section = read(name, [])
    for part in filter(None, parent.split(".")):
        section = section.get(part) if isinstance(section, DictConfig) else None
    known = [f"{parent}.{one!s}".lstrip(".") for one in section] if isinstance(section, DictConfig) else []
    remedy = f"{nearest(key, known)} +{key}=... adds a key".strip()
    return UnknownNameError(f"the configuration {name} has no key {key!r}", fix=remedy)


def find_packaged_configs() -> None:
    """Let Hydra look for files in the packages :data:`CONFIGS` too, after the places it knows."""
    plugins = _hydra("core.plugins").Plugins.instance()
    base = _hydra("plugins.search_path_plugin").SearchPathPlugin

    class SeaspeakConfigs(base):  # type: ignore[misc, valid-type]  # the base is imported late
        def manipulate_search_path(self, search_path: Any) -> None:
            for package in CONFIGS:
                search_path.append(provider="seaspeak", path=f"pkg://{package}")

    if not any(found.__name__ == SeaspeakConfigs.__name__ for found in plugins.discover(base)):
        plugins.register(SeaspeakConfigs)


def _run(task: Task, config_path: str | None, config_name: str | None, schema: Any) -> None:
    """Compose the configuration from files and command line, and run ``task`` with it."""
    given = list(sys.argv[1:])

    @functools.wraps(task)
    def job(cfg: DictConfig) -> Any:
        lower_voice(*(package for package in PACKAGES if package in sys.modules))
        with _arguments(given):  # a launcher that starts this program again must see what the user wrote
            modernise_section(cfg)
            leave_out_open_sets(cfg)
            check_complete(cfg)
            return task(cfg)

    try:
        arguments = list(given)
        if schema is not None:
            config_name = _with_schema(schema, _take_config_name(arguments) or config_name)
        find_packaged_configs()
        main = _hydra("main").main(version_base="1.3", config_path=_folder(task, config_path), config_name=config_name)
        with _arguments(_with_overrides(arguments, _QUIET)):
            main(_plain_errors(job))()
    except SeaspeakError as error:
        raise SystemExit(_message(error)) from error


def _plain_errors(job: Task) -> Task:
    """Leave ``job`` with one message instead of a traceback where an error was made for people."""

    @functools.wraps(job)
    def run(cfg: DictConfig) -> Any:
        try:
            return job(cfg)
        except SeaspeakError as error:
            if os.environ.get("HYDRA_FULL_ERROR"):
                raise
            raise SystemExit(_message(error)) from error

    return run


def _message(error: SeaspeakError) -> str:
    return f"{Path(sys.argv[0]).name}: {error}"


def _hydra(module: str) -> ModuleType:
    return require(f"hydra.{module}".rstrip("."), extra="train", why="training from a configuration")


def _folder(task: Task, config_path: str | None) -> str | None:
    """The script's folder of configurations as an absolute path; None where there is none."""
    if config_path is None or config_path.startswith("pkg://"):
        return config_path
    folder = (Path(inspect.getfile(inspect.unwrap(task))).resolve().parent / config_path).resolve()
    return str(folder) if folder.is_dir() else None


def _with_overrides(arguments: list[str], overrides: tuple[str, ...]) -> list[str]:
    """Put overrides right behind the user's: Hydra's parser wants all of them in one row."""
    places = [
        i for i, text in enumerate(arguments) if not text.startswith("-") and ("=" in text or text.startswith("~"))
    ]
    at = places[-1] + 1 if places else len(arguments)
    return [*arguments[:at], *overrides, *arguments[at:]]


def _take_config_name(arguments: list[str]) -> str | None:
    """Remove ``--config-name NAME`` (or ``-cn NAME``, ``--config-name=NAME``) from ``arguments``; return NAME."""
    for i, text in enumerate(arguments):
        flag, equals, name = text.partition("=")
        if flag in ("--config-name", "-cn"):
            if equals:
                del arguments[i]
                return name
            if i + 1 < len(arguments):
                name = arguments[i + 1]
                del arguments[i : i + 2]
                return name
    return None


def _with_schema(schema: Any, config_name: str | None) -> str:
    """Store a configuration that lays the file ``config_name`` over the schema; return its name."""
    if config_name is None:
        raise ConfigError("a schema needs a config_name: the file that it describes")
    if os.path.basename(config_name) != config_name:
        raise SystemExit(
            f"--config-name {config_name}: with a schema this is a name without folders, --config-path gives the folder"
        )
    store = _hydra("core.config_store").ConfigStore.instance()
    store.store(name=_SCHEMA, node=schema)
    defaults = [_SCHEMA, config_name.removesuffix(".yaml"), "_self_"]
    store.store(name=_WITH_SCHEMA, node={"defaults": defaults})
    return _WITH_SCHEMA


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = [before[0], *arguments]
    try:
        yield
    finally:
        sys.argv = before
