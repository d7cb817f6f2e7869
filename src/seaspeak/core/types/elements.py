"""Element types: what the numbers in a tensor mean.

    ElementType
    ├── VoidType                          wildcard on the expected side
    ├── ChannelType                       hidden features
    │   ├── EmbeddedTextType
    │   ├── EncodedRepresentation ── AcousticEncodedRepresentation
    │   └── SpectrogramType ── MelSpectrogramType, MFCCSpectrogramType
    ├── LogitsType, ProbsType, LogprobsType, LossType, LengthsType, Index
    ├── LabelsType
    │   ├── HypothesisType
    │   └── PredictionsType ── RegressionValuesType, CategoricalValuesType, MaskType
    ├── AudioSignal(freq), VideoSignal(fps)
    ├── Target ── ClassificationTarget
    ├── ImageValue ── NormalizedImageValue, ImageFeatureValue
    ├── StringType ── StringLabel
    ├── BoolType, FloatType, IntType ── TokenIndex, Length
    ├── ProbabilityDistributionSamplesType ── NormalDistributionSamplesType
    └── NormalDistributionMeanType, NormalDistributionLogVarianceType, SequenceToSequenceAlignmentType,
        TokenDurationType, TokenLogDurationType, LogDeterminantType

Names and ancestry are NeMo's (generations 0.11 to 3.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seaspeak.core.types.comparison import NeuralTypeComparisonResult


class ElementType:
    """Root of all element types. Subclass it, or a class below it, to give your tensors a meaning of their own."""

    __slots__ = ()

    @property
    def type_parameters(self) -> dict[str, Any]:
        """What distinguishes two values of the same class, such as a sampling rate; ``None`` matches everything."""
        return {}

    @property
    def fields(self) -> tuple[str, ...] | None:
        """Names of the components, for a type of compound values."""
        return None

    def compare(self, second: ElementType) -> NeuralTypeComparisonResult:
        """Compare this type, the expected one, with a given one."""
        if type(self) is not type(second):
            return self._compare_classes(second)
        mine, yours = self.type_parameters, second.type_parameters
        if mine.keys() != yours.keys() or any(_differ(mine[key], yours[key]) for key in mine):
            return NeuralTypeComparisonResult.SAME_TYPE_INCOMPATIBLE_PARAMS
        if self.fields != second.fields:
            return NeuralTypeComparisonResult.INCOMPATIBLE
        return NeuralTypeComparisonResult.SAME

    def _compare_classes(self, second: ElementType) -> NeuralTypeComparisonResult:
        if isinstance(self, type(second)):
            return NeuralTypeComparisonResult.LESS
        if isinstance(second, type(self)):
            return NeuralTypeComparisonResult.GREATER
        return NeuralTypeComparisonResult.INCOMPATIBLE

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        return self.type_parameters == other.type_parameters and self.fields == other.fields

    def __hash__(self) -> int:
        return hash((type(self), tuple(sorted(self.type_parameters.items())), self.fields))

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value}" for key, value in self.type_parameters.items() if value is not None)
        return f"{type(self).__name__}({given})"

    def __str__(self) -> str:
        return type(self).__name__


def _differ(expected: object, given: object) -> bool:
    return expected is not None and given is not None and expected != given


class VoidType(ElementType):
    """Anything: as the expected type it accepts every other one."""

    __slots__ = ()

    def compare(self, second: ElementType) -> NeuralTypeComparisonResult:
        """Accept."""
        return NeuralTypeComparisonResult.SAME


class ChannelType(ElementType):
    """Hidden features, such as the channels of a convolution."""

    __slots__ = ()


class EmbeddedTextType(ChannelType):
    """Embeddings of words or pieces of words."""

    __slots__ = ()


class EncodedRepresentation(ChannelType):
    """What an encoder makes."""

    __slots__ = ()


class AcousticEncodedRepresentation(EncodedRepresentation):
    """What an encoder makes of sound."""

    __slots__ = ()


class SpectrogramType(ChannelType):
    """A spectrogram of any kind."""

    __slots__ = ()


class MelSpectrogramType(SpectrogramType):
    """A spectrogram in mel bands."""

    __slots__ = ()


class MFCCSpectrogramType(SpectrogramType):
    """Mel-frequency cepstral coefficients."""

    __slots__ = ()


class LogitsType(ElementType):
    """Scores that are not normalised."""

    __slots__ = ()


class ProbsType(ElementType):
    """Probabilities, as a softmax makes them."""

    __slots__ = ()


class LogprobsType(ElementType):
    """Natural logarithms of probabilities."""

    __slots__ = ()


class LabelsType(ElementType):
    """True labels, and what predicts them."""

    __slots__ = ()


class HypothesisType(LabelsType):
    """What a decoder wrote."""

    __slots__ = ()


class PredictionsType(LabelsType):
    """Predicted labels of any kind."""

    __slots__ = ()


class RegressionValuesType(PredictionsType):
    """Values of a regression."""

    __slots__ = ()


class CategoricalValuesType(PredictionsType):
    """Numbers of classes."""

    __slots__ = ()


class MaskType(PredictionsType):
    """True or false, one or zero, for each element."""

    __slots__ = ()


class LengthsType(ElementType):
    """Lengths of the sequences of a batch, in elements (samples, frames, tokens)."""

    __slots__ = ()


class LossType(ElementType):
    """A loss."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AudioSignal(ElementType):
    """Samples of sound in [-1, 1].

    Attributes:
        freq: samples a second in Hz; ``None`` stands for any rate.
    """

    freq: int | None = None

    @property
    def type_parameters(self) -> dict[str, Any]:
        """The sampling rate."""
        return {"freq": self.freq}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class VideoSignal(ElementType):
    """Pictures of a film.

    Attributes:
        fps: pictures a second; ``None`` stands for any rate.
    """

    fps: int | None = None

    @property
    def type_parameters(self) -> dict[str, Any]:
        """The picture rate."""
        return {"fps": self.fps}


