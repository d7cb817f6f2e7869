"""Drawings of graphs as text in the language of Mermaid (https://mermaid.js.org)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from seaspeak.core.graph.steps import innermost, slots_in

if TYPE_CHECKING:
    from seaspeak.core.graph.graph import NeuralGraph


class _Origin(NamedTuple):
    node: str
    port: str
    declared: Any


def mermaid(graph: NeuralGraph) -> str:
    """Return a flow chart: a box for each call of a module, rounded ends for inputs and outputs, typed arrows."""
    lines = ["flowchart LR"]
    origins: dict[int, _Origin] = {}
    for number, (name, slot) in enumerate(graph.inputs.items()):
        lines.append(f'    in{number}(["{name}"])')
        origins[slot.number] = _Origin(f"in{number}", name, graph.input_types[name])
    for number, step in enumerate(graph.steps):
        lines.append(f'    step{number}["{step.module}<br/>{type(graph[step.module]).__name__}"]')
        for port, source in step.arguments.items():
            lines += [_arrow(origins[slot], f"step{number}", port) for slot in slots_in(source)]
        for port, slot in step.outputs.items():
            origins[slot.number] = _Origin(f"step{number}", port, step.declared[port])
    for number, (name, slot) in enumerate(graph.outputs.items()):
        lines.append(f'    out{number}(["{name}"])')
        lines.append(_arrow(origins[slot.number], f"out{number}", name))
    return "\n".join(lines)


def _arrow(origin: _Origin, target: str, port: str) -> str:
    ports = port if origin.port == port else f"{origin.port} → {port}"
    lists = "list of " if isinstance(origin.declared, list) else ""
    return f'    {origin.node} -- "{ports}<br/>{lists}{innermost(origin.declared).text}" --> {target}'
