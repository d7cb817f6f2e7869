"""Typed methods: what NeMo's type check accepts, and where ours deliberately differs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seaspeak.core.errors import DeclarationError, NeuralPortNameMismatchError, NeuralTypeError
from seaspeak.core.graph import graph_input
from seaspeak.core.module import Dataset, IterableDataset, NeuralModule
from seaspeak.core.types import (
    AcousticEncodedRepresentation,
    AudioSignal,
    LengthsType,
    LogitsType,
    LogprobsType,
    MelSpectrogramType,
    NeuralType,
    SpectrogramType,
    StringType,
    VoidType,
)
from seaspeak.core.typing import Typing, is_typecheck_enabled, typecheck

BDT, BTD, BT, B = ("B", "D", "T"), ("B", "T", "D"), ("B", "T"), ("B",)


def typed(
    inputs: dict[str, Any] | None,
    outputs: dict[str, Any] | None,
    forward: Callable[..., Any] = lambda self, *args, **ports: (*args, *ports.values())[0],
    **options: Any,
) -> Any:
    """A module with these ports, declared as NeMo's classes declare them."""

    class Net(NeuralModule):
        @property
        def input_types(self) -> Any:
            return inputs

        @property
        def output_types(self) -> Any:
            return outputs

        @typecheck(**options)
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return forward(self, *args, **kwargs)

    return Net()


def carrying(neural_type: NeuralType, *shape: int) -> Tensor:
    """A tensor that a typed method returned."""
    module = typed(None, {"out": neural_type}, lambda self: torch.zeros(*shape))
    return module()


SPECTROGRAM = NeuralType(BDT, SpectrogramType())
X, LENGTH = torch.zeros(2, 4, 5), torch.tensor([5, 3])


def spectrogram_net(*, optional: bool = False) -> Any:
    ports = {"x": SPECTROGRAM, "length": NeuralType(B, LengthsType())}
    if optional:
        ports["mask"] = NeuralType(BT, VoidType(), optional=True)
    return typed(ports, {"y": SPECTROGRAM})


def one_input(neural_type: Any, value: Any, **options: Any) -> Any:
    return typed({"x": neural_type}, None, **options)(x=value)


def disabled_globally() -> Any:
    typecheck.set_typecheck_enabled(False)
    try:
        return typed({"x": SPECTROGRAM}, {"y": SPECTROGRAM}, lambda self, x: x)(
            carrying(NeuralType(B, LogitsType()), 2)
        )
    finally:
        typecheck.set_typecheck_enabled(True)


def disabled_here() -> Any:
    with typecheck.disable_checks():
        return spectrogram_net()(x=torch.zeros(2), length=LENGTH)


def returning(outputs: dict[str, Any], value: Any) -> Any:
    return typed({"x": NeuralType()}, outputs, lambda self, x: value)(x=X)


