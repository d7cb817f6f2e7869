"""Graphs: calls with symbols, found by walking back from the outputs, as modules that run, nest and draw themselves."""

from __future__ import annotations

from seaspeak.core.graph.graph import NeuralGraph
from seaspeak.core.graph.steps import Slot, Step
from seaspeak.core.symbols import Call, NmTensor, Symbol, graph_input

__all__ = ["Call", "NeuralGraph", "NmTensor", "Slot", "Step", "Symbol", "graph_input"]
