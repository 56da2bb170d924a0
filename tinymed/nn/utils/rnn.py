"""Sequences of several lengths as one batch, padded or packed: `torch.nn.utils.rnn`.

A packed batch holds the first step of all sequences, then the second step of those that have one, and so on, so the
sequences stand in the order of their lengths, the longest first.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import devices
from ...tape import host_read
from ...tensor import Tensor
from .. import functional as F


class PackedSequence(NamedTuple):
    """Sequences of several lengths in one tensor, without padding.

    Attributes:
        data: (sum of lengths, *): the first steps of all sequences, then the second steps, and so on.
        batch_sizes: int64, how many sequences have a first step, a second one, and so on.
        sorted_indices: which sequence stands at each place; None where they were given in order.
        unsorted_indices: the place of each sequence; None where they were given in order.

    Example:
        >>> from tinymed import ones
        >>> from tinymed.nn.utils.rnn import pack_sequence
        >>> pack_sequence([ones(3), ones(2)]).batch_sizes.tolist()
        [2, 2, 1]

    As `torch.nn.utils.rnn.PackedSequence`, made by the functions of this module.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Return the place of each number in a permutation; None for None.

    Args:
        permutation: the integers 0 to n - 1 in any order.

    Returns:
        An int64 tensor of n.

    Example:
        >>> from tinymed import tensor
        >>> from tinymed.nn.utils.rnn import invert_permutation
        >>> invert_permutation(tensor([2, 0, 1])).tolist()
        [1, 2, 0]

    As `torch.nn.utils.rnn.invert_permutation`.
    """
    if permutation is None:
        return None
    return like(permutation, np.argsort(host_integers("invert_permutation", permutation)))


def pad_sequence(
    sequences: Sequence[Tensor] | Tensor,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:
    """Join sequences of several lengths to one tensor, the shorter ones padded.

    Args:
        sequences: tensors (L, *) that differ in L alone.
        batch_first: whether the result is (B, T, *), not (T, B, *).  Default: False.
        padding_value: what stands where a sequence has no step.  Default: 0.
        padding_side: "right" or "left".  Default: "right".

    Returns:
        (T, B, *) or (B, T, *), T the longest length.

    Raises:
        ValueError: there is no sequence, their other axes differ, or padding_side is neither.

    Example:
        >>> from tinymed import ones
        >>> from tinymed.nn.utils.rnn import pad_sequence
        >>> pad_sequence([ones(2), ones(1)], batch_first=True).tolist()
        [[1.0, 1.0], [1.0, 0.0]]

    As `torch.nn.utils.rnn.pad_sequence`.
    """
    if padding_side not in ("left", "right"):
        raise ValueError(f"pad_sequence: padding_side is {padding_side!r}; it takes 'left' or 'right'")
    many = list(F.unbind(sequences, 0)) if isinstance(sequences, Tensor) else list(sequences)
    shapes = [list(s.shape) for s in many]
    if not many or any(not s.shape or s.shape[1:] != many[0].shape[1:] for s in many):
        raise ValueError(f"pad_sequence: it takes tensors (L, *) that differ in L alone, got shapes {shapes}")
    longest = max(s.shape[0] for s in many)
    padded = []
    for s in many:
        fill = s.new_full((longest - s.shape[0], *s.shape[1:]), padding_value)
        padded.append(F.cat([fill, s] if padding_side == "left" else [s, fill], 0))
    return F.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """Return the sequences of a padded batch, each of its own length.

    Args:
        padded_sequences: (T, B, *), or (B, T, *) with batch_first.
        lengths: B integers, at most T.
        batch_first: whether the batch is the first axis.  Default: False.

    Returns:
        B tensors (L, *).

    Raises:
        ValueError: the lengths do not fit.

    Example:
        >>> from tinymed import ones
        >>> from tinymed.nn.utils.rnn import unpad_sequence
        >>> [s.shape for s in unpad_sequence(ones(3, 2), [3, 1])]
        [(3,), (1,)]

    As `torch.nn.utils.rnn.unpad_sequence`.
    """
    x = padded_sequences if batch_first else F.swapaxes(padded_sequences, 0, 1)
    found = checked_lengths("unpad_sequence", lengths, x.shape[1], x.shape[0], 0)
    return [F.narrow(F.select(x, 0, i), 0, 0, int(n)) for i, n in enumerate(found)]


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch: leave out the steps beyond each sequence's length.

    Args:
        input: (T, B, *), or (B, T, *) with batch_first.
        lengths: B integers from 1 to T, a list or a tensor.
        batch_first: whether the batch is the first axis.  Default: False.
        enforce_sorted: whether the lengths must fall already; if not, the sequences are sorted.  Default: True.

    Returns:
        A PackedSequence that RNN, LSTM and GRU take.

    Raises:
        ValueError: there are not B lengths from 1 to T, or they are to fall and do not.

    Example:
        >>> from tinymed import ones
        >>> from tinymed.nn.utils.rnn import pack_padded_sequence
        >>> pack_padded_sequence(ones(3, 2, 4), [3, 1]).data.shape
        (4, 4)

    As `torch.nn.utils.rnn.pack_padded_sequence`.
    """
    name = "pack_padded_sequence"
    if len(input.shape) < 2:
        raise ValueError(f"{name}: input has shape {list(input.shape)}; it takes (T, B, *), or (B, T, *)")
    x = F.swapaxes(input, 0, 1) if batch_first else input
    found = checked_lengths(name, lengths, x.shape[0], x.shape[1], 1)
    order = None
    if not enforce_sorted:
        order = np.argsort(-found, kind="stable")
        found, x = found[order], F.index_select(x, 1, like(x, order))
    elif (np.diff(found) > 0).any():
        raise ValueError(
            f"{name}: the lengths {found.tolist()} do not fall; sort the sequences, or pass enforce_sorted=False"
        )
    sizes = (found > np.arange(int(found.max(initial=0)))[:, None]).sum(1)
    places = np.concatenate([t * len(found) + np.arange(n) for t, n in enumerate(sizes)])
    data = F.index_select(F.flatten(x, 0, 1), 0, like(x, places))
    if order is None:
        return PackedSequence(data, like(x, sizes))
    return PackedSequence(data, like(x, sizes), like(x, order), like(x, np.argsort(order)))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return a packed batch padded, in the order in which it was given, and the lengths.

    Args:
        sequence: a PackedSequence.
        batch_first: whether the result is (B, T, *), not (T, B, *).  Default: False.
        padding_value: what stands where a sequence has no step.  Default: 0.
        total_length: T; by default the longest length.

    Returns:
        The tensor, and the B lengths.

    Raises:
        ValueError: total_length is less than the longest length.

    Example:
        >>> from tinymed import ones
        >>> from tinymed.nn.utils.rnn import pack_sequence, pad_packed_sequence
        >>> pad_packed_sequence(pack_sequence([ones(2), ones(1)]))[0].tolist()
        [[1.0, 1.0], [1.0, 0.0]]

    As `torch.nn.utils.rnn.pad_packed_sequence`.
    """
    sizes = host_integers("pad_packed_sequence", sequence.batch_sizes)
    if total_length is not None and total_length < len(sizes):
        raise ValueError(
            f"pad_packed_sequence: total_length is {total_length}, the longest sequence {len(sizes)} steps long"
        )
    padded, lengths = unpacked(
        sequence.data, sizes, len(sizes) if total_length is None else total_length, padding_value
    )
    if sequence.unsorted_indices is not None:
        back = host_integers("pad_packed_sequence", sequence.unsorted_indices)
        padded, lengths = F.index_select(padded, 1, sequence.unsorted_indices), lengths[back]
    return (F.swapaxes(padded, 0, 1) if batch_first else padded), like(padded, lengths)


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences.

    Args:
        sequences: tensors (L, *) that differ in L alone.
        enforce_sorted: whether the lengths must fall already.  Default: True.

    Returns:
        A PackedSequence.

    Raises:
        ValueError: there is no sequence, their other axes differ, or the lengths are to fall and do not.

    Example:
        >>> from tinymed import ones
        >>> from tinymed.nn.utils.rnn import pack_sequence
        >>> pack_sequence([ones(1), ones(2)], enforce_sorted=False).sorted_indices.tolist()
        [1, 0]

    As `torch.nn.utils.rnn.pack_sequence`.
    """
    return pack_padded_sequence(pad_sequence(sequences), [s.shape[0] for s in sequences], False, enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Return the sequences of a packed batch, each of its own length: pack_sequence's inverse.

    Args:
        packed_sequences: a PackedSequence.

    Returns:
        Tensors (L, *).

    Example:
        >>> from tinymed import ones
        >>> from tinymed.nn.utils.rnn import pack_sequence, unpack_sequence
        >>> [s.shape for s in unpack_sequence(pack_sequence([ones(2, 4), ones(1, 4)]))]
        [(2, 4), (1, 4)]

    As `torch.nn.utils.rnn.unpack_sequence`.
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences))