TYPED_LENGTHS = [NeuralType(B, LengthsType())]
CASES: dict[str, Callable[[], Any]] = {
    "all_kwargs": lambda: spectrogram_net()(x=X, length=LENGTH),
    "positional": lambda: spectrogram_net()(X, LENGTH),
    "missing_mandatory": lambda: spectrogram_net()(x=X),
    "unexpected_name": lambda: spectrogram_net()(x=X, lengths=LENGTH),
    "too_many": lambda: spectrogram_net()(x=X, length=LENGTH, more=LENGTH),
    "optional_omitted": lambda: spectrogram_net(optional=True)(x=X, length=LENGTH),
    "optional_given": lambda: spectrogram_net(optional=True)(x=X, length=LENGTH, mask=torch.ones(2, 5)),
    "optional_none": lambda: spectrogram_net(optional=True)(x=X, length=LENGTH, mask=None),
    "mandatory_none": lambda: spectrogram_net()(x=X, length=None),
    "rank_too_low": lambda: spectrogram_net()(x=X[0], length=LENGTH),
    "rank_too_high": lambda: spectrogram_net()(x=X[None], length=LENGTH),
    "subtype": lambda: one_input(SPECTROGRAM, carrying(NeuralType(BDT, MelSpectrogramType()), 2, 4, 5)),
    "supertype": lambda: one_input(NeuralType(BDT, MelSpectrogramType()), carrying(SPECTROGRAM, 2, 4, 5)),
    "unrelated": lambda: one_input(NeuralType(BT, LengthsType()), carrying(NeuralType(BT, LogitsType()), 2, 5)),
    "transposed": lambda: one_input(SPECTROGRAM, carrying(NeuralType(BTD, SpectrogramType()), 2, 5, 4)),
    "freq_mismatch": lambda: one_input(
        NeuralType(BT, AudioSignal(16000)), carrying(NeuralType(BT, AudioSignal(8000)), 2, 5)
    ),
    "freq_vs_default": lambda: one_input(
        NeuralType(BT, AudioSignal()), carrying(NeuralType(BT, AudioSignal(16000)), 2, 5)
    ),
    "void_input": lambda: one_input(NeuralType(), carrying(SPECTROGRAM, 2, 4, 5)),
    "python_number": lambda: one_input(NeuralType(B, LengthsType()), 3),
    "output_too_few": lambda: returning({"y": SPECTROGRAM, "z": SPECTROGRAM}, X),
    "output_too_many": lambda: returning({"y": SPECTROGRAM}, (X, X)),
    "output_rank": lambda: returning({"y": SPECTROGRAM}, LENGTH.clone()),
    "output_list_as_tuple": lambda: returning(
        {"y": SPECTROGRAM, "z": NeuralType(B, LengthsType())}, [X.clone(), LENGTH.clone()]
    ),
    "output_none": lambda: returning({"y": SPECTROGRAM}, None),
    "output_optional_missing": lambda: returning(
        {"y": SPECTROGRAM, "z": NeuralType(B, LengthsType(), optional=True)}, X
    ),
    "output_gets_type": lambda: f"attached: {SPECTROGRAM.compare(carrying(SPECTROGRAM, 2, 4, 5).neural_type).name}",
    "list_input": lambda: one_input(TYPED_LENGTHS, [LENGTH, LENGTH]),
    "list_input_single": lambda: one_input(TYPED_LENGTHS, LENGTH),
    "nested_ok": lambda: one_input([TYPED_LENGTHS], [[LENGTH], [LENGTH, LENGTH]]),
    "nested_depth": lambda: one_input([TYPED_LENGTHS], [LENGTH]),
    "plain_gets_list": lambda: one_input(NeuralType(B, LengthsType()), [LENGTH]),
    "list_wrong_type": lambda: one_input(TYPED_LENGTHS, [carrying(NeuralType(B, LogitsType()), 2)]),
    "list_output": lambda: returning({"y": [SPECTROGRAM]}, [X.clone(), X.clone()]),
    "list_output_plain": lambda: returning({"y": [SPECTROGRAM]}, X),
    "ignore_collections": lambda: one_input(NeuralType(B, LengthsType()), [LENGTH], ignore_collections=True),
    "override_types": lambda: typed(
        {"x": SPECTROGRAM}, {"y": SPECTROGRAM}, input_types={"z": NeuralType(BT, LogitsType())}, output_types=None
    )(z=torch.zeros(2, 5)),
    "no_input_types": lambda: typed(None, {"y": SPECTROGRAM}, lambda self, x, n: x)(X, n=torch.zeros(1)),
    "no_output_types": lambda: typed({"x": SPECTROGRAM}, None, lambda self, x: (1, 2, 3))(x=X),
    "disabled_globally": disabled_globally,
    "disabled_context": disabled_here,
}
DELIBERATELY_DIFFERENT = {
    "positional": "ok",  # core 4.1 #12: positional arguments are bound by the signature
    "mandatory_none": "NeuralTypeError",  # core 4.1 #7: a mandatory port is there by name, with a value
    "list_input_single": "NeuralTypeError",  # core 4.1 #7: a tensor is no list of tensors
}
ONLY_IN_V1 = {"output_optional_missing": "TypeError"}  # where the generations differ, the newer one holds


@pytest.mark.parametrize("generation", ["typecheck_v1", "typecheck_v3"])
def test_nemos_cases_and_the_list_of_differences(shared: Path, generation: str) -> None:
    facts = json.loads((shared / "fixtures" / "core" / generation / "meta.json").read_text())["results"]
    assert CASES.keys() == facts.keys()
    ours = {name: outcome(case) for name, case in CASES.items()}
    nemo = {name: fact["result"].split(",")[0] for name, fact in facts.items()}
    if generation == "typecheck_v1":
        assert ONLY_IN_V1.items() <= nemo.items()
        nemo |= dict.fromkeys(ONLY_IN_V1, "ok")
    assert {name: result for name, result in ours.items() if result != nemo[name]} == {
        name: "TypeError" if result == "NeuralTypeError" else result for name, result in DELIBERATELY_DIFFERENT.items()
    }


