"""Choices of the first generation's front door; names and numbers are NeMo's, old configurations hold them."""

from __future__ import annotations

from enum import Enum

import torch


class DeploymentFormat(Enum):
    """What a module can be exported to."""

    AUTO = 0
    PYTORCH = 1
    TORCHSCRIPT = 2
    ONNX = 3
    TRTONNX = 4
    JARVIS = 5


class OperationMode(Enum):
    """What a graph is for."""

    training = 0
    evaluation = 1
    both = 2


class Optimization(Enum):
    """How much of training runs in half precision.

    ``mxprO0`` is float32. The others run under ``torch.autocast``, which keeps the weights in float32 and computes in
    half precision what bears it. NVIDIA's Apex distinguished where the half-precision weights lie; autocast has one
    answer, so the three are one.
    """

    mxprO0 = 0
    mxprO1 = 1
    mxprO2 = 2
    mxprO3 = 3


class DeviceType(Enum):
    """Where modules compute."""

    GPU = 1
    CPU = 2
    AllGpu = 3

    @property
    def device(self) -> torch.device:
        """The device of torch."""
        return torch.device("cpu" if self is DeviceType.CPU else "cuda")
