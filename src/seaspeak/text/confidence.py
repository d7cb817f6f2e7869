"""How sure a recogniser was, from the probabilities of a frame (spec asr §10.6). Imports no torch.

With p the distribution over V symbols and a the exponent ``alpha``, each measure is 1 where one symbol has all the
probability and 0 where all have the same, but for ``probability``, which is max(p) itself.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from seaspeak.core.errors import ConfigError, nearest

AGGREGATIONS: dict[str, Callable[[np.ndarray], Any]] = {
    "mean": np.mean,
    "min": np.min,
    "max": np.max,
    "prod": np.prod,
}

METHODS = ("probability", "max_prob", "entropy")
ENTROPIES = ("gibbs", "tsallis", "renyi")
NORMS = ("lin", "exp")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceMethod:
    """How sure one frame is.

    Attributes:
        name: ``probability`` (the highest probability), ``max_prob`` or ``entropy``.
        entropy_type: ``gibbs``, ``tsallis`` or ``renyi``.
        alpha: exponent of the probabilities, above 0.
        entropy_norm: ``lin`` or ``exp``.
    """

    name: str = "probability"
    entropy_type: str = "tsallis"
    alpha: float = 0.33
    entropy_norm: str = "exp"

    def __post_init__(self) -> None:
        for key, known in (("name", METHODS), ("entropy_type", ENTROPIES), ("entropy_norm", NORMS)):
            value = getattr(self, key)
            if value not in known:
                raise ConfigError(
                    f"confidence method_cfg.{key} {value!r} is unknown",
                    expected=", ".join(known),
                    fix=nearest(str(value), known),
                )
        if not self.alpha > 0:
            raise ConfigError("confidence method_cfg.alpha has to be above 0", got=str(self.alpha))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ConfidenceMethod:
        """Read NeMo's ``method_cfg``; its key ``temperature`` is the old name of ``alpha``."""
        values = {key: config[key] for key in ("name", "entropy_type", "alpha", "entropy_norm") if key in config}
        if isinstance(config.get("temperature"), (int, float)):
            values["alpha"] = config["temperature"]
        return cls(**values)

    def __call__(self, log_probs: np.ndarray) -> np.ndarray:
        """Return (T,) float32 for (T, V) natural log-probabilities."""
        log_p = np.nan_to_num(log_probs.astype(np.float64), nan=-1e30, neginf=-1e30)
        if self.name == "probability":
            return np.exp(log_p.max(-1)).astype(np.float32)
        if self.name == "max_prob":
            return self._max_prob(log_p).astype(np.float32)
        measure = {"gibbs": self._gibbs, "tsallis": self._tsallis, "renyi": self._renyi}[self.entropy_type]
        return np.clip(measure(log_p), 0.0, 1.0).astype(np.float32)

    def _max_prob(self, log_p: np.ndarray) -> np.ndarray:
        scale = log_p.shape[-1] ** self.alpha
        peak: np.ndarray = np.exp(log_p.max(-1) * self.alpha)
        return (peak * scale - 1.0) / (scale - 1.0)

    def _powers(self, log_p: np.ndarray) -> np.ndarray:
        """Return (T,) the sum of p ** alpha."""
        total: np.ndarray = np.exp(log_p * self.alpha).sum(-1)
        return total

    def _gibbs(self, log_p: np.ndarray) -> np.ndarray:
        v, a = log_p.shape[-1], self.alpha
        entropy = -(np.exp(log_p * a) * log_p * a).sum(-1)
        if self.entropy_norm == "lin":
            return 1.0 - entropy / (v ** (1.0 - a) * a * math.log(v))
        lowest = math.exp(-(v ** (1.0 - a)) * a * math.log(v))
        return (np.exp(-entropy) - lowest) / (1.0 - lowest)

    def _tsallis(self, log_p: np.ndarray) -> np.ndarray:
        v, a = log_p.shape[-1], self.alpha
        if a == 1.0:
            return self._gibbs(log_p)
        entropy = (1.0 - self._powers(log_p)) / (a - 1.0)
        highest = (1.0 - v ** (1.0 - a)) / (a - 1.0)
        if self.entropy_norm == "lin":
            return 1.0 - entropy / highest
        return (np.exp(-entropy) - math.exp(-highest)) / (1.0 - math.exp(-highest))

    def _renyi(self, log_p: np.ndarray) -> np.ndarray:
        v, a = log_p.shape[-1], self.alpha
        if a == 1.0:
            return self._gibbs(log_p)
        powers = self._powers(log_p)
        if self.entropy_norm == "lin":
            return 1.0 + np.log2(powers) / (a - 1.0) / math.log2(v)
        return (powers ** (1.0 / (a - 1.0)) * v - 1.0) / (v - 1.0)