def outcome(case: Callable[[], Any]) -> str:
    try:
        result = case()
    except TypeError:
        return "TypeError"
    return result if isinstance(result, str) else "ok"


# ------------------------------------------------------------------------------------------------ ports in annotations


class Encoded(NamedTuple):
    outputs: Annotated[Tensor, NeuralType("B D T", AcousticEncodedRepresentation())]
    encoded_lengths: Annotated[Tensor, NeuralType("B", LengthsType())]


class Encoder(NeuralModule):
    @typecheck()
    def forward(
        self,
        audio_signal: Annotated[Tensor, SPECTROGRAM],
        length: Annotated[Tensor, NeuralType("B", LengthsType())],
        mask: Annotated[Tensor, NeuralType("B T")] | None = None,
        scale: float = 1.0,
    ) -> Encoded:
        return Encoded(audio_signal * scale, length)


class Decoder(NeuralModule):
    @typecheck()
    def forward(
        self, encoder_output: Annotated[Tensor, NeuralType("B D T", AcousticEncodedRepresentation())]
    ) -> Annotated[Tensor, NeuralType("B T D", LogprobsType()), "logprobs"]:
        return encoder_output.transpose(1, 2)


class Joiner(NeuralModule):
    @typecheck()
    def forward(
        self, parts: list[Annotated[Tensor, SPECTROGRAM]], *, axis: int = 0
    ) -> list[Annotated[Tensor, NeuralType("B D T", SpectrogramType())]]:
        return [torch.cat(parts, axis)]

    @typecheck()
    def shorten(self, x: Annotated[Tensor, NeuralType("B T")], length: int) -> Annotated[Tensor, NeuralType("B T")]:
        return x[:, :length]


def test_ports_are_read_from_annotations() -> None:
    encoder = Encoder()
    assert encoder.input_types == encoder.input_ports
    assert encoder.input_types == {
        "audio_signal": SPECTROGRAM,
        "length": NeuralType("B", LengthsType()),
        "mask": NeuralType("B T", optional=True),
    }
    assert list(encoder.output_types or ()) == ["outputs", "encoded_lengths"]
    assert Decoder().output_types == {"logprobs": NeuralType("B T D", LogprobsType())}
    assert Joiner().input_types == {"parts": [SPECTROGRAM]}
    assert Joiner().output_types == {"output": [SPECTROGRAM]}


def test_eager_calls_attach_types_by_name_and_keep_the_named_tuple() -> None:
    encoded = Encoder()(X, LENGTH, scale=2.0)
    assert isinstance(encoded, Encoded)
    assert encoded.outputs.neural_type == NeuralType("B D T", AcousticEncodedRepresentation())  # type: ignore[attr-defined]
    assert Decoder()(encoded.outputs).shape == (2, 5, 4)
    assert Joiner()([X, X])[0].neural_type == SPECTROGRAM
    assert Joiner()(parts=[X, X], axis=1)[0].shape == (2, 8, 5)


def test_a_typed_method_has_its_own_ports() -> None:
    joiner = Joiner()
    assert joiner.shorten(torch.zeros(2, 5), 3).shape == (2, 3)
    with pytest.raises(NeuralTypeError, match=r"input 'x' of Joiner\.shorten has the wrong number of dimensions"):
        joiner.shorten(X, 3)


