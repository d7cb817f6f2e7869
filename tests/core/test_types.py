"""Neural types: NeMo's truth tables, and what holds for all types."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import seaspeak.core.types as types
from seaspeak.core.types import (
    AudioSignal,
    AxisKind,
    AxisKindAbstract,
    AxisType,
    ChannelType,
    ElementType,
    LabelsType,
    LogitsType,
    LogprobsType,
    LossType,
    MaskType,
    MelSpectrogramType,
    NeuralPortNmTensorMismatchError,
    NeuralType,
    SpectrogramType,
    VoidType,
)
from seaspeak.core.types import NeuralTypeComparisonResult as Result
from seaspeak.core.types.remedy import remedy

GENERATIONS = ("v011", "v1", "v3")
ELEMENTS = [getattr(types, name) for name in types.__all__ if isinstance(getattr(types, name), type)]
ELEMENTS = [cls for cls in ELEMENTS if issubclass(cls, ElementType)]


def table(shared: Path, generation: str) -> dict[str, Any]:
    return json.loads((shared / "fixtures" / "core" / "neural_types" / f"{generation}.json").read_text())


def built(description: dict[str, Any]) -> NeuralType:
    element = getattr(types, description["element"])(**description["params"])
    if description["axes"] is None:
        return NeuralType(None, element)
    axes = [AxisType(AxisKind.from_str(axis["kind"]), axis["size"], axis["is_list"]) for axis in description["axes"]]
    return NeuralType(axes, element)


def forgets_a_mismatch(expected: NeuralType, given: NeuralType) -> bool:
    """Whether a pair of axes differs and NeMo forgets it, because the last wildcard comes after the last difference."""
    if expected.axes is None or given.axes is None or len(expected.axes) != len(given.axes):
        return False
    forgotten, same = False, True
    for mine, yours in zip(expected.axes, given.axes, strict=True):
        if mine.kind is AxisKind.Any:
            forgotten, same = forgotten or not same, True
        elif mine.kind != yours.kind or mine.is_list != yours.is_list or mine.size not in (None, yours.size):
            same = False
    return forgotten and same


def has_audio_without_rate(generation: str, *descriptions: dict[str, Any]) -> bool:
    """Whether 0.11 fills in a rate of 16 kHz, where a type without a rate now accepts every rate."""
    return generation == "v011" and any(d["element"] == "AudioSignal" and not d["params"] for d in descriptions)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_comparison_is_nemos_except_where_nemo_forgets_a_mismatch(shared: Path, generation: str) -> None:
    facts = table(shared, generation)
    described, names = facts["types"], list(facts["types"])
    differing = set()
    for i, expected_name in enumerate(names):
        for j, given_name in enumerate(names):
            expected, given_type = built(described[expected_name]), built(described[given_name])
            nemo = facts["legend"][int(facts["compare"][i][j])]
            ours = expected.compare(given_type)
            if ours.name != nemo:
                differing.add((expected_name, given_name))
                excused = forgets_a_mismatch(expected, given_type) or has_audio_without_rate(
                    generation, described[expected_name], described[given_name]
                )
                assert excused, f"{expected_name} and {given_name}: {ours.name}, NeMo {nemo}"
    expected_differences = {("void_b_any_any", "spec_any3"), ("spec_b_any_any", "spec_any3")}
    if generation == "v011":
        expected_differences |= {("audio8k", "audio_default"), ("audio_default", "audio8k")}
    assert differing == expected_differences


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_cell_that_the_defect_touches_is_a_refusal(shared: Path, generation: str) -> None:
    described = table(shared, generation)["types"]
    touched = [
        (built(a), built(b))
        for a in described.values()
        for b in described.values()
        if forgets_a_mismatch(built(a), built(b))
    ]
    assert touched
    assert not any(expected.compare(given_type).connects for expected, given_type in touched)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_modules_connect_as_in_nemo(shared: Path, generation: str) -> None:
    """By symbols, as 0.11 connects them, and by tensors that carry their types, as the later generations do."""
    from tests.core.ports import consumer, producer

    facts = table(shared, generation)
    described, names = facts["types"], list(facts["types"])
    neural_types = [built(described[name]) for name in names]
    makers, takers = [producer(t) for t in neural_types], [consumer(t) for t in neural_types]
    values = [make() if generation == "v011" else make.forward() for make in makers]
    accepted = facts["link_accepted" if generation == "v011" else "typecheck_accepted"]
    differing = set()
    for i, take in enumerate(takers):
        for j, value in enumerate(values):
            try:
                take(x=value)
                connects = True
            except types.NeuralPortNmTensorMismatchError:
                connects = False
            if connects != (accepted[i][j] == "1"):
                differing.add((names[i], names[j]))
    expected = {("void_b_any_any", "spec_any3"), ("spec_b_any_any", "spec_any3")}
    if generation == "v011":
        expected |= {("audio8k", "audio_default"), ("audio_default", "audio8k")}
    assert differing == expected


@pytest.mark.parametrize("generation", GENERATIONS)
def test_elements_compare_as_in_nemo(shared: Path, generation: str) -> None:
    facts = table(shared, generation)
    described, names = facts["types"], list(facts["types"])
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if not has_audio_without_rate(generation, described[a], described[b]) or a == b:
                ours = built(described[a]).elements_type.compare(built(described[b]).elements_type)
                assert ours.name == facts["legend"][int(facts["element_compare"][i][j])], (a, b)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_labels_of_axes(shared: Path, generation: str) -> None:
    """Labels that a generation did not know may be known by now; ``dimension`` is what a kind prints itself as."""
    for label, kind in table(shared, generation)["axis_from_str"].items():
        if kind != "error:ValueError":
            assert AxisKind.from_str(label) is AxisKind[kind]
        elif generation == "v3" and label != "dimension":
            with pytest.raises(ValueError, match="Can't create AxisKind from"):
                AxisKind.from_str(label)


def test_every_element_type_of_every_generation_is_here_with_its_parent(shared: Path) -> None:
    facts = yaml.safe_load((shared / "spec" / "element_types.yaml").read_text())["element_types"]
    for fact in facts:
        cls = getattr(types, fact["name"])
        parent = fact["parent"] and getattr(types, fact["parent"])
        assert cls.__bases__ == (parent or object,)
        expected = {parameter["name"]: None for parameter in fact["parameters"]}
        assert cls().type_parameters == expected
    assert {cls.__name__ for cls in ELEMENTS} == {fact["name"] for fact in facts}


def test_every_kind_of_axis_is_here_with_its_number(shared: Path) -> None:
    facts = yaml.safe_load((shared / "spec" / "axis_kinds.yaml").read_text())
    assert {kind.name: kind.value for kind in AxisKind} == {fact["name"]: fact["value"] for fact in facts["axis_kinds"]}
    assert AxisKind.Channel is AxisKind.Dimension
    results = {fact["name"]: fact["value"] for fact in facts["comparison_results"]}
    assert {result.name: result.value for result in Result} == results
    assert {result.name for result in Result if result.connects} == set(facts["accepted_results"])


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ([AxisType(AxisKind.Time), AxisType(AxisKind.Batch, is_list=True)], "list axes come before tensor axes"),
        ("B K", "Can't create AxisKind from K"),
        ("B [T", "Can't create AxisKind from \\[T"),
        ("time_", "Can't create AxisKind from time_"),
        (("B", 3), "an axis is a string or an AxisType"),
        ("B batc", "did you mean 'batch'"),
    ],
)
def test_axes_that_mean_nothing_are_refused(axes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NeuralType(axes, VoidType())


def test_a_list_axis_has_no_fixed_size() -> None:
    with pytest.raises(ValueError, match="a list axis cannot have a fixed size"):
        AxisType(AxisKind.Batch, 3, is_list=True)


def test_an_element_type_is_an_instance() -> None:
    with pytest.raises(ValueError, match=r"fix +AudioSignal\(\)"):
        NeuralType("B T", AudioSignal)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"got +'audio'"):
        NeuralType("B T", "audio")  # type: ignore[arg-type]


def test_axes_have_many_spellings() -> None:
    expected = (AxisType(AxisKind.Batch), AxisType(AxisKind.Dimension), AxisType(AxisKind.Time))
    for spelling in ("B D T", "BDT", "batch channel time", "b c t_text", ("B", "D", "T"), tuple("BCT"), list(expected)):
        assert NeuralType(spelling, ChannelType()).axes == expected
    assert NeuralType(("B", AxisType(AxisKind.Time))).axes == NeuralType("B T").axes  # NeMo refuses the mixture
    assert NeuralType("time").axes == NeuralType("T").axes
    assert NeuralType("[B] T D:64").axes == (
        AxisType(AxisKind.Batch, is_list=True),
        AxisType(AxisKind.Time),
        AxisType(AxisKind.Dimension, 64),
    )


def test_nothing_about_a_type_can_be_changed() -> None:
    neural_type = NeuralType("B T", AudioSignal(16000))
    with pytest.raises(AttributeError, match="cannot be changed"):
        neural_type.optional = True
    with pytest.raises(AttributeError, match="cannot be changed"):
        del neural_type.axes
    with pytest.raises(AttributeError):
        neural_type.elements_type.freq = 8000  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        neural_type.axes[0].size = 3  # type: ignore[index, misc]


def test_texts() -> None:
    assert repr(NeuralType("B D:64 T", MelSpectrogramType(), optional=True)) == (
        'NeuralType("B D:64 T", MelSpectrogramType(), optional=True)'
    )
    assert repr(NeuralType("B T", AudioSignal(16000))) == 'NeuralType("B T", AudioSignal(freq=16000))'
    assert repr(NeuralType(None, LossType())) == "NeuralType(elements_type=LossType())"
    assert repr(NeuralType("B T")) == 'NeuralType("B T")'
    assert repr(NeuralType()) == "NeuralType(elements_type=VoidType())"
    assert NeuralType("B T", AudioSignal(16000)).text == "AudioSignal(freq=16000), axes B T"


def test_str_is_the_text_that_nemo_011_stores_in_graphs() -> None:
    assert str(NeuralType(("B", "C"), ChannelType())) == "axes: (batch, dimension); elements_type: ChannelType"
    assert str(NeuralType(None, LossType())) == "axes: None; elements_type: LossType"
    assert str(NeuralType("[B] T:5")) == "axes: (batch_listdim, time:5); elements_type: VoidType"


class Pixel(ElementType):
    """A type of one's own, written as for NeMo."""

    def __init__(self, depth: int = 8) -> None:
        self._params = {"depth": depth}

    @property
    def type_parameters(self) -> dict[str, Any]:
        return self._params

    @property
    def fields(self) -> tuple[str, ...]:
        return ("red", "green", "blue")


