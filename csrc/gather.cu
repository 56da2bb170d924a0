// Elements by index.  What is added up at places that may repeat is added in the order of the index: places are sorted,
// stably, and each result sums what came to it, so there are no atomics and the same input gives the same bits.
#include "elementwise.cuh"

namespace {
constexpr int THREADS = 256;

__device__ __forceinline__ int64_t wrapped(int64_t i, int64_t n) { return i < 0 ? i + n : i; }

// y[o, m, i] = x[o, index[m], i]
struct TakeLines {
    float* __restrict__ y;
    const float* __restrict__ x;
    const int64_t* __restrict__ index;
    int n, many, inner;
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner), o = quotient(above, many), j = wrapped(index[above - o * many], n);
        y[at] = j >= 0 && j < n ? x[(o * n + j) * inner + (at - above * inner)] : NAN;
    }
};
// y[o, m, i] = x[o, index[o, m, i], i]
struct TakeEach {
    float* __restrict__ y;
    const float* __restrict__ x;
    const int64_t* __restrict__ index;
    int n, many, inner;
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner), o = quotient(above, many), j = wrapped(index[at], n);
        y[at] = j >= 0 && j < n ? x[(o * n + j) * inner + (at - above * inner)] : NAN;
    }
};

// Where each place comes when they are sorted: after all smaller ones, and after equal ones that come before it.
__global__ void __launch_bounds__(THREADS)
    rank_kernel(int64_t* __restrict__ sorted, int64_t* __restrict__ order, const int64_t* __restrict__ index, int m,
                int64_t n) {
    __shared__ int64_t tile[THREADS];
    int k = blockIdx.x * THREADS + threadIdx.x;
    int64_t mine = k < m ? wrapped(index[k], n) : 0;
    int rank = 0;
    for (int first = 0; first < m; first += THREADS) {
        int t = first + threadIdx.x;
        tile[threadIdx.x] = t < m ? wrapped(index[t], n) : 0;
        __syncthreads();
        int count = m - first < THREADS ? m - first : THREADS;
        for (int i = 0; i < count; ++i) rank += tile[i] < mine || (tile[i] == mine && first + i < k);
        __syncthreads();
    }
    if (k < m) sorted[rank] = mine, order[rank] = k;
}

__device__ __forceinline__ int first_at_least(const int64_t* sorted, int m, int64_t value) {
    int low = 0, high = m;
    while (low < high) {
        int middle = (low + high) / 2;
        if (sorted[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// y[o, j, i] = x[o, j, i] (or 0) + the sum of source[o, k, i] over the k whose place is j, in order
struct AddSegments {
    float* __restrict__ y;
    const float* __restrict__ x;
    const int64_t* __restrict__ sorted;
    const int64_t* __restrict__ order;
    const float* __restrict__ source;
    int n, many, inner;
    bool replace;  // the last one instead of the sum
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner), o = quotient(above, n), j = above - o * n;
        float sum = x ? x[at] : 0.0f;
        const float* from = source + o * many * inner + (at - above * inner);
        for (int s = first_at_least(sorted, many, j); s < many && sorted[s] == j; ++s) {
            float v = from[order[s] * inner];
            sum = replace ? v : sum + v;
        }
        y[at] = sum;
    }
};

// y[o, j, i] = x[o, j, i], then y[o, index[o, k, i], i] += source[o, k, i] (or = it): a thread walks along each line.
struct AddEach {
    float* __restrict__ y;
    const float* __restrict__ x;
    const int64_t* __restrict__ index;
    const float* __restrict__ source;
    int n, many, inner;
    bool replace;
    __device__ void operator()(int64_t at) const {
        int64_t o = quotient(at, inner), i = at - o * inner, to = o * n * inner + i, from = o * many * inner + i;
        for (int j = 0; j < n; ++j) y[to + int64_t(j) * inner] = x[to + int64_t(j) * inner];
        for (int k = 0; k < many; ++k) {
            int64_t j = wrapped(index[from + int64_t(k) * inner], n);
            if (j < 0 || j >= n) continue;
            float v = source[from + int64_t(k) * inner];
            y[to + j * inner] = replace ? v : y[to + j * inner] + v;
        }
    }
};

// dx[o, j, i] = dy[o, i] where j = index[o, i], else 0
struct PutEach {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    const int64_t* __restrict__ index;
    int n, inner;
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner), o = quotient(above, n), line = o * inner + (at - above * inner);
        dx[at] = index[line] == above - o * n ? dy[line] : 0.0f;
    }
};

