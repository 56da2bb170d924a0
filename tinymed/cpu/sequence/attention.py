"""Attention on the CPU: blocks of queries against blocks of keys, each product on the tile of registers.

Keys (and in backward values) are transposed once into panels, scaled, so that Q K' is a product of rows by panels.  A
block of QUERIES x KEYS scores lives in scratch that stays in the cache.  Forward goes over the blocks of keys with an
online softmax: what was summed is scaled down when a larger score comes.  Backward computes each block of weights again
from the largest score of a query and the sum of its exponentials.  Scratch is a block for each task, so memory grows
with the tokens, not with their square.
"""

from typing import Any

import numba
import numpy as np
from numba import prange

from ...dispatch import kernel
from ...ops.attention import attended, products
from ..compiler.jit import serial
from ..simd.elementary import exp
from ..simd.exponentials import row_exponentials
from ..simd.pack import pack_columns
from ..simd.philox import philox
from ..simd.reductions import row_max, row_product_sum, row_sum
from ..simd.tile import ACCUMULATE, HIGH, ZERO, high_sweep
from ..simd.vectors import TILE_COLUMNS, address, ceil_div

f4, u4, u8 = np.float32, np.uint32, np.uint64
QUERIES = 10 * HIGH  # of a block: what it reads of keys and values, and adds to their gradients, is used that often
KEYS = 8 * TILE_COLUMNS  # of a block
TABLE = ceil_div.py_func(max(QUERIES, KEYS), HIGH) * HIGH  # rows of the largest block, in whole tiles
PITCH = KEYS + 16  # floats between rows of a block: not a power of two, which would meet in the same lines of L1
TASKS = 8  # parts, of all heads together, in which sums over queries are made
numba_config: Any = numba.config
WORKERS = 2 * numba_config.NUMBA_NUM_THREADS  # pieces of work at most, each with scratch of its own, which stays hot
NO_MASK = np.zeros((0, 0, 0, 0), np.float32)  # stands for no mask
NO_TICKET = np.zeros(0, np.uint32)  # stands for no dropout


def takes(q: Any, k: Any, v: Any, *_: Any) -> bool:
    """Return whether queries, keys and values are float32."""
    return all(a.dtype.char == "f" for a in (q, k, v))


@kernel(backend="numba", composite=True, when=takes)
def attention_forward(k: Any, q: Any, key: Any, v: Any, mask: Any, ticket: Any, *how: Any) -> Any:
    """Call attention_blocks, after pack_heads of the keys, scaled."""
    packed = k.pack_heads(key, how[0])
    return k.attention_blocks(q, packed, v, NO_MASK if mask is None else mask, of_draw(ticket), *how[1:])


@kernel(backend="numba", composite=True, when=lambda dy, *arrays: takes(*arrays))
def attention_backward(
    k: Any, dy: Any, q: Any, key: Any, v: Any, mask: Any, y: Any, top: Any, total: Any, ticket: Any, *how: Any
) -> Any:
    """Call attention_gradients, after pack_heads of keys and values, then add the parts of dK and dV."""
    packed = k.pack_heads(key, how[0]), k.pack_heads(v, 1.0)
    mask = NO_MASK if mask is None else mask
    dq, dk, dv, ds = k.attention_gradients(dy, q, key, v, *packed, mask, y, top, total, of_draw(ticket), *how)
    return dq, sum_parts(k, dk, key.shape), sum_parts(k, dv, v.shape), ds


def of_draw(ticket: Any) -> Any:
    """Return a ticket, or what stands for none."""
    return NO_TICKET if ticket is None else ticket


def sum_parts(k: Any, parts: Any, shape: Any) -> Any:
    """Return the sum of partial gradients over their first axis."""
    return parts[0] if parts.shape[0] == 1 else k.sum_to(parts, (1, *shape)).reshape(shape)


# ------------------------------------------------------------------------------------------------- packing