class GreyPixel(Pixel):
    @property
    def fields(self) -> tuple[str, ...]:
        return ("grey",)


class Mood(ElementType):
    kinds: tuple[str, ...] = ("good",)

    @property
    def fields(self) -> tuple[str, ...]:
        return self.kinds


class Room(AxisKindAbstract):
    Kitchen = 0
    Bath = 1


def test_types_and_axes_of_ones_own() -> None:
    kitchen, bath = (NeuralType((AxisType(AxisKind.Batch), AxisType(kind)), Pixel()) for kind in Room)
    assert kitchen.compare(kitchen) is Result.SAME
    assert kitchen.compare(bath) is Result.INCOMPATIBLE
    assert repr(kitchen) == 'NeuralType("B Kitchen", Pixel(depth=8))'
    assert Pixel(8).compare(Pixel(16)) is Result.SAME_TYPE_INCOMPATIBLE_PARAMS
    assert Pixel().compare(GreyPixel()) is Result.GREATER
    good, bad = Mood(), Mood()
    bad.kinds = ("bad",)
    assert good.compare(bad) is Result.INCOMPATIBLE
    assert good != bad


def test_compare_and_raise_error_names_module_and_port() -> None:
    expected = NeuralType("B T", AudioSignal(16000))
    expected.compare_and_raise_error("Net", "x", NeuralType("B T", AudioSignal(16000)))
    with pytest.raises(
        NeuralPortNmTensorMismatchError, match=r"input 'x' of Net .*SAME_TYPE_INCOMPATIBLE_PARAMS"
    ) as error:
        expected.compare_and_raise_error("Net", "x", NeuralType("B T", AudioSignal(8000)))
    assert isinstance(error.value, TypeError)
    assert error.value.got == "AudioSignal(freq=8000), axes B T"


