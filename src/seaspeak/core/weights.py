"""State dictionaries: read without trust, stored small, put into a module.

Formats: what ``torch.save`` writes (NeMo's ``model_weights.ckpt``), read by ``torch.load(weights_only=True)``, and
safetensors (shipped archives). In the int8 form a tensor ``K`` has beside it ``K::scale``, one float for each row
of its first axis.
"""

from __future__ import annotations

import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Literal

import torch
from torch import Tensor, nn

from seaspeak.core.errors import ArchiveError

Storage = Literal["float32", "float16", "int8"]
SCALE = "::scale"
_MAX_DEPTH = 32  # tuples in tuples; a state dictionary has three
_SMALL_FLOATS = (torch.float16, torch.bfloat16)


def read_torch(file: BinaryIO, *, size: int, limit: int) -> dict[str, Tensor]:
    """Read a state dictionary that ``torch.save`` wrote.

    Args:
        file: seekable.
        size: bytes in ``file``.
        limit: the most bytes that the tensors may take.

    Raises:
        ArchiveError: damaged, holds anything but named tensors, or claims sizes that it does not hold.
    """
    return _checked(read_plain(file, size=size, what="the weights"), limit)


def read_plain(file: BinaryIO, *, size: int, what: str) -> object:
    """Read plain values and tensors that ``torch.save`` wrote; nothing that could run a program.

    Args:
        file: seekable.
        size: bytes in ``file``.
        what: what to call it in messages.

    Raises:
        ArchiveError: damaged, or holds objects.
    """
    try:
        _check_pickles(file, size)
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=True)
    except ArchiveError:
        raise
    except pickle.UnpicklingError as error:
        raise ArchiveError(
            f"{what} holds objects, and loading those could run a program",
            got=_culprit(error),
            expected="plain values and tensors, as we write them",
        ) from error
    except (Exception, MemoryError) as error:  # torch's reader raises whatever the damaged bytes lead it to
        raise ArchiveError(f"{what} cannot be read: {_first_line(error)}", fix="copy the file again") from error


def read_safetensors(data: bytes, *, limit: int) -> dict[str, Tensor]:
    """Read a safetensors file from memory.

    Raises:
        ArchiveError: damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return _checked(load(data), limit)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        if isinstance(error, ArchiveError):
            raise
        raise ArchiveError(f"the weights are damaged: {_first_line(error)}", fix="copy the file again") from error


def expand(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo :func:`shrink`: every half-precision or int8 tensor as float32, all else as it is."""
    state: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        scale = stored.get(f"{name}{SCALE}")
        if name.endswith(SCALE) and name.removesuffix(SCALE) in stored:
            continue
        if scale is not None and tensor.dtype == torch.int8:
            if tensor.ndim == 0 or scale.shape != tensor.shape[:1]:
                raise ArchiveError(f"the scales of weight {name!r} do not fit it")
            state[name] = tensor.float() * scale.float().reshape(-1, *[1] * (tensor.ndim - 1))
        else:
            state[name] = tensor.float() if tensor.dtype in _SMALL_FLOATS else tensor
    return state


