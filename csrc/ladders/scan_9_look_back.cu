// Scan, rung 9: a block looks back over its group of 32, whose blocks do not wait for each other.
//
// As soon as a block knows the sum of its own stretch, it says it; then the 32 lanes of one warp look at the blocks
// before it in its group at once, and add up what they find (Merrill and Garland 2016: decoupled look-back).  Only the
// last block of a group waits for the group before and says the sum up to its end: a chain of n / 32768 steps where
// rung 8 has n / 1024.  Theirs takes whatever is there when it looks, so that the order of additions, and the last bits
// of the result, change from run to run; with groups that are fixed the bits are always the same.
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

// words: the counter of stretches, the sum of each stretch, then for each group of 32 what comes before it.
__global__ void __launch_bounds__(SCAN_THREADS) scan_kernel(float* y, Word* words, const float* x, int64_t n) {
    __shared__ int number;
    __shared__ float before;
    int t = threadIdx.x;
    if (t == 0) number = int(atomicAdd(words, Word(1)));
    __syncthreads();
    int stretch = number, place = stretch % 32, group = stretch / 32;
    Word *stretches = words + 1 + group * 32, *groups = words + 1 + gridDim.x;
    int64_t i = int64_t(stretch) * STRETCH + 4 * t;
    Four four;
    four.load(x, i, n);
    float sum = four.scan();
    if (t == 0) say(stretches + place, sum);
    if (t < 32) {
        float own = t < place ? wait_for(stretches + t) : 0;
        for (int d = 16; d; d /= 2) own += __shfl_xor_sync(~0u, own, d);
        if (t == 0) {
            before = own + (group ? wait_for(groups + group) : 0);
            if (place == 31) say(groups + group + 1, before + sum);
        }
    }
    __syncthreads();
    four.store(y, i, n, before);
}
}  // namespace

void scan_9_look_back(Out<float> y, Work<unsigned long long> words, In<float> x, cudaStream_t stream) {
    unsigned count = blocks(x.size(), STRETCH), all = count + blocks(count, 32) + 1;
    LAUNCH(clear_kernel, 1, SCAN_THREADS, 0, stream, words.data, 1);  // alone: --predict runs three blocks of a launch
    LAUNCH(clear_kernel, blocks(all, SCAN_THREADS), SCAN_THREADS, 0, stream, words.data + 1, int(all));
    LAUNCH(scan_kernel, count, SCAN_THREADS, 0, stream, y.data, words.data, x.data, x.size());
}
BIND(scan_9_look_back, "y words x");