@pytest.mark.parametrize(
    ("expected", "given_type", "fix"),
    [
        (NeuralType("B T", AudioSignal(16000)), NeuralType("B T", AudioSignal(8000)), "resample(samples, 8000, 16000)"),
        (NeuralType("B", Pixel(8)), NeuralType("B", Pixel(16)), "convert depth from 16 to 8"),
        (NeuralType("B D T", LogitsType()), NeuralType("B T D", LogitsType()), "x.transpose(1, 2)"),
        (NeuralType("B D T", LogitsType()), NeuralType("T B D", LogitsType()), "x.permute(1, 2, 0)"),
        (NeuralType("[B] T", LogitsType()), NeuralType("B T", LogitsType()), "list(x)"),
        (NeuralType("B T", LogitsType()), NeuralType("[B] T", LogitsType()), "pad_sequence(x, batch_first=True)"),
        (NeuralType("B D D T", LogitsType()), NeuralType("B D T T", LogitsType()), "into the expected order"),
        (NeuralType("B D:64"), NeuralType("B D:80"), "resize dimension from 80 to 64"),
        (NeuralType("B D:64"), NeuralType("B D"), "resize dimension from any size to 64"),
        (NeuralType("B", MelSpectrogramType()), NeuralType("B", SpectrogramType()), "make MelSpectrogramType of it"),
        (NeuralType("B D T", SpectrogramType()), NeuralType("B T", AudioSignal()), "AudioToMelSpectrogramPreprocessor"),
        (NeuralType("B T D", LogprobsType()), NeuralType("B T D", LogitsType()), "log_softmax"),
        (NeuralType("B T", LabelsType()), NeuralType("B T D", LogprobsType()), "argmax"),
        (NeuralType("B T", LabelsType()), NeuralType("B T", LossType()), "that makes LabelsType of LossType"),
        (NeuralType("B T D", LabelsType()), NeuralType("B T", MaskType()), "x.unsqueeze(dim)"),
        (NeuralType("B T", LabelsType()), NeuralType("B T D", MaskType()), "x.mean(dim)"),
        (NeuralType("B T", LabelsType()), NeuralType("B D", MaskType()), "kinds and order"),
        (NeuralType("B T", LabelsType()), NeuralType("B T", LabelsType()), ""),
    ],
)
def test_each_refusal_has_its_remedy(expected: NeuralType, given_type: NeuralType, fix: str) -> None:
    result = expected.compare(given_type)
    assert result.connects == (fix == "")
    proposed = remedy(expected, given_type, result)
    assert fix in proposed
    assert bool(fix) == bool(proposed)