def packed_heads(a: Any, scale: Any) -> list[Any]:
    """Return the shape of packed heads: for each head panels of TILE_COLUMNS tokens."""
    return [(a.shape[0] * a.shape[1], -(-a.shape[2] // TILE_COLUMNS), a.shape[3] * TILE_COLUMNS)]


@kernel(backend="numba", out=packed_heads, flops=lambda a, scale: a.size)
def pack_heads(packed: Any, a: Any, scale: Any) -> None:
    """(N, heads, tokens, size), scaled -> [head][panel of TILE_COLUMNS tokens][size][TILE_COLUMNS], zeros behind."""
    for b in prange(packed.shape[0]):
        rows = a[b // a.shape[1], b % a.shape[1]]
        for p in range(packed.shape[1]):
            panel, first = packed[b, p], p * TILE_COLUMNS
            pack_columns(panel, rows, first, min(TILE_COLUMNS, rows.shape[0] - first), 0, rows.shape[1])
            for i in range(panel.size):
                panel[i] *= f4(scale)


# --------------------------------------------------------------------------------------- a block of scores


@serial
def lay_rows(table: Any, first: Any, count: Any, pitch: Any) -> None:
    """Write the offsets of `count` rows from `first` on, the last one again to the end of its tile."""
    for i in range(ceil_div(count, HIGH) * HIGH):
        table[i] = 4 * pitch * (first + min(i, count - 1))


@serial
def multiply_rows(
    tables: Any, count: Any, x: Any, y: Any, w: Any, panel: Any, start: Any, columns: Any, loops: Any
) -> None:
    """Multiply a block of rows by all panels of `columns` columns; tables [2][rows] as of `sweep`."""
    high_sweep(tables, ceil_div(count, HIGH), x, y, w, panel, start, columns, 0, ceil_div(columns, TILE_COLUMNS), loops)


@serial
def block_of_products(tables: Any, z: Any, x: Any, packed: Any, first: Any, count: Any, key: Any, size: Any) -> None:
    """z[i, j] = x[first + i] . key j of the packed heads, for `count` rows and `size` keys from `key` on."""
    depth = x.shape[1]
    lay_rows(tables[0], first, count, depth)
    lay_rows(tables[1], 0, count, PITCH)
    panels = packed[key // TILE_COLUMNS :]
    step = 4 * TILE_COLUMNS
    loops = (1, 1, depth, 0, 0, 4, 0, 0, step)
    multiply_rows(tables, count, address(x), address(z), address(panels), step * depth, ZERO, size, loops)


@serial
def block_times_rows(
    tables: Any, z: Any, w: Any, y: Any, first: Any, count: Any, key: Any, size: Any, start: Any
) -> None:
    """y[first + i] = start + sum over j < size of z[i, j] w[key + j]."""
    width = w.shape[1]
    lay_rows(tables[0], 0, count, PITCH)
    lay_rows(tables[1], first, count, width)
    loops = (1, 1, size, 0, 0, 4, 0, 0, 4 * width)
    multiply_rows(tables, count, address(z), address(y), address(w[key:]), 4 * TILE_COLUMNS, start, width, loops)


@serial
def transposed_times_rows(tables: Any, z: Any, w: Any, y: Any, first: Any, count: Any, key: Any, size: Any) -> None:
    """y[key + j] += sum over i < count of z[i, j] w[first + i], for j < size."""
    width = w.shape[1]
    lay_rows(tables[0], 0, size, 1)
    lay_rows(tables[1], key, size, width)
    loops = (1, 1, count, 0, 0, 4 * PITCH, 0, 0, 4 * width)
    multiply_rows(tables, size, address(z), address(y), address(w[first:]), 4 * TILE_COLUMNS, ACCUMULATE, width, loops)


@serial
def close(z: Any, mask: Any, n: Any, h: Any, query: Any, key: Any, causal: Any) -> None:
    """Add the mask to a query's scores of the keys from `key` on, and -inf to the keys that come after it."""
    if mask.size:
        row = mask[n % mask.shape[0], h % mask.shape[1], query % mask.shape[2]]
        for j in range(z.size):
            z[j] += row[key + j]
    if causal:
        for j in range(max(0, query + 1 - key), z.size):
            z[j] = f4(-np.inf)


@serial
def draw_factors(factors: Any, first: Any, size: Any, ticket: Any, limit: Any, keep: Any) -> Any:
    """Draw for `size` weights from number `first` on: factors[skip + j] is 0 or keep; return skip."""
    k0, k1, stream, low, high = u8(ticket[0]), u8(ticket[1]), u8(ticket[2]), u8(ticket[3]), u8(ticket[4])
    skip, block = first % 8, first // 8
    for b in range(ceil_div(skip + size, 8)):
        words = philox(u8(block + b), low, high, stream, k0, k1)
        for lane in range(4):
            word = words[lane]
            factors[8 * b + 2 * lane] = f4(keep) if (word & u4(0xFFFF)) >= limit else f4(0)
            factors[8 * b + 2 * lane + 1] = f4(keep) if (word >> u4(16)) >= limit else f4(0)
    return skip


@serial
def drop_weights(z: Any, factors: Any, first: Any, ticket: Any, limit: Any, keep: Any) -> None:
    """Multiply weights by what dropout draws for them."""
    skip = draw_factors(factors, first, z.size, ticket, limit, keep)
    for j in range(z.size):
        z[j] *= factors[skip + j]


# ------------------------------------------------------------------------------------------------- forward


def tasks_of(q: Any) -> int:
    """Return how many tasks share the blocks of queries of all heads."""
    return int(max(1, min(WORKERS, q.shape[0] * q.shape[1] * -(-q.shape[2] // QUERIES))))


def forward_work(q: Any, packed: Any, v: Any, *_: Any) -> list[Any]:
    """Return the scratch of each task: a block of scores, factors of dropout, tables of rows, running top and sum."""
    tasks = tasks_of(q)
    return [
        (tasks, QUERIES, PITCH),
        (tasks, KEYS + 16),
        ((tasks, 2, TABLE), np.int64),
        (tasks, 2, QUERIES),
    ]


@serial
def online_softmax(z: Any, running: Any, i: Any) -> Any:
    """Turn a row of scores into e^(z - top), top with what came before; return what that is now scaled by.

    A row that is closed throughout becomes 0, but for a NaN.
    """
    before = running[0, i]
    top = max(before, row_max(z))
    if top == f4(-np.inf):
        for j in range(z.size):
            z[j] = f4(0) if z[j] == f4(-np.inf) else z[j]
        total, shrink = f4(row_sum(z)), f4(1)
    else:
        total = row_exponentials(z, top)
        shrink = f4(1) if top == before else exp(before - top)
    running[0, i] = top
    running[1, i] = running[1, i] * shrink + total
    return shrink


@serial
def finish(y: Any, top: Any, total: Any, running: Any, first: Any, count: Any) -> None:
    """Divide the sums of a block of queries by the sum of their weights, and write both of each: 0, inf if closed."""
    for i in range(count):
        if running[1, i] == f4(0):
            top[first + i], total[first + i] = f4(0), f4(np.inf)
        else:
            top[first + i], total[first + i] = running[0, i], running[1, i]
            row, scale = y[first + i], f4(1) / running[1, i]
            for d in range(row.size):
                row[d] *= scale


@kernel(
    backend="numba",
    out=lambda q, packed, v, *_: attended(q, v, v),
    work=forward_work,
    flops=lambda q, packed, v, *_: products(q, v, v),
)
def attention_blocks(
    y: Any,
    top: Any,
    total: Any,
    blocks: Any,
    drawn: Any,
    tables: Any,
    running: Any,
    q: Any,
    packed: Any,
    v: Any,
    mask: Any,
    ticket: Any,
    causal: Any,
    limit: Any,
    keep: Any,
) -> None:
    """y = softmax(Q K' + mask) V for packed, scaled keys: an online softmax over blocks of keys; top, total."""
    heads, queries, keys = q.shape[1], q.shape[2], v.shape[2]
    each = ceil_div(queries, QUERIES)
    tasks, every = blocks.shape[0], q.shape[0] * heads * each
    for task in prange(tasks):
        z, table, state = blocks[task], tables[task], running[task]
        for part in range(task * every // tasks, (task + 1) * every // tasks):
            b, first = part // each, part % each * QUERIES
            n, h = b // heads, b % heads
            count = min(QUERIES, queries - first)
            state[0, :] = -np.inf
            state[1, :] = 0
            if keys == 0:
                y[n, h, first : first + count, :] = 0
            last = min(keys, first + count) if causal else keys
            for key in range(0, last, KEYS):
                size = min(KEYS, keys - key)
                block_of_products(table, z, q[n, h], packed[b], first, count, key, size)
                for i in range(count):
                    row = z[i, :size]
                    close(row, mask, n, h, first + i, key, causal)
                    shrink = online_softmax(row, state, i)
                    if key > 0 and shrink != f4(1):
                        out = y[n, h, first + i]
                        for d in range(out.size):
                            out[d] *= shrink
                    if ticket.size:
                        at = (b * queries + first + i) * keys + key
                        drop_weights(row, drawn[task], at, ticket, limit, keep)
                start = ACCUMULATE if key > 0 else ZERO
                block_times_rows(table, z, v[n, h], y[n, h], first, count, key, size, start)
            finish(y[n, h], top[n, h], total[n, h], state, first, count)


# ------------------------------------------------------------------------------------------------ backward


def parts_of(q: Any) -> int:
    """Return in how many parts the queries of a head are summed: more than one where heads alone are few tasks."""
    return int(max(1, min(TASKS // max(1, q.shape[0] * q.shape[1]), -(-q.shape[2] // QUERIES))))


def gradient_shapes(dy: Any, q: Any, key: Any, v: Any, *rest: Any) -> list[Any]:
    """Return the shapes of dq, parts of dk and dv, and the scores' gradient, of no elements unless it is wanted."""
    parts = parts_of(q)
    of_scores = (*q.shape[:3], key.shape[2]) if rest[-1] else (0, 0, 0, 0)
    return [q.shape, (parts, *key.shape), (parts, *v.shape), of_scores]


def backward_work(dy: Any, q: Any, *_: Any) -> list[Any]:
    """Return the scratch of each task: blocks of weights and of gradients, factors of dropout, tables of rows."""
    tasks = max(1, min(WORKERS, q.shape[0] * q.shape[1] * parts_of(q)))
    return [(tasks, 2, QUERIES, PITCH), (tasks, KEYS + 16), ((tasks, 2, TABLE), np.int64)]


@serial
def weights_and_gradients(p: Any, ds: Any, top: Any, total: Any, mean: Any) -> None:
    """Turn scores into weights p = e^(score - top) / total, and dP into dS = p (dP - mean)."""
    share = f4(1) / total
    for j in range(p.size):
        p[j] = exp(p[j] - top) * share
        ds[j] = p[j] * (ds[j] - mean)


@serial
def dropped_weights_and_gradients(p: Any, ds: Any, top: Any, total: Any, mean: Any, factors: Any) -> None:
    """Do as weights_and_gradients where the weights are dropped: p comes out times its factor."""
    share = f4(1) / total
    for j in range(p.size):
        w = exp(p[j] - top) * share
        ds[j] = w * (ds[j] * factors[j] - mean)
        p[j] = w * factors[j]


@serial
def copy_row(to: Any, at: Any, row: Any) -> None:
    """Write a row into another from number `at` on."""
    for j in range(row.size):
        to[at + j] = row[j]


@serial
def scale_all(a: Any, scale: Any) -> None:
    """Multiply a matrix by a number."""
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            a[i, j] *= f4(scale)


@kernel(
    backend="numba",
    out=gradient_shapes,
    work=backward_work,
    flops=lambda dy, q, key, v, *_: 2.5 * products(q, key, v),
)
def attention_gradients(
    dq: Any,
    dk: Any,
    dv: Any,
    dscores: Any,
    blocks: Any,
    drawn: Any,
    tables: Any,
    dy: Any,
    q: Any,
    key: Any,
    v: Any,
    packed_key: Any,
    packed_value: Any,
    mask: Any,
    y: Any,
    top: Any,
    total: Any,
    ticket: Any,
    scale: Any,
    causal: Any,
    limit: Any,
    keep: Any,
    of_scores: Any,
) -> None:
    """dV = P' dY, dS = P (dY V' - sum(dY Y)), dQ = scale dS K, dK = scale dS' Q: a head's queries in parts."""
    heads, queries, keys = q.shape[1], q.shape[2], key.shape[2]
    parts, each = dk.shape[0], ceil_div(queries, QUERIES)
    workers, every = blocks.shape[0], q.shape[0] * heads * parts
    for worker in prange(workers):
        p, ds, table = blocks[worker, 0], blocks[worker, 1], tables[worker]
        for task in range(worker * every // workers, (worker + 1) * every // workers):
            b, part = task // parts, task % parts
            n, h = b // heads, b % heads
            dk[part, n, h, :, :] = 0
            dv[part, n, h, :, :] = 0
            for block in range(part * each // parts, (part + 1) * each // parts):
                first = block * QUERIES
                count = min(QUERIES, queries - first)
                dq[n, h, first : first + count, :] = 0
                last = min(keys, first + count) if causal else keys
                for at in range(0, last, KEYS):
                    size = min(KEYS, keys - at)
                    block_of_products(table, p, q[n, h], packed_key[b], first, count, at, size)
                    block_of_products(table, ds, dy[n, h], packed_value[b], first, count, at, size)
                    for i in range(count):
                        row, out, query = p[i, :size], ds[i, :size], first + i
                        of_query = top[n, h, query], total[n, h, query]
                        close(row, mask, n, h, query, at, causal)
                        mean = f4(row_product_sum(dy[n, h, query], y[n, h, query], f4(0)))
                        if ticket.size:
                            number = (b * queries + query) * keys + at
                            skip = draw_factors(drawn[worker], number, size, ticket, limit, keep)
                            dropped_weights_and_gradients(row, out, *of_query, mean, drawn[worker, skip:])
                        else:
                            weights_and_gradients(row, out, *of_query, mean)
                        if of_scores:
                            copy_row(dscores[n, h, query], at, out)
                    transposed_times_rows(table, p, dy[n, h], dv[part, n, h], first, count, at, size)
                    transposed_times_rows(table, ds, q[n, h], dk[part, n, h], first, count, at, size)
                    block_times_rows(table, ds, key[n, h], dq[n, h], first, count, at, size, ACCUMULATE)
                scale_all(dq[n, h, first : first + count], scale)
            scale_all(dk[part, n, h], scale)
