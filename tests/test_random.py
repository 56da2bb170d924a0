"""Philox4x32-10 against the published vectors, and what its users rely on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinymed import random
from tinymed.cpu.simd import draws

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


# ------------------------------------------------------------------------------------- float32, as weights are drawn

TICKET = (2**40 + 5, random.INITIALISE, 2**33 + 1)
COUNT = 1 << 20


def single(name: str, count: int, first: int = 0, ticket=TICKET, home=random, scale=(0.0, 1.0)) -> np.ndarray:
    values = np.empty(count, np.float32)
    getattr(home, f"write_{name}")(values, first, ticket, *scale)
    return values


@pytest.mark.parametrize("name", ["normal", "uniform"])
@given(first=st.integers(0, 5000), count=st.integers(0, 3000), step=st.integers(0, 2**64 - 1))
@settings(max_examples=30, deadline=None)
def test_compiled_numbers_have_the_bits_of_the_definition(name, first, count, step):
    """From any position on, of any length: whole blocks in place, and parts of blocks at both ends."""
    ticket, scale = (7, random.NOISE, step), (0.1, 1.7)
    ours = single(name, count, first, ticket, draws, scale)
    assert np.array_equal(ours, single(name, count, first, ticket, random, scale))
    assert np.array_equal(ours, single(name, first + count, 0, ticket, draws, scale)[first:])


@pytest.mark.parametrize("name", ["minus_log", "turn_parts"])
def test_polynomials_are_near_the_functions_at_hard_words(name):
    """At both ends, at the borders of octants and of binades, and at random words."""
    edges = np.array(
        [w + d for w in (0, *(1 << k for k in range(32)), *(k << 29 for k in range(8))) for d in (-2, -1, 0, 1, 2)]
    )
    words = np.concatenate([(edges % 2**32).astype(np.uint32), random.bits(100_000, 1, random.NOISE)])
    u = (words.astype(np.longdouble) + 0.5) / 2**32
    if name == "minus_log":
        exact = -np.log(u)
        assert np.all(np.abs(random.minus_log(words) - exact) <= 2.5e-7 * exact)
        assert random.minus_log(words).min() > 0  # whose root is a number
        return
    turn = 2 * np.pi * u.astype(float)
    cosine, sine = random.turn_parts(words)
    assert np.abs(cosine - np.cos(turn)).max() < 1.2e-7
    assert np.abs(sine - np.sin(turn)).max() < 1.2e-7


def test_float32_normal_numbers_are_normal():
    """Moments, Kolmogorov and Smirnov's test, and tails to 4.5 deviations, against SciPy's distribution."""
    from scipy import stats

    z = single("normal", COUNT, home=draws).astype(np.float64)
    error = COUNT**-0.5
    assert abs(z.mean()) < 4 * error
    assert abs(z.var() - 1) < 4 * 2**0.5 * error
    assert abs((z**3).mean()) < 4 * 15**0.5 * error
    assert abs((z**4).mean() - 3) < 4 * 96**0.5 * error
    assert stats.kstest(z, "norm").pvalue > 1e-3
    for beyond in (1.0, 2.0, 3.0, 4.0, 4.5):
        for tail in (z > beyond, z < -beyond):
            assert stats.binomtest(int(tail.sum()), COUNT, stats.norm.sf(beyond)).pvalue > 1e-4
    assert np.abs(z).max() < 6.77  # sqrt(2 ln 2^33): what one word can say


def test_float32_uniform_numbers_are_uniform():
    from scipy import stats

    u = single("uniform", COUNT, home=draws).astype(np.float64)
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    cells = np.bincount((u * 4096).astype(int), minlength=4097)
    assert cells[4096] <= 1  # float32 rounds what is nearest to 1 up to it
    assert stats.chisquare(cells[:4096]).pvalue > 1e-3


def test_float32_normal_numbers_are_independent():
    """Neighbours, the places of a block, and streams, steps and seeds beside each other are uncorrelated.

    Of squares too: the two numbers of a pair have one radius.
    """
    z = single("normal", COUNT, home=draws).astype(np.float64)
    others = [
        single("normal", COUNT, ticket=ticket, home=draws)
        for ticket in (
            (TICKET[0] + 1, *TICKET[1:]),
            (TICKET[0], TICKET[1] + 1, TICKET[2]),
            (*TICKET[:2], TICKET[2] + 1),
        )
    ]
    pairs = [(z[:-lag], z[lag:]) for lag in (1, 2, 3, 4, 5, 1024)] + [(z, other) for other in others]
    blocks = z.reshape(-1, 4)
    pairs += [(blocks[:, i], blocks[:, j]) for i in range(4) for j in range(i)]
    for a, b in pairs:
        assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 * len(a) ** -0.5
        assert abs(np.corrcoef(a**2, b**2)[0, 1]) < 4.5 * len(a) ** -0.5


def test_threads_that_share_a_draw_give_its_bits():
    from concurrent.futures import ThreadPoolExecutor

    whole, parts = single("normal", 100_003, home=draws), np.empty(100_003, np.float32)
    for workers in (1, 2, 7):
        edges = np.linspace(0, whole.size, 3 * workers + 1).astype(int)
        parts[...] = np.nan
        with ThreadPoolExecutor(workers) as pool:
            list(
                pool.map(
                    lambda low, high: draws.write_normal(parts[low:high], int(low), TICKET, 0.0, 1.0),
                    edges[:-1],
                    edges[1:],
                )
            )
        assert np.array_equal(parts, whole)


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