# ------------------------------------------------------------------------------------------ what holds for all types

kinds = st.sampled_from(list(AxisKind))
sizes = st.none() | st.integers(1, 4)
tensor_axes = st.builds(AxisType, kinds, sizes)
list_axes = st.builds(AxisType, kinds, st.none(), st.just(True))
axes_lists = st.tuples(st.lists(list_axes, max_size=2), st.lists(tensor_axes, max_size=4)).map(
    lambda both: both[0] + both[1]
)
plain = st.sampled_from([cls for cls in ELEMENTS if cls is not VoidType])
elements = plain.flatmap(
    lambda cls: (
        st.builds(cls, freq=st.none() | st.sampled_from([8000, 16000])) if cls is AudioSignal else st.builds(cls)
    )
)
neural_types = st.builds(NeuralType, st.none() | axes_lists, elements | st.builds(VoidType), st.booleans())


@given(neural_types)
def test_a_type_accepts_itself(neural_type: NeuralType) -> None:
    assert neural_type.compare(neural_type) is Result.SAME


@given(axes_lists, elements, elements)
def test_less_and_greater_are_duals(axes: list[AxisType], a: ElementType, b: ElementType) -> None:
    there, back = NeuralType(axes, a).compare(NeuralType(axes, b)), NeuralType(axes, b).compare(NeuralType(axes, a))
    dual = {Result.LESS: Result.GREATER, Result.GREATER: Result.LESS}
    assert back is dual.get(there, there)


@given(neural_types, neural_types)
def test_optional_does_not_take_part_in_a_comparison(a: NeuralType, b: NeuralType) -> None:
    assert a.as_optional().compare(b.as_optional(False)) is a.compare(b)


@given(neural_types, neural_types)
def test_equal_types_compare_and_hash_alike(a: NeuralType, b: NeuralType) -> None:
    assert (a == b) == (b == a)
    if a == b:
        assert hash(a) == hash(b)
        assert a.compare(b) is Result.SAME


@given(neural_types)
def test_a_copy_is_equal_and_a_type_is_not_its_text(neural_type: NeuralType) -> None:
    for other in (copy.copy(neural_type), copy.deepcopy(neural_type), pickle.loads(pickle.dumps(neural_type))):
        assert other == neural_type
        assert hash(other) == hash(neural_type)
    assert neural_type != str(neural_type)
    assert (neural_type.elements_type == neural_type) is False


@given(neural_types)
def test_repr_can_be_read_back(neural_type: NeuralType) -> None:
    assert eval(repr(neural_type), dict(vars(types))) == neural_type


@given(axes_lists, st.data())
def test_how_axes_are_spelled_does_not_matter(axes: list[AxisType], data: st.DataObject) -> None:
    spellings = {kind: [label for label in _labels() if AxisKind.from_str(label) is kind] for kind in AxisKind}
    words = []
    for axis in axes:
        label = data.draw(st.sampled_from(spellings[axis.kind]))
        label = data.draw(st.sampled_from([label, label.upper(), label.capitalize()]))
        word = label if axis.size is None else f"{label}:{axis.size}"
        words.append(f"[{word}]" if axis.is_list else word)
    assert NeuralType(" ".join(words)).axes == NeuralType(words).axes == tuple(axes)


def _labels() -> list[str]:
    from seaspeak.core.types.axes import _KINDS

    return list(_KINDS)


@given(axes_lists, elements, elements)
def test_an_any_axis_accepts_what_is_in_its_place(axes: list[AxisType], a: ElementType, b: ElementType) -> None:
    wild = [AxisType(AxisKind.Any, None, axis.is_list) for axis in axes]
    assert NeuralType(wild, a).compare(NeuralType(axes, b)) is a.compare(b)
