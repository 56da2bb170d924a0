// Philox4x32-10, the generator of tinymed/random.py: four 32-bit words for each counter and key, the same on every
// backend.  Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once
#include "launch.h"

namespace philox {
struct Ticket {  // the state that a draw began with: key (2 words), stream, step (2 words)
    unsigned word[5];
};

__device__ __forceinline__ Ticket read(const unsigned* __restrict__ ticket) {
    return {ticket[0], ticket[1], ticket[2], ticket[3], ticket[4]};
}

// Words 4 block .. 4 block + 3 of a draw.
__device__ __forceinline__ uint4 draw(unsigned block, const Ticket& t) {
    unsigned c0 = block, c1 = t.word[3], c2 = t.word[4], c3 = t.word[2], k0 = t.word[0], k1 = t.word[1];
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        unsigned low0 = 0xD2511F53u * c0, high0 = __umulhi(0xD2511F53u, c0);
        unsigned low1 = 0xCD9E8D57u * c2, high1 = __umulhi(0xCD9E8D57u, c2);
        c0 = high1 ^ c1 ^ k0, c1 = low1, c2 = high0 ^ c3 ^ k1, c3 = low0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return make_uint4(c0, c1, c2, c3);
}

constexpr int THREADS = 256;

// Copy the generator's state, which moves on to its next draw: one thread, before the launch that draws.
static __global__ void take_ticket_kernel(unsigned* __restrict__ ticket, unsigned* __restrict__ state) {
    for (int i = 0; i < 5; ++i) ticket[i] = state[i];
    if (++state[3] == 0) ++state[4];
}

inline void take_ticket(const char* op, const Out<unsigned>& ticket, const InOut<unsigned>& state,
                        cudaStream_t stream) {
    require(ticket.size() == 5 && state.size() == 5, op, ": a generator's state has 5 words, got ", state.shape);
    LAUNCH(take_ticket_kernel, 1, 1, 0, stream, ticket.data, state.data);
}

// f(i, word i of the draw) for every i < n; a thread draws for four neighbours.
template <class F>
__global__ void __launch_bounds__(THREADS) draw_kernel(F f, const unsigned* __restrict__ ticket, int64_t n) {
    int64_t block = int64_t(blockIdx.x) * THREADS + threadIdx.x, i = 4 * block;
    if (i >= n) return;
    uint4 w = draw(unsigned(block), read(ticket));
    f(i, w.x);
    if (i + 1 < n) f(i + 1, w.y);
    if (i + 2 < n) f(i + 2, w.z);
    if (i + 3 < n) f(i + 3, w.w);
}

// f(i, the i-th 16 bits of the draw) for every i < n, a word's low half first; a thread draws for eight neighbours.
template <class F>
__global__ void __launch_bounds__(THREADS) draw_halves_kernel(F f, const unsigned* __restrict__ ticket, int64_t n) {
    int64_t block = int64_t(blockIdx.x) * THREADS + threadIdx.x, i = 8 * block;
    if (i >= n) return;
    uint4 w = draw(unsigned(block), read(ticket));
    unsigned word[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
    for (int e = 0; e < 8; ++e)
        if (i + e < n) f(i + e, word[e / 2] >> 16 * (e % 2) & 0xFFFFu);
}

template <class F>
void each_half(F f, const unsigned* ticket, int64_t n, cudaStream_t stream) {
    LAUNCH((draw_halves_kernel<F>), blocks(n, 8 * THREADS), THREADS, 0, stream, f, ticket, n);
}

struct Drop {  // y = x times the scale where the bits reach the limit, else times 0: a NaN comes out either way
    int64_t limit;
    float scale;
    __device__ float operator()(float x, unsigned bits, int64_t) const { return x * (bits >= limit ? scale : 0.0f); }
};

// y[i] = f(x[i], the i-th 16 bits of the draw, i).  A thread draws for eight neighbours, maps two groups of four, one
// of its own and one of the thread beside it, so that a warp moves whole sectors; they exchange what the other needs.
template <class F>
__global__ void __launch_bounds__(THREADS)
    map_halves4_kernel(F f, float* __restrict__ y, const float* __restrict__ x, const unsigned* __restrict__ ticket,
                       int64_t n) {
    int64_t block = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    uint4 w = draw(unsigned(block), read(ticket));
    bool odd = threadIdx.x % 2;
    unsigned left = __shfl_xor_sync(~0u, odd ? w.x : w.z, 1), right = __shfl_xor_sync(~0u, odd ? w.y : w.w, 1);
    unsigned word[2][2] = {{odd ? left : w.x, odd ? right : w.y}, {odd ? w.z : left, odd ? w.w : right}};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        int64_t i = block / 2 * 16 + half * 8 + odd * 4;
        unsigned bits[4];
#pragma unroll
        for (int e = 0; e < 4; ++e) bits[e] = word[half][e / 2] >> 16 * (e % 2) & 0xFFFFu;
        if (i + 4 <= n) {
            float4 v = *reinterpret_cast<const float4*>(x + i);
            *reinterpret_cast<float4*>(y + i) =
                make_float4(f(v.x, bits[0], i), f(v.y, bits[1], i + 1), f(v.z, bits[2], i + 2), f(v.w, bits[3], i + 3));
        } else {
#pragma unroll
            for (int e = 0; e < 4; ++e)
                if (i + e < n) y[i + e] = f(x[i + e], bits[e], i + e);
        }
    }
}

template <class F>
struct Mapped {  // the same where an array does not begin at 16 bytes
    F f;
    float* __restrict__ y;
    const float* __restrict__ x;
    __device__ void operator()(int64_t i, unsigned bits) const { y[i] = f(x[i], bits, i); }
};

template <class F>
void map_halves(F f, const char* op, const Out<float>& y, const In<float>& x, const unsigned* ticket,
                cudaStream_t stream) {
    int64_t n = y.size();
    require(x.size() == n, op, ": x has shape ", x.shape, ", y ", y.shape);
    if (y.aligned(16) && x.aligned(16))
        LAUNCH((map_halves4_kernel<F>), blocks(n, 8 * THREADS), THREADS, 0, stream, f, y.data, x.data, ticket, n);
    else
        each_half(Mapped<F>{f, y.data, x.data}, ticket, n, stream);
}

template <class F>
void each_word(F f, const unsigned* ticket, int64_t n, cudaStream_t stream) {
    LAUNCH((draw_kernel<F>), blocks(n, 4 * THREADS), THREADS, 0, stream, f, ticket, n);
}
}  // namespace philox
