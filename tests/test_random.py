"""Philox4x32-10 against the published vectors, and what its users rely on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinymed import random

# Random123's kat_vectors for philox4x32, 10 rounds: counter, key, result.
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "result"), VECTORS)
def test_published_vectors(counter, key, result):
    assert tuple(int(w) for w in random.philox4x32(np, counter, key)) == result


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 50))
def test_a_position_does_not_depend_on_the_count(seed, stream, step, count):
    long = random.bits(64, seed, stream, step)
    assert np.array_equal(random.bits(count, seed, stream, step), long[:count])


def test_seed_stream_and_step_each_matter():
    draws = [
        random.bits(8, s, t, u)
        for s, t, u in ((0, 0, 0), (1, 0, 0), (2**32, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 2**32))
    ]
    assert len({d.tobytes() for d in draws}) == len(draws)


def test_uniform_and_normal_have_their_moments():
    u, z = random.uniform(200_001, 3, random.NOISE), random.normal(200_001, 3, random.NOISE)
    assert 0 < u.min() < u.max() < 1
    assert abs(u.mean() - 0.5) < 0.003
    assert abs(u.var() - 1 / 12) < 0.001
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01
    assert abs((z**3).mean()) < 0.03
    assert abs((z**4).mean() - 3) < 0.1


@given(st.integers(0, 100), st.integers(0, 2**32))
def test_permutation_is_one(count, seed):
    assert sorted(random.permutation(count, seed, random.SHUFFLE)) == list(range(count))


def test_generator_counts_and_starts_again():
    g = random.Generator(2**40 + 5, random.DROPOUT)
    assert [g.ticket() for _ in range(2)] == [(2**40 + 5, random.DROPOUT, 0), (2**40 + 5, random.DROPOUT, 1)]
    g.state[3] = 0xFFFFFFFF
    g.ticket()
    assert g.ticket()[2] == 2**32
    g.manual_seed(7)
    assert g.ticket() == (7, random.DROPOUT, 0)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match="from 0 to 2"):
        random.manual_seed(seed)
