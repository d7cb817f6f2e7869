"""How loud Lightning is."""

from __future__ import annotations

import logging


def lower_voice(*packages: str) -> None:
    """Let Lightning report problems only, unless the program has set its level: no tips, no lists of absent devices.

    ``logging.getLogger("lightning.pytorch").setLevel(logging.DEBUG)`` before training undoes it.
    """
    for package in packages:
        for name in (package, package.replace("pytorch_lightning", "lightning_fabric").replace(".pytorch", ".fabric")):
            if logging.getLogger(name).level == logging.INFO:  # what Lightning itself sets
                logging.getLogger(name).setLevel(logging.WARNING)
