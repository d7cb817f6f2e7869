# ruff: noqa: F403  (names are found when asked for; the imports are for type checkers)
"""The core: typed modules, graphs, models, archives. It knows torch, nothing of speech, text or Lightning.

Importing the package loads no torch; what needs it is found when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach
from seaspeak.core import types as _types
from seaspeak.core.types import *

if TYPE_CHECKING:
    from seaspeak.core import archive, config, errors, factory, graph, model, module, pretrained, registry, types
    from seaspeak.core.callbacks import (
        ActionCallback,
        EvaluatorCallback,
        NeMoCallback,
        SimpleLogger,
        SimpleLossLoggerCallback,
    )
    from seaspeak.core.data_layer import DataLayer
    from seaspeak.core.factory import NeuralModuleFactory
    from seaspeak.core.graph import NeuralGraph
    from seaspeak.core.model import Model
    from seaspeak.core.modes import DeploymentFormat, DeviceType, OperationMode, Optimization
    from seaspeak.core.module import Dataset, IterableDataset, Loss, NeuralModule
    from seaspeak.core.registry import register
    from seaspeak.core.symbols import NmTensor, Symbol, graph_input
    from seaspeak.core.typing import Typing, is_typecheck_enabled, typecheck

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=["archive", "config", "errors", "factory", "graph", "model", "module", "pretrained", "registry"],
    names={
        "seaspeak.core.callbacks": [
            "ActionCallback",
            "EvaluatorCallback",
            "NeMoCallback",
            "SimpleLogger",
            "SimpleLossLoggerCallback",
        ],
        "seaspeak.core.data_layer": ["DataLayer"],
        "seaspeak.core.factory": ["NeuralModuleFactory"],
        "seaspeak.core.graph": ["NeuralGraph"],
        "seaspeak.core.model": ["Model"],
        "seaspeak.core.modes": ["DeploymentFormat", "DeviceType", "OperationMode", "Optimization"],
        "seaspeak.core.module": ["Dataset", "IterableDataset", "Loss", "NeuralModule"],
        "seaspeak.core.registry": ["register"],
        "seaspeak.core.symbols": ["NmTensor", "Symbol", "graph_input"],
        "seaspeak.core.typing": ["Typing", "is_typecheck_enabled", "typecheck"],
    },
    ready=["types", *_types.__all__],
)
