"""Which numbers of a line stand where after sorting, without sorting: the key at a rank is found by halving.

A key is a number's bits as an integer in the same order.  How many keys are at most some bound is a sum that LLVM turns
into vectors, so that thirty of them cost less than one partition, whose branches no processor foresees.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from ..compiler import elements
from ..compiler.jit import serial

KEYS, LARGEST = np.int32, 0x7FFFFFFF  # the type of a key, and the key of NaN
elements.NAMES |= {"KEYS": np.int64, "LARGEST": 0x7FFFFFFFFFFFFFFF}


def emit_bits(_: Any, number: Any) -> Any:
    """Return the type of a number's bits as an integer, and what takes them."""
    of = types.int64 if number is types.float64 else types.int32

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return of(number), emit


bits_of: Any = intrinsic(emit_bits)


@serial
def make_keys(keys: Any, x: Any, descending: Any) -> None:
    """Write the keys of a line: NaN is the largest number, 0 and -0 are equal."""
    flip = KEYS(-1 if descending else 0)
    for i in range(x.size):
        bits = bits_of(x[i])
        key = bits ^ KEYS(LARGEST) if bits < 0 else bits
        key = KEYS(0) if x[i] == 0 else key
        keys[i] = flip ^ (KEYS(LARGEST) if x[i] != x[i] else key)


@serial
def count_up_to(keys: Any, bound: Any) -> Any:
    """Return how many keys are at most a bound."""
    count = KEYS(0)
    for i in range(keys.size):
        count += KEYS(1) if keys[i] <= bound else KEYS(0)
    return count


@serial
def key_at(keys: Any, rank: Any) -> Any:
    """Return the key that sorting would bring to a rank, counted from 0."""
    low, high = keys[0], keys[0]
    for i in range(keys.size):
        low, high = min(low, keys[i]), max(high, keys[i])
    below, up_to = 0, keys.size
    while low < high and up_to - below > 1:
        middle = (low & high) + ((low ^ high) >> 1)  # the mean, rounded down, without overflow
        count = count_up_to(keys, middle)
        if count > rank:
            high, up_to = middle, count
        else:
            low, below = middle + KEYS(1), count
    found = KEYS(-LARGEST - 1)
    for i in range(keys.size):
        found = max(found, keys[i] if low <= keys[i] <= high else KEYS(-LARGEST - 1))
    return found


@serial
def select_places(places: Any, keys: Any, first: Any) -> None:
    """Write where the numbers stand that a stable sort brings to the ranks from `first` on."""
    count = places.size
    lower = key_at(keys, first)
    upper = key_at(keys, first + count - 1) if count > 1 else lower
    skipped = first - (count_up_to(keys, lower - KEYS(1)) if lower > KEYS(-LARGEST - 1) else 0)
    left = first + count - (count_up_to(keys, upper - KEYS(1)) if upper > KEYS(-LARGEST - 1) else 0)
    if lower == upper:
        left = count
    taken = 0
    for i in range(keys.size):
        key = keys[i]
        if key < lower or key > upper:
            continue
        if key == lower and skipped > 0:
            skipped -= 1
        elif key < upper or left > 0:
            left -= key == upper
            at = taken
            while at > 0 and keys[places[at - 1]] > key:
                places[at] = places[at - 1]
                at -= 1
            places[at] = i
            taken += 1