# ------------------------------------------------------------------------------------ between packed and padded


def like(x: Tensor, numbers: Any) -> Tensor:
    """Return integers as a tensor where another one lies."""
    return Tensor(devices.move(np.asarray(numbers, np.int64), devices.of(x.array)))


def host_integers(name: str, given: Any) -> Any:
    """Return integers, a list or a tensor, as an int64 vector on the CPU."""
    if isinstance(given, Tensor):
        host_read(f"{name} with a tensor of integers")
        given = devices.move(given.array, "cpu")
    found = np.asarray(given)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise ValueError(f"{name}: it takes a list of integers, got {given!r}")
    return found.astype(np.int64)


def checked_lengths(name: str, lengths: Any, steps: int, batch: int, least: int) -> Any:
    """Return the lengths of a batch; raise ValueError unless there is one for each sequence, within its steps."""
    found = host_integers(name, lengths)
    if found.shape != (batch,) or found.min(initial=steps) < least or found.max(initial=least) > steps:
        raise ValueError(f"{name}: lengths are {found.tolist()}; it takes {batch} from {least} to {steps}")
    return found


def unpacked(data: Tensor, sizes: Any, steps: int, value: float) -> tuple[Tensor, Any]:
    """Return packed rows as (steps, B, *), the longest sequence first, and the lengths."""
    batch, total = int(sizes[0]) if len(sizes) else 0, data.shape[0]
    places = np.full((steps, batch), total)  # one row beyond the data is the padding
    starts = np.cumsum(sizes) - sizes
    for t, n in enumerate(sizes):
        places[t, :n] = starts[t] + np.arange(n)
    rows = F.cat([data, data.new_full((1, *data.shape[1:]), value)], 0)
    padded = F.index_select(rows, 0, like(data, places.reshape(-1)))
    lengths = (sizes > np.arange(batch)[:, None]).sum(1)
    return F.reshape(padded, (steps, batch, *data.shape[1:])), lengths


def packed_rows(padded: Tensor, sizes: Any) -> Any:
    """Return (T, B, *), the longest sequence first, as packed rows."""
    places = np.concatenate([t * padded.shape[1] + np.arange(n) for t, n in enumerate(sizes)])
    return F.index_select(F.flatten(padded, 0, 1), 0, like(padded, places))
