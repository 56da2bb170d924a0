// Scan, rung 8: one kernel, in which a block waits for the block before it.
//
// Every number is read once and written once: two passes.  A block scans its stretch, waits until the block before has
// said what comes before, adds its own sum and says it to the next.  Three things make this safe.  A block takes its
// stretch by a counter, so that it waits only for blocks that have begun, in whatever order a GPU begins them.  The sum
// and the mark that it is there are one word of 8 bytes, which is seen whole or not at all: with two words there would
// have to be a __threadfence between them.  And the words are read and written by atomics, never from a cache.
// What is left: block 1000 waits for 999 others, one after the other.
#include "scan_tile.cuh"

namespace {
using namespace ladder;
using Word = unsigned long long;  // a float, and 1 above it when it is there

__global__ void __launch_bounds__(SCAN_THREADS) clear_kernel(Word* words, int count) {
    int i = blockIdx.x * SCAN_THREADS + threadIdx.x;
    if (i < count) words[i] = 0;
}

__device__ void say(Word* word, float sum) { atomicExch(word, Word(1) << 32 | __float_as_uint(sum)); }

__device__ float wait_for(Word* word) {
    for (;;) {
        Word now = atomicAdd(word, Word(0));
        if (now >> 32) return __uint_as_float(unsigned(now));
    }
}

// words: the counter of stretches, then for each stretch the sum of all numbers up to its end.
__global__ void __launch_bounds__(SCAN_THREADS) scan_kernel(float* y, Word* words, const float* x, int64_t n) {
    __shared__ int number;
    __shared__ float before;
    if (threadIdx.x == 0) number = int(atomicAdd(words, Word(1)));
    __syncthreads();
    int stretch = number;
    int64_t i = int64_t(stretch) * STRETCH + 4 * threadIdx.x;
    Four four;
    four.load(x, i, n);
    float sum = four.scan();
    if (threadIdx.x == 0) {
        before = stretch ? wait_for(words + stretch) : 0;
        say(words + stretch + 1, before + sum);
    }
    __syncthreads();
    four.store(y, i, n, before);
}
}  // namespace

void scan_8_chain(Out<float> y, Work<unsigned long long> words, In<float> x, cudaStream_t stream) {
    unsigned count = blocks(x.size(), STRETCH);
    LAUNCH(clear_kernel, 1, SCAN_THREADS, 0, stream, words.data, 1);  // alone: --predict runs three blocks of a launch
    LAUNCH(clear_kernel, blocks(count, SCAN_THREADS), SCAN_THREADS, 0, stream, words.data + 1, int(count));
    LAUNCH(scan_kernel, count, SCAN_THREADS, 0, stream, y.data, words.data, x.data, x.size());
}
BIND(scan_8_chain, "y words x");