def shrink(state: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """Return ``state`` in the form that a shipped archive stores.

    ``"float16"`` halves every float32 tensor. ``"int8"`` rounds the matrices (two axes and more) to 127 steps of
    the largest value in each row of the first axis; everything else becomes float16. Values beyond float16's range
    stay float32.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        tensor = tensor.detach().cpu()
        if not tensor.is_floating_point() or storage == "float32":
            stored[name] = tensor
        elif storage == "int8" and tensor.ndim >= 2 and tensor.numel():
            rows = tensor.float().flatten(1)
            scale = rows.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny) / 127
            stored[name] = (rows / scale[:, None]).round().to(torch.int8).reshape(tensor.shape)
            stored[f"{name}{SCALE}"] = scale
        else:
            half = tensor.half()
            stored[name] = half if bool(torch.isfinite(half).all()) else tensor
    return {name: tensor.contiguous() for name, tensor in stored.items()}


def compact(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state`` on the CPU, without what lies around a tensor that is a view of a larger one."""
    return {
        name: tensor.clone() if tensor.untyped_storage().nbytes() > tensor.numel() * tensor.itemsize else tensor
        for name, tensor in ((name, tensor.detach().cpu()) for name, tensor in state.items())
    }


def fit(state: Mapping[str, Tensor], module: nn.Module, *, strict: bool, where: str) -> dict[str, Tensor]:
    """Check a state dictionary against a module, which may be on the meta device.

    Returns:
        the tensors that the module has a place for, in the module's own types.

    Raises:
        ArchiveError: a shape differs; with ``strict`` also if something is missing or left over.
    """
    places = module.state_dict()
    missing, extra = [name for name in places if name not in state], [name for name in state if name not in places]
    if strict and (missing or extra):
        raise ArchiveError(
            f"the weights of {where} are not those of {type(module).__name__}",
            got=f"not expected: {_some(extra)}" if extra else "",
            expected=f"missing: {_some(missing)}" if missing else "",
            fix="restore with strict=False to use what fits",
        )
    for name, tensor in state.items():
        if name in places and places[name].shape != tensor.shape:
            raise ArchiveError(
                f"weight {name!r} of {where} has another shape than its configuration says",
                got=str(tuple(tensor.shape)),
                expected=str(tuple(places[name].shape)),
            )
    return {name: _typed(tensor, places[name]) for name, tensor in state.items() if name in places}


def assign(module: nn.Module, state: Mapping[str, Tensor], device: torch.device) -> None:
    """Make the tensors of ``state`` the module's own, without copying, and keep tied weights tied."""
    ties, parts = _ties(module), dict(module.named_modules(remove_duplicate=False))
    module.load_state_dict({name: tensor.to(device) for name, tensor in state.items()}, strict=False, assign=True)
    for first, *others in ties:
        path, _, attribute = first.rpartition(".")
        for name in others:
            place, _, called = name.rpartition(".")
            setattr(parts[place], called, getattr(parts[path], attribute))


def unmade(module: nn.Module) -> list[str]:
    """Names of the parts with something that is still on the meta device: a parameter, a buffer, an attribute."""
    return [name for name, part in module.named_modules() if any(_is_meta(value) for _, _, value in _values(part))]


def transplant(source: nn.Module, target: nn.Module) -> None:
    """Give ``target`` from ``source``, its like, whatever it has on the meta device only."""
    likes = dict(source.named_modules())
    for name, part in target.named_modules():
        like = likes[name]
        for holder, key, value in list(_values(part)):
            if _is_meta(value):
                getattr(part, holder)[key] = getattr(like, holder)[key]


def _values(part: nn.Module) -> Iterator[tuple[str, str, object]]:
    """Where a module keeps things: (``_parameters``, ``_buffers`` or ``__dict__``; name; value)."""
    for holder in ("_parameters", "_buffers", "__dict__"):
        for key, value in getattr(part, holder).items():
            if key not in ("_parameters", "_buffers", "_modules", "_constructor_call"):
                yield holder, key, value


def _is_meta(value: object, depth: int = 3) -> bool:
    """Whether a value, or something in a list or dictionary of them, is a tensor without content."""
    if isinstance(value, Tensor):
        return value.is_meta
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return depth > 0 and any(_is_meta(item, depth - 1) for item in items)


def _typed(tensor: Tensor, place: Tensor) -> Tensor:
    return tensor.to(place.dtype) if tensor.is_floating_point() and place.is_floating_point() else tensor


def _ties(module: nn.Module) -> list[list[str]]:
    """Groups of names that are one and the same parameter or buffer."""
    groups: dict[int, list[str]] = {}
    named = (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))
    for name, tensor in named:
        groups.setdefault(id(tensor), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _check_pickles(file: BinaryIO, size: int) -> None:
    """Refuse a zip that claims more than it holds, and pickles that keep the reader busy for ever."""
    if not zipfile.is_zipfile(file):  # torch before 1.6 wrote five pickles, one behind the other
        file.seek(0)
        for _ in range(5):
            _check_depth(file)
        return
    with zipfile.ZipFile(file) as content:
        entries = content.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ArchiveError("the weights are compressed in a way that torch.save does not use")
        if sum(entry.file_size for entry in entries) > size:
            raise ArchiveError("the weights claim to be larger than the file that holds them")
        for entry in entries:
            if entry.filename.endswith(".pkl"):
                _check_depth(content.read(entry))


def _check_depth(data: BinaryIO | bytes) -> None:
    """Refuse tuples in tuples in tuples: hashing one takes time that doubles with every level.

    Follows a pickle with an abstract machine, whose values are the depths of what the pickle would build.
    """
    mark = -1
    stack: list[int] = []
    memo: dict[object, int] = {}
    for code, argument, _ in pickletools.genops(data):
        if "PUT" in code.name or code.name == "MEMOIZE":
            memo[len(memo) if argument is None else argument] = stack[-1]
        elif "GET" in code.name:
            stack.append(memo[argument])
        else:
            depth, taken = 0, len(code.stack_before)
            if pickletools.markobject in code.stack_before:
                taken = code.stack_before.index(pickletools.markobject)
                while (item := stack.pop()) != mark:
                    depth = max(depth, item)
            depth = max(depth, *(stack.pop() for _ in range(taken)), 0) + ("TUPLE" in code.name)
            if depth > _MAX_DEPTH:
                raise ArchiveError("the weights are nested more deeply than any state dictionary")
            stack.extend(mark if after is pickletools.markobject else depth for after in code.stack_after)


def _checked(content: object, limit: int) -> dict[str, Tensor]:
    """The content, if it is named tensors with all their elements present."""
    if not isinstance(content, Mapping):
        raise ArchiveError("the weights are not a state dictionary", got=type(content).__name__)
    state: dict[str, Tensor] = {}
    total = 0
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            called = repr(name) if isinstance(name, str) else f"of type {type(name).__name__}"
            raise ArchiveError(f"entry {called} of the weights is no named tensor", got=type(tensor).__name__)
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested or tensor.device.type != "cpu":
            raise ArchiveError(f"weight {name!r} is of a kind that archives do not hold", got=str(tensor.layout))
        total += tensor.numel() * max(tensor.itemsize, 4 if tensor.is_floating_point() else 1)
        if total > limit:
            raise ArchiveError("the weights claim to be far larger than the file that holds them")
        state[name] = tensor.detach()
    return state


def _culprit(error: Exception) -> str:
    """What torch's message says it refused to load."""
    found = re.search(r"unsupported (?:global: )?([^\n]{1,100})", str(error), re.IGNORECASE)
    return found[1].strip() if found else _first_line(error)


def _some(names: list[str], *, count: int = 4) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(map(repr, names[:count])) + more


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:200] or type(error).__name__