struct Join {  // places along two axes as one along both merged
    int64_t* __restrict__ y;
    const int64_t* __restrict__ a;
    const int64_t* __restrict__ b;
    int64_t m, n;
    __device__ void operator()(int64_t i) const { y[i] = wrapped(a[i], m) * n + wrapped(b[i], n); }
};

struct OneHot {
    int64_t* __restrict__ y;
    const int64_t* __restrict__ index;
    int classes;
    __device__ void operator()(int64_t at) const {
        int64_t row = quotient(at, classes);
        y[at] = index[row] == at - row * classes;
    }
};
}  // namespace

void take_lines(Out<float> y, In<float> x, In<int64_t> index, cudaStream_t stream) {
    int n = x.length(1), many = int(index.size()), inner = x.length(2);
    require(y.size() == x.shape[0] * many * inner, "take: x ", x.shape, ", index ", index.shape, ", y ", y.shape);
    each(TakeLines{y.data, x.data, index.data, n, many, inner}, y.size(), stream);
}
BIND(take_lines, "y x index");

void take_each(Out<float> y, In<float> x, In<int64_t> index, cudaStream_t stream) {
    int n = x.length(1), many = index.length(1), inner = x.length(2);
    require(index.shape[0] == x.shape[0] && index.length(2) == inner, "gather: x ", x.shape, ", index ", index.shape);
    each(TakeEach{y.data, x.data, index.data, n, many, inner}, y.size(), stream);
}
BIND(take_each, "y x index");

void put_each(Out<float> dx, In<float> dy, In<int64_t> index, int64_t n, cudaStream_t stream) {
    require(dy.shape.count == 2 && index.size() == dy.size(), "pick_backward: dy ", dy.shape, ", index ", index.shape);
    each(PutEach{dx.data, dy.data, index.data, int(n), dy.length(1)}, dx.size(), stream);
}
BIND(put_each, "dx dy index n");

void rank_places(Out<int64_t> sorted, Out<int64_t> order, In<int64_t> index, int64_t n, cudaStream_t stream) {
    int m = int(index.size());
    LAUNCH(rank_kernel, blocks(m, THREADS), THREADS, 0, stream, sorted.data, order.data, index.data, m, n);
}
BIND(rank_places, "sorted order index n");

void add_segments(Out<float> y, Maybe<float> x, In<int64_t> sorted, In<int64_t> order, In<float> source, Lengths,
                  bool replace, cudaStream_t stream) {
    int n = y.length(1), many = int(sorted.size()), inner = y.length(2);
    require(source.size() == y.shape[0] * many * inner, "scatter: source ", source.shape, " for ", many, " places of ",
            y.shape);
    each<1>(AddSegments{y.data, x.data, sorted.data, order.data, source.data, n, many, inner, replace}, y.size(),
            stream);
}
BIND(add_segments, "y x sorted order source shape replace");

void add_each(Out<float> y, In<float> x, In<int64_t> index, In<float> source, bool replace, cudaStream_t stream) {
    int n = x.length(1), many = index.length(1), inner = x.length(2);
    require(index.shape[0] == x.shape[0] && index.length(2) == inner && source.size() == index.size(), "scatter: x ",
            x.shape, ", index ", index.shape, ", source ", source.shape);
    each<1>(AddEach{y.data, x.data, index.data, source.data, n, many, inner, replace}, x.shape[0] * inner, stream);
}
BIND(add_each, "y x index source replace");

void join_places(Out<int64_t> y, In<int64_t> a, In<int64_t> b, int64_t m, int64_t n, cudaStream_t stream) {
    require(a.size() == b.size() && y.size() == a.size(), "take: indices of shapes ", a.shape, " and ", b.shape);
    each(Join{y.data, a.data, b.data, m, n}, y.size(), stream);
}
BIND(join_places, "y a b m n");

void one_hot_forward(Out<int64_t> y, In<int64_t> index, int classes, cudaStream_t stream) {
    each(OneHot{y.data, index.data, classes}, y.size(), stream);
}
BIND(one_hot_forward, "y index classes");
