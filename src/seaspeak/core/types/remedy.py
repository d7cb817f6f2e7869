"""What to do when two types do not fit: one line, from the result of their comparison."""

from __future__ import annotations

from seaspeak.core.types.comparison import NeuralTypeComparisonResult as Result
from seaspeak.core.types.elements import (
    AudioSignal,
    ElementType,
    EmbeddedTextType,
    LabelsType,
    LogitsType,
    LogprobsType,
    ProbsType,
    SpectrogramType,
    TokenIndex,
)
from seaspeak.core.types.neural_type import NeuralType

_BRIDGES: tuple[tuple[type[ElementType], type[ElementType], str], ...] = (
    (AudioSignal, SpectrogramType, "put AudioToMelSpectrogramPreprocessor between them"),
    (LogitsType, LogprobsType, "take torch.log_softmax of the logits first"),
    (LogitsType, ProbsType, "take torch.softmax of the logits first"),
    (LogprobsType, ProbsType, "take torch.exp of the log-probabilities first"),
    (ProbsType, LogprobsType, "take torch.log of the probabilities first"),
    (LogprobsType, LabelsType, "take the argmax over the last axis first"),
    (LogitsType, LabelsType, "take the argmax over the last axis first"),
    (TokenIndex, EmbeddedTextType, "put an embedding between them"),
)


def remedy(expected: NeuralType, given: NeuralType, result: Result) -> str:
    """Return what makes ``given`` fit ``expected``, as a sentence without a full stop; empty if nothing is known."""
    if result is Result.SAME_TYPE_INCOMPATIBLE_PARAMS:
        return _align_parameters(expected.elements_type, given.elements_type)
    if result is Result.TRANSPOSE_SAME:
        return _reorder(expected, given)
    if result is Result.DIM_INCOMPATIBLE:
        return _resize(expected, given)
    if result is Result.LESS:
        return (
            f"make {expected.elements_type} of it first; if it is one already, declare the output that gives it "
            f"as {expected.elements_type}()"
        )
    return _bridge(expected, given) if result is Result.INCOMPATIBLE else ""


def _align_parameters(expected: ElementType, given: ElementType) -> str:
    if isinstance(expected, AudioSignal) and isinstance(given, AudioSignal):
        return f"resample: seaspeak.audio.resample.resample(samples, {given.freq}, {expected.freq})"
    wanted, has = expected.type_parameters, given.type_parameters
    changes = [
        f"{key} from {has.get(key)} to {wanted.get(key)}"
        for key in sorted(wanted | has)
        if wanted.get(key) != has.get(key)
    ]
    return "convert " + ", ".join(changes)


def _reorder(expected: NeuralType, given: NeuralType) -> str:
    wanted, has = expected.axes or (), given.axes or ()
    if [axis.is_list for axis in wanted] != [axis.is_list for axis in has]:
        if sum(axis.is_list for axis in wanted) > sum(axis.is_list for axis in has):
            return "split the tensor into a list: list(x)"
        return "pad the list into one tensor: torch.nn.utils.rnn.pad_sequence(x, batch_first=True)"
    places = list(range(len(has)))
    order = []
    for axis in wanted:
        place = next((i for i in places if has[i].kind == axis.kind), None)
        if place is None:
            return "bring the axes into the expected order"
        places.remove(place)
        order.append(place)
    moved = [i for i, place in enumerate(order) if i != place]
    if len(moved) == 2:
        return f"transpose: x.transpose({moved[0]}, {moved[1]})"
    return f"transpose: x.permute({', '.join(map(str, order))})"


def _resize(expected: NeuralType, given: NeuralType) -> str:
    has = {axis.kind: axis.size for axis in given.axes or ()}
    changes = [
        f"{axis.kind} from {has[axis.kind] or 'any size'} to {axis.size or 'any size'}"
        for axis in expected.axes or ()
        if has.get(axis.kind, axis.size) != axis.size
    ]
    return f"resize {', '.join(changes)}, or build the two modules for the same size"


def _bridge(expected: NeuralType, given: NeuralType) -> str:
    wanted, has = expected.elements_type, given.elements_type
    for source, target, advice in _BRIDGES:
        if isinstance(has, source) and isinstance(wanted, target):
            return advice
    if wanted.compare(has).connects and expected.axes is not None and given.axes is not None:
        return _change_rank(len(expected.axes) - len(given.axes))
    return f"put a module between them that makes {wanted} of {has}"


def _change_rank(missing: int) -> str:
    if missing > 0:
        return "add the missing axis: x.unsqueeze(dim)"
    if missing < 0:
        return "select from, or average over, the axis that is too many: x.mean(dim)"
    return "bring the axes into the expected kinds and order"
