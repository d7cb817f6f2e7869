"""The first generation's small modules: a Taylor net that learns the sine, and a chatbot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaspeak._lazy import attach

if TYPE_CHECKING:
    from seaspeak.tutorials.chatbot import (
        DialogDataLayer,
        EncoderRNN,
        GreedyLuongAttnDecoderRNN,
        LuongAttnDecoderRNN,
        MaskedXEntropyLoss,
    )
    from seaspeak.tutorials.toys import CrossEntropyLoss, L1Loss, MSELoss, RealFunctionDataLayer, TaylorNet

__getattr__, __dir__, __all__ = attach(
    __name__,
    modules=["chatbot", "dialogs", "toys"],
    names={
        "seaspeak.tutorials.chatbot": [
            "DialogDataLayer",
            "EncoderRNN",
            "GreedyLuongAttnDecoderRNN",
            "LuongAttnDecoderRNN",
            "MaskedXEntropyLoss",
        ],
        "seaspeak.tutorials.toys": ["CrossEntropyLoss", "L1Loss", "MSELoss", "RealFunctionDataLayer", "TaylorNet"],
    },
)