class Index(ElementType):
    """Position of an example in a data set."""

    __slots__ = ()


class Target(ElementType):
    """What a network should answer."""

    __slots__ = ()


class ClassificationTarget(Target):
    """The class that a network should answer."""

    __slots__ = ()


class ImageValue(ElementType):
    """One channel of a pixel."""

    __slots__ = ()


class NormalizedImageValue(ImageValue):
    """One channel of a pixel, in [0, 1]."""

    __slots__ = ()


class ImageFeatureValue(ImageValue):
    """One value of a feature map over an image."""

    __slots__ = ()


class StringType(ElementType):
    """A text."""

    __slots__ = ()


class StringLabel(StringType):
    """A label given as a text."""

    __slots__ = ()


class BoolType(ElementType):
    """True or false."""

    __slots__ = ()


class FloatType(ElementType):
    """A number with a fraction."""

    __slots__ = ()


class IntType(ElementType):
    """A whole number."""

    __slots__ = ()


class TokenIndex(IntType):
    """Number of a token in a vocabulary."""

    __slots__ = ()


class Length(IntType):
    """A length as a whole number."""

    __slots__ = ()


class ProbabilityDistributionSamplesType(ElementType):
    """Samples of a probability distribution."""

    __slots__ = ()


class NormalDistributionSamplesType(ProbabilityDistributionSamplesType):
    """Samples of a normal distribution."""

    __slots__ = ()


class NormalDistributionMeanType(ElementType):
    """Means of normal distributions."""

    __slots__ = ()


class NormalDistributionLogVarianceType(ElementType):
    """Natural logarithms of the variances of normal distributions."""

    __slots__ = ()


class SequenceToSequenceAlignmentType(ElementType):
    """How much each element of one sequence belongs to each element of another."""

    __slots__ = ()


class TokenDurationType(ElementType):
    """Durations of tokens in frames."""

    __slots__ = ()


class TokenLogDurationType(ElementType):
    """Natural logarithms of durations of tokens in frames."""

    __slots__ = ()


class LogDeterminantType(ElementType):
    """Natural logarithm of the determinant of one step of a flow."""

    __slots__ = ()