def test_the_message_names_both_modules_both_ports_both_types_and_the_remedy() -> None:
    logprobs = Decoder()(Encoder()(X, LENGTH).outputs)
    with pytest.raises(NeuralTypeError) as error:
        Decoder()(encoder_output=logprobs)
    assert str(error.value).splitlines() == [
        "input 'encoder_output' of Decoder does not accept output 'logprobs' of Decoder (INCOMPATIBLE)",
        "  got      LogprobsType, axes B T D",
        "  expected AcousticEncodedRepresentation, axes B D T",
        "  fix      put a module between them that makes AcousticEncodedRepresentation of LogprobsType",
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Encoder()(X), "Encoder needs input 'length'"),
        (lambda: Encoder()(X, None), "declare it with optional=True if Encoder can do without"),
        (lambda: Encoder()(), "Encoder needs inputs 'audio_signal', 'length'"),
        (lambda: Encoder()(X, lenght=LENGTH), "Wrong input port name: lenght; .*\n.*\n +fix +did you mean 'length'"),
        (lambda: Encoder()(X[0], LENGTH), r"got +2 dimensions, shape \(4, 5\)\n.*\n +fix +add the batch axis"),
        (lambda: Encoder()(X[None], LENGTH), "bring the tensor into the shape that the axes say"),
        (lambda: one_input(NeuralType(BT, AudioSignal()), torch.zeros(2, 2, 50)), "average the channels"),
        (lambda: Joiner()(X), "'parts' of Joiner is nested in no list.*\n.*in a list\n +fix +wrap it in a list"),
        (lambda: Joiner()([[[X]]]), "is nested in 3 levels of lists"),
        (lambda: Decoder()([X]), "is nested in a list"),
        (lambda: returning({"y": SPECTROGRAM, "z": SPECTROGRAM}, {"y": X}), "other outputs than it declares"),
        (lambda: returning({"y": SPECTROGRAM}, (X, X)), "returned another number of outputs.*\n +got +2\n.*1: y"),
        (lambda: returning({"y": [SPECTROGRAM]}, [LENGTH]), "output 'y' of Net has the wrong number of dimensions"),
        (
            lambda: returning({"y": SPECTROGRAM, "z": NeuralType(optional=True)}, (X, X, X)),
            "returned another number of outputs.*\n +got +3\n +expected +1 to 2",
        ),
    ],
)
def test_messages(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(NeuralTypeError, match=message):
        call()


def test_an_unknown_name_and_a_mismatch_have_their_own_classes() -> None:
    with pytest.raises(NeuralPortNameMismatchError):
        Encoder()(X, LENGTH, nothing=1)
    assert issubclass(NeuralPortNameMismatchError, TypeError)


def test_python_reports_too_many_positional_arguments_itself() -> None:
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        Decoder()(X, X)


def test_the_callers_tensor_is_not_retyped() -> None:
    encoded = Encoder()(X, LENGTH)
    assert not hasattr(X, "neural_type")
    assert not hasattr(LENGTH, "neural_type")
    assert encoded.encoded_lengths is not LENGTH
    assert encoded.encoded_lengths.data_ptr() == LENGTH.data_ptr()


def test_tensors_inside_the_callers_lists_are_not_retyped() -> None:
    lengths = [[torch.zeros(2)], [torch.zeros(2)]]
    module = typed({"x": [[NeuralType()]]}, {"y": [[NeuralType(B, LengthsType())]]}, lambda self, x: x)
    returned = module(x=lengths)
    assert returned[1][0].neural_type == NeuralType(B, LengthsType())
    assert not hasattr(lengths[1][0], "neural_type")
    module = typed({"x": NeuralType()}, {"y": NeuralType()}, lambda self, x: x["a"])
    assert module(x={"a": lengths[0][0]}) is not lengths[0][0]


def test_ignoring_collections_holds_for_outputs_too() -> None:
    plain = NeuralType(B, LengthsType())
    module = typed({"x": plain}, {"y": plain, "z": plain}, lambda self, x: [[x, x], [x]], ignore_collections=True)
    (first, second), (third,) = module(x=LENGTH)
    assert first.neural_type == second.neural_type == third.neural_type == plain


def test_dict_outputs_are_typed_by_name() -> None:
    ports = {"y": SPECTROGRAM, "n": NeuralType(B, LengthsType()), "z": NeuralType(optional=True)}
    result = returning(ports, {"n": torch.zeros(2), "y": X.clone()})
    assert list(result) == ["n", "y"]
    assert result["n"].neural_type == NeuralType(B, LengthsType())
    module = typed({"x": NeuralType()}, {"y": SPECTROGRAM}, lambda self, x: {"y": x})
    assert module(x=X)["y"] is not X


def test_named_tuples_are_typed_by_name_whatever_their_order() -> None:
    class Turned(NamedTuple):
        n: Tensor
        y: Tensor

    result = returning({"y": SPECTROGRAM, "n": NeuralType(B, LengthsType())}, Turned(torch.zeros(2), X.clone()))
    assert isinstance(result, Turned)
    assert result.y.neural_type == SPECTROGRAM  # type: ignore[attr-defined]


def test_a_container_may_be_wrapped_in_a_tuple_of_one() -> None:
    (items,) = returning({"y": [SPECTROGRAM]}, ([X.clone(), X.clone()],))
    assert [item.neural_type for item in items] == [SPECTROGRAM] * 2
    assert returning({"y": [SPECTROGRAM]}, []) == []


def test_list_axes_are_lists_or_dimensions() -> None:
    texts, rows = NeuralType("[B]", StringType()), NeuralType("[B] T", VoidType())
    assert one_input(texts, ["a", "b"]) == ["a", "b"]
    assert len(one_input(rows, [torch.zeros(3), torch.zeros(4)])) == 2
    assert one_input(rows, torch.zeros(2, 3)).shape == (2, 3)  # NeMo takes a tensor here, so do we
    with pytest.raises(NeuralTypeError, match="2 dimensions, shape"):
        one_input(rows, [torch.zeros(2, 3)])
    with pytest.raises(NeuralTypeError, match=r"in a list of lists.*\n.*in a list\n"):
        one_input(rows, [[torch.zeros(3)]])


def test_values_that_are_no_tensors_pass() -> None:
    array = np.zeros((2, 4, 5))
    assert one_input(SPECTROGRAM, array) is array
    with pytest.raises(NeuralTypeError, match="2 dimensions"):
        one_input(SPECTROGRAM, array[0])
    assert returning({"y": SPECTROGRAM}, 3) == 3


def test_operations_make_untyped_tensors_and_those_pass() -> None:
    logits = carrying(NeuralType(BDT, LogitsType()), 2, 4, 5)
    assert one_input(SPECTROGRAM, logits * 1) is not None
    with pytest.raises(NeuralTypeError):
        one_input(SPECTROGRAM, logits)


def test_a_tensor_with_a_type_can_be_saved_and_loaded(tmp_path: Path) -> None:
    for neural_type in (NeuralType(BT, AudioSignal(16000)), NeuralType("[B] D:4", optional=True), NeuralType()):
        tensor = torch.zeros(2, 5)
        tensor.neural_type = neural_type  # type: ignore[attr-defined]
        torch.save(tensor, tmp_path / "tensor.pt")
        assert torch.load(tmp_path / "tensor.pt").neural_type == neural_type


def test_ports_that_depend_on_the_instance_are_read_at_each_call() -> None:
    class Recorder(NeuralModule):
        def __init__(self, rate: int) -> None:
            super().__init__()
            self.rate = rate

        @property
        def input_types(self) -> dict[str, Any]:
            return {"x": NeuralType("B T", AudioSignal(self.rate))}

        @property
        def output_types(self) -> dict[str, Any]:
            return {"y": NeuralType("B T", AudioSignal(self.rate))}

        @typecheck()
        def forward(self, x: Tensor) -> Tensor:
            return x + 0

    low, high = Recorder(8000), Recorder(16000)
    signal = low(x=torch.zeros(1, 8))
    assert low(x=signal) is not None
    with pytest.raises(NeuralTypeError, match=r"resample\(samples, 8000, 16000\)"):
        high(x=signal)
    high.rate = 8000
    assert high(x=signal).neural_type == NeuralType("B T", AudioSignal(8000))


def test_a_mistake_in_a_property_is_reported_as_what_it_is() -> None:
    class Broken(NeuralModule):
        @property
        def input_types(self) -> dict[str, Any]:
            return {"x": NeuralType("B T", AudioSignal(self.sample_rate))}

        @typecheck()
        def forward(self, x: Tensor) -> Tensor:
            return x

    for value in (torch.zeros(1, 8), graph_input("x", NeuralType("B T"))):
        with pytest.raises(AttributeError, match="'Broken' object has no attribute 'sample_rate'"):
            Broken()(x=value)


def test_the_first_generations_names_declare_ports_too() -> None:
    class Old(NeuralModule):
        @property
        def input_ports(self) -> dict[str, Any]:
            return {"x": SPECTROGRAM}

        @property
        def output_ports(self) -> dict[str, Any]:
            return {"y": SPECTROGRAM}

        @typecheck()
        def forward(self, x: Tensor) -> Tensor:
            return x * 1

    assert Old().input_types == {"x": SPECTROGRAM}
    assert Old()(x=X).neural_type == SPECTROGRAM
    with pytest.raises(NeuralTypeError):
        Old()(x=LENGTH)


def test_a_subclass_keeps_the_ports_it_does_not_declare_anew() -> None:
    class Louder(Encoder):
        def forward(self, *args: Any, **kwargs: Any) -> Encoded:
            return super().forward(*args, **kwargs, scale=3.0)

    class Mel(Encoder):
        @typecheck()
        def forward(self, mel: Annotated[Tensor, NeuralType("B D T", MelSpectrogramType())]) -> Encoded:  # type: ignore[override]
            return super().forward(mel, LENGTH)

    assert Louder().input_types == Encoder().input_types
    assert Louder()(torch.ones(2, 4, 5), LENGTH).outputs.max() == 3
    assert list(Mel().input_types or ()) == ["mel"]
    assert Mel()(mel=X).outputs.shape == X.shape


def test_parameters_without_a_type_are_free_in_annotated_methods() -> None:
    assert Encoder()(audio_signal=X, length=LENGTH, scale=2).outputs is not None
    assert typed({"x": SPECTROGRAM}, None, lambda self, x: x)(x=X) is X


class Plain:
    @typecheck()
    def forward(self, x: Tensor) -> Tensor:
        return x


def test_a_typed_method_belongs_to_a_typing_class() -> None:
    with pytest.raises(RuntimeError, match=r"Plain\.forward is typed, but Plain is no Typing class"):
        Plain().forward(X)


def test_a_class_without_declarations_passes_everything() -> None:
    class Free(Typing):
        @typecheck()
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return args, kwargs

    assert Free().forward(1, x=2) == ((1,), {"x": 2})
    assert Free().input_types is None


def test_declarations_that_mean_nothing_are_refused() -> None:
    with pytest.raises(DeclarationError, match=r"input 'x' of Net is declared as a list with 2 elements"):
        one_input([SPECTROGRAM, SPECTROGRAM], X)
    with pytest.raises(DeclarationError, match="declared without a NeuralType"):
        one_input(SpectrogramType(), X)

    class Half(NamedTuple):
        y: Annotated[Tensor, SPECTROGRAM]
        z: Tensor

    def forward(self: Any) -> Any: ...

    forward.__annotations__["return"] = Half
    net = type("Net", (NeuralModule,), {"forward": forward})()
    with pytest.raises(DeclarationError, match=r"fields \['z'\] of .*Half"):
        _ = net.output_types


def test_annotations_that_cannot_be_resolved_are_an_error_only_if_they_name_ports() -> None:
    class Lost(NeuralModule):
        def forward(self, x: Annotated[Tensor, Nowhere]) -> Tensor:  # type: ignore[name-defined]  # noqa: F821
            return x

    class Unrelated(NeuralModule):
        def forward(self, x: Nowhere) -> Tensor:  # type: ignore[name-defined]  # noqa: F821
            return x

    with pytest.raises(DeclarationError, match=r"annotations of .*Lost\.forward cannot be resolved.*Nowhere"):
        _ = Lost().input_types
    assert Unrelated().input_types is None


# ------------------------------------------------------------------------------------------------------- the switches


@pytest.fixture
def wrong() -> Iterator[Callable[[], Any]]:
    module = spectrogram_net()
    yield lambda: module(x=carrying(NeuralType(BDT, LogitsType()), 2, 4, 5), length=LENGTH)
    typecheck.set_typecheck_enabled(True)
    typecheck.set_semantic_check_enabled(True)
    typecheck.wrapping = True


def test_blocks_without_checks_nest_and_restore(wrong: Callable[[], Any]) -> None:
    with typecheck.disable_checks():
        with typecheck.disable_checks():
            wrong()
        assert not is_typecheck_enabled()  # NeMo is on again here
        wrong()
    assert is_typecheck_enabled()
    with pytest.raises(NeuralTypeError):
        wrong()


def test_a_block_ends_when_an_error_leaves_it(wrong: Callable[[], Any]) -> None:
    with pytest.raises(KeyError), typecheck.disable_checks():
        raise KeyError
    assert is_typecheck_enabled()


def test_a_block_is_for_its_own_thread(wrong: Callable[[], Any]) -> None:
    seen = []
    with typecheck.disable_checks():
        thread = threading.Thread(target=lambda: seen.append(is_typecheck_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_the_process_switch_is_for_all_threads(wrong: Callable[[], Any]) -> None:
    seen = []
    typecheck.set_typecheck_enabled(False)
    wrong()
    thread = threading.Thread(target=lambda: seen.append(is_typecheck_enabled()))
    thread.start()
    thread.join()
    assert seen == [False]
    typecheck.set_typecheck_enabled()
    with pytest.raises(NeuralTypeError):
        wrong()


def test_semantic_checks_can_be_left_out_alone(wrong: Callable[[], Any]) -> None:
    with typecheck.disable_semantic_checks():
        wrong()
        with pytest.raises(NeuralTypeError, match="dimensions"):
            spectrogram_net()(x=LENGTH, length=LENGTH)
    typecheck.set_semantic_check_enabled(False)
    wrong()
    typecheck.set_semantic_check_enabled(True)
    with pytest.raises(NeuralTypeError):
        wrong()


def test_without_wrapping_the_decorator_is_the_identity(wrong: Callable[[], Any]) -> None:
    typecheck.enable_wrapping(False)

    def forward(self: Any, x: Tensor) -> Tensor:
        return x

    assert typecheck()(forward) is forward
    assert not is_typecheck_enabled()
    typecheck.enable_wrapping(True)
    assert is_typecheck_enabled()
    assert typecheck()(forward) is not forward


# ------------------------------------------------------------------------------------------- compile, export, data sets


class Small(NeuralModule):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.linear = Encoder(), nn.Linear(5, 5)

    @typecheck()
    def forward(
        self, x: Annotated[Tensor, SPECTROGRAM], length: Annotated[Tensor, NeuralType("B", LengthsType())]
    ) -> Encoded:
        encoded = self.encoder(audio_signal=x, length=length)
        return Encoded(self.linear(encoded.outputs), encoded.encoded_lengths)


def test_compiled_without_a_break_and_with_the_same_numbers() -> None:
    torch.manual_seed(0)
    module, x = Small(), torch.randn(2, 4, 5)
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x=x, length=LENGTH).outputs, module(x=x, length=LENGTH).outputs)


@pytest.mark.parametrize("strict", [False, True])
def test_exported_graph_holds_nothing_of_the_check(strict: bool) -> None:
    torch.manual_seed(0)
    module, x = Small().eval(), torch.randn(2, 4, 5)
    program = torch.export.export(module, (x, LENGTH), strict=strict)
    targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert targets == ["aten.mul.Tensor", "aten.linear.default"]
    outputs, lengths = program.module()(x, LENGTH)
    torch.testing.assert_close(outputs, module(x=x, length=LENGTH).outputs)
    torch.testing.assert_close(lengths, LENGTH)


class Numbers(Dataset):
    @property
    def output_types(self) -> dict[str, Any]:
        return {"x": NeuralType("B T", AudioSignal()), "n": NeuralType("B", LengthsType())}

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.full((3,), float(index)), index


class Endless(IterableDataset):
    def __iter__(self) -> Iterator[Tensor]:
        yield from torch.arange(3)


def test_batches_of_a_data_set_carry_its_types() -> None:
    dataset = Numbers()
    loader = torch.utils.data.DataLoader(dataset, batch_size=2, collate_fn=dataset.collate_fn)
    x, n = next(iter(loader))
    assert x.neural_type == NeuralType("B T", AudioSignal())
    assert n.neural_type == NeuralType("B", LengthsType())
    endless = Endless()
    loader = torch.utils.data.DataLoader(endless, batch_size=3, collate_fn=endless.collate_fn)
    assert next(iter(loader)).tolist() == [0, 1, 2]


def test_a_data_set_has_no_inputs() -> None:
    class Wrong(Numbers):
        @property
        def input_types(self) -> dict[str, Any]:
            return {}

    with pytest.raises(DeclarationError, match="Wrong is a data set"):
        Wrong().collate_fn([(X, 1)])
