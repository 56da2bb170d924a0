// Attention, softmax(scale Q K' + mask) V, without a square of scores in memory.  A block owns TILE queries (for y and
// dq) or TILE keys (for dk and dv), goes over tiles of the others, computes their weights anew, and adds weights times
// rows to its sums: acc[own][column] += sum over others of w[own][other] x[other][column].  Forward keeps an online
// softmax (Milakov & Gimelshein 2018), top the largest score of a query and total = sum e^(score - top); backward
// begins with both (Dao et al., NeurIPS 2022).
#include "philox.cuh"

namespace {
constexpr int TILE = 64, DEPTH = 16, SIDE = 16, EACH = TILE / SIDE, THREADS = SIDE * SIDE;
constexpr int LANES = THREADS / TILE;  // threads that share a row of the online softmax
enum Role { OUTPUT, QUERY_GRADIENT, KEY_GRADIENT, VALUE_GRADIENT };

struct Problem {
    const float *q, *k, *v, *dy, *top, *total, *mean, *mask;
    const unsigned* ticket;
    float *out, *top_out, *total_out, *scores_gradient;
    int heads, queries, keys, size, width;           // size of a key, width of a value
    int mask_batch, mask_heads, mask_rows;           // lengths of the mask's axes
    float scale;
    bool causal;
    int64_t limit;
    float keep;
};

struct Shared {
    float a[TILE][DEPTH + 1], b[TILE][DEPTH + 1], w[TILE][TILE + 1], x[DEPTH][TILE];
    float top[TILE], total[TILE], shrink[TILE];
};

// sum[i][j] += a[row i] . b[row j] over `depth` numbers; rows from a_rows or b_rows on are zeros.  A product is not
// rounded: at scores of hundreds a weight keeps as many digits fewer as the score has.
__device__ void multiply(float (&sum)[EACH][EACH], Shared& s, const float* a, int a_rows, const float* b, int b_rows,
                         int depth) {
    int tx = threadIdx.x % SIDE, ty = threadIdx.x / SIDE;
    for (int e0 = 0; e0 < depth; e0 += DEPTH) {
        __syncthreads();
        for (int t = threadIdx.x; t < TILE * DEPTH; t += THREADS) {
            int row = t / DEPTH, e = t % DEPTH;
            bool inside = e0 + e < depth;
            s.a[row][e] = inside && row < a_rows ? a[int64_t(row) * depth + e0 + e] : 0.0f;
            s.b[row][e] = inside && row < b_rows ? b[int64_t(row) * depth + e0 + e] : 0.0f;
        }
        __syncthreads();
        for (int e = 0; e < DEPTH; ++e)
#pragma unroll
            for (int i = 0; i < EACH; ++i)
#pragma unroll
                for (int j = 0; j < EACH; ++j)
                    sum[i][j] = __fmaf_rn(s.a[ty + SIDE * i][e], s.b[tx + SIDE * j][e], sum[i][j]);
    }
}

// acc[i][c] += w[own i][other] x[other][column c] for `rows` others and the columns from `first` on.
__device__ void accumulate(float (&acc)[EACH][EACH], Shared& s, const float* x, int rows, int first, int columns) {
    int tx = threadIdx.x % SIDE, ty = threadIdx.x / SIDE;
    for (int o0 = 0; o0 < rows; o0 += DEPTH) {
        __syncthreads();
        for (int t = threadIdx.x; t < TILE * DEPTH; t += THREADS) {
            int row = o0 + t / TILE, column = first + t % TILE;
            s.x[t / TILE][t % TILE] = row < rows && column < columns ? x[int64_t(row) * columns + column] : 0.0f;
        }
        __syncthreads();
        for (int o = 0; o < DEPTH; ++o)
#pragma unroll
            for (int i = 0; i < EACH; ++i)
#pragma unroll
                for (int c = 0; c < EACH; ++c) acc[i][c] += s.w[ty + SIDE * i][o0 + o] * s.x[o][tx + SIDE * c];
    }
}

// scale q . k + mask; -inf where the query may not attend, or there is no such query or key.
__device__ float score(const Problem& p, int64_t batch, int query, int key, float product) {
    if (query >= p.queries || key >= p.keys || (p.causal && key > query)) return -INFINITY;
    float z = product * p.scale;
    if (!p.mask) return z;
    int64_t n = batch / p.heads % p.mask_batch, h = batch % p.heads % p.mask_heads;
    return z + p.mask[((n * p.mask_heads + h) * p.mask_rows + query % p.mask_rows) * p.keys + key];
}

// What dropout multiplies a weight by.
__device__ float factor(const Problem& p, int64_t batch, int query, int key) {
    if (!p.ticket) return 1.0f;
    int64_t number = (batch * p.queries + query) * p.keys + key;
    uint4 words = philox::draw(unsigned(number / 8), philox::read(p.ticket));
    unsigned word[4] = {words.x, words.y, words.z, words.w};
    unsigned bits = word[number % 8 / 2] >> 16 * (number % 2) & 0xFFFFu;
    return bits >= p.limit ? p.keep : 0.0f;
}

// Turn the scores in s.w into weights e^(score - top): LANES neighbouring threads a row.
__device__ void online_softmax(const Problem& p, Shared& s, int64_t batch, int query0, int key0) {
    int row = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    float before = s.top[row], top = before;
    for (int j = lane; j < TILE; j += LANES) top = s.w[row][j] > top ? s.w[row][j] : top;
    for (int d = LANES / 2; d; d /= 2) {
        float other = __shfl_xor_sync(~0u, top, d, LANES);
        top = other > top ? other : top;
    }
    float sum = 0;
    for (int j = lane; j < TILE; j += LANES) {
        float z = s.w[row][j], w = z == -INFINITY ? 0.0f : expf(z - top);  // a NaN comes out
        sum += w;
        s.w[row][j] = w * factor(p, batch, query0 + row, key0 + j);
    }
    for (int d = LANES / 2; d; d /= 2) sum += __shfl_xor_sync(~0u, sum, d, LANES);
    __syncwarp();
    if (lane == 0) {
        float shrink = before == -INFINITY ? 0.0f : expf(before - top);
        s.top[row] = top;
        s.shrink[row] = shrink;
        s.total[row] = s.total[row] * shrink + sum;
    }
}

template <Role role>
__global__ void __launch_bounds__(THREADS) attention_kernel(Problem p, int tiles) {
    constexpr bool OF_KEYS = role == KEY_GRADIENT || role == VALUE_GRADIENT;
    __shared__ Shared s;
    int tx = threadIdx.x % SIDE, ty = threadIdx.x / SIDE, first = blockIdx.y * TILE;
    int own0 = blockIdx.x % tiles * TILE;
    int64_t batch = blockIdx.x / tiles;
    int owns = OF_KEYS ? p.keys : p.queries, others = OF_KEYS ? p.queries : p.keys;
    const float *q = p.q + batch * p.queries * p.size, *k = p.k + batch * p.keys * p.size;
    const float *v = p.v + batch * p.keys * p.width, *dy = p.dy ? p.dy + batch * p.queries * p.width : nullptr;
    const float* x = role == OUTPUT ? v : role == QUERY_GRADIENT ? k : role == KEY_GRADIENT ? q : dy;
    int columns = role == OUTPUT || role == VALUE_GRADIENT ? p.width : p.size;
    float acc[EACH][EACH] = {};
    if (role == OUTPUT && threadIdx.x < TILE) s.top[threadIdx.x] = -INFINITY, s.total[threadIdx.x] = 0;

    for (int other0 = 0; other0 < others; other0 += TILE) {
        int query0 = OF_KEYS ? other0 : own0, key0 = OF_KEYS ? own0 : other0;
        if (p.causal && key0 >= query0 + TILE) continue;  // the same for the whole block: all keys come later
        int own_rows = min(TILE, owns - own0), other_rows = min(TILE, others - other0);
        float sum[EACH][EACH] = {}, dp[EACH][EACH] = {};
        const float *queries = q + int64_t(query0) * p.size, *keys = k + int64_t(key0) * p.size;
        multiply(sum, s, OF_KEYS ? keys : queries, own_rows, OF_KEYS ? queries : keys, other_rows, p.size);
        if (role == QUERY_GRADIENT || role == KEY_GRADIENT) {
            const float *dys = dy + int64_t(query0) * p.width, *values = v + int64_t(key0) * p.width;
            multiply(dp, s, OF_KEYS ? values : dys, own_rows, OF_KEYS ? dys : values, other_rows, p.width);
        }
        __syncthreads();  // all have used the weights of the tile before
#pragma unroll
        for (int i = 0; i < EACH; ++i)
#pragma unroll
            for (int j = 0; j < EACH; ++j) {
                int own = ty + SIDE * i, other = tx + SIDE * j;
                int query = query0 + (OF_KEYS ? other : own), key = key0 + (OF_KEYS ? own : other);
                float z = score(p, batch, query, key, sum[i][j]), w = z;
                if (role != OUTPUT) {
                    bool inside = query < p.queries && key < p.keys;
                    int64_t row = batch * p.queries + query;
                    w = inside ? expf(z - p.top[row]) / p.total[row] : 0.0f;
                    float f = inside ? factor(p, batch, query, key) : 0.0f;
                    if (role == VALUE_GRADIENT)
                        w *= f;
                    else if (inside)
                        w *= dp[i][j] * f - p.mean[row];
                    if (role == QUERY_GRADIENT && p.scores_gradient && inside && first == 0)
                        p.scores_gradient[row * p.keys + key] = w;
                }
                s.w[own][other] = w;
            }
        __syncthreads();
        if (role == OUTPUT) {
            online_softmax(p, s, batch, query0, key0);
            __syncthreads();
#pragma unroll
            for (int i = 0; i < EACH; ++i)
#pragma unroll
                for (int c = 0; c < EACH; ++c) acc[i][c] *= s.shrink[ty + SIDE * i];
        }
        accumulate(acc, s, x + int64_t(other0) * columns, other_rows, first, columns);
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        int own = ty + SIDE * i;
        if (own0 + own >= owns) continue;
        int64_t row = batch * owns + own0 + own;
        float scale = role == VALUE_GRADIENT ? 1.0f : p.scale;
        if (role == OUTPUT) {
            bool closed = s.total[own] == 0;
            scale = closed ? 0.0f : 1 / s.total[own];
            if (first == 0 && tx == 0) {
                p.top_out[row] = closed ? 0.0f : s.top[own];
                p.total_out[row] = closed ? INFINITY : s.total[own];
            }
        }
#pragma unroll
        for (int c = 0; c < EACH; ++c) {
            int column = first + tx + SIDE * c;
            if (column < columns) p.out[row * columns + column] = acc[i][c] * scale;
        }
    }
}

// mean[row] = sum of dy y over a row
__global__ void __launch_bounds__(THREADS)
    mean_kernel(float* __restrict__ mean, const float* __restrict__ dy, const float* __restrict__ y, int64_t n,
                int width) {
    int64_t row = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (row >= n) return;
    double sum = 0;
    for (int d = 0; d < width; ++d) sum += dy[row * width + d] * y[row * width + d];
    mean[row] = float(sum);
}

template <Role role>
void run(const char* op, Problem p, float* out, int64_t batches, cudaStream_t stream) {
    p.out = out;
    bool of_keys = role == KEY_GRADIENT || role == VALUE_GRADIENT;
    int columns = role == OUTPUT || role == VALUE_GRADIENT ? p.width : p.size;
    unsigned tiles = blocks(of_keys ? p.keys : p.queries, TILE), chunks = blocks(columns, TILE);
    require(batches * tiles < 1ll << 31, op, ": ", batches, " heads of ", tiles, " tiles each are too many");
    LAUNCH((attention_kernel<role>), dim3(unsigned(batches * tiles), chunks ? chunks : 1), THREADS, 0, stream, p,
           int(tiles));
}

Problem problem(const char* op, const In<float>& q, const In<float>& k, const In<float>& v, const Maybe<float>& mask,
                const Maybe<unsigned>& ticket, float scale, bool causal, int64_t limit, float keep) {
    require(q.shape.count == 4 && k.shape.count == 4 && v.shape.count == 4, op, ": takes (N, heads, tokens, size)");
    require(k.shape[0] == q.shape[0] && v.shape[0] == q.shape[0] && k.shape[1] == q.shape[1] &&
                v.shape[1] == q.shape[1] && k.shape[3] == q.shape[3] && v.shape[2] == k.shape[2],
            op, ": q ", q.shape, ", k ", k.shape, ", v ", v.shape, " do not fit");
    require(!mask || (mask.shape.count == 4 && mask.shape[3] == k.shape[2]), op, ": mask of shape ", mask.shape);
    Problem p{};
    p.q = q.data, p.k = k.data, p.v = v.data, p.mask = mask.data, p.ticket = ticket.data;
    p.heads = q.length(1), p.queries = q.length(2), p.keys = k.length(2), p.size = q.length(3), p.width = v.length(3);
    if (mask) p.mask_batch = mask.length(0), p.mask_heads = mask.length(1), p.mask_rows = mask.length(2);
    p.scale = scale, p.causal = causal, p.limit = limit, p.keep = keep;
    return p;
}
}  // namespace

void attention_forward(Out<float> y, Out<float> top, Out<float> total, In<float> q, In<float> k, In<float> v,
                       Maybe<float> mask, Maybe<unsigned> ticket, float scale, bool causal, int64_t limit, float keep,
                       cudaStream_t stream) {
    Problem p = problem("attention_forward", q, k, v, mask, ticket, scale, causal, limit, keep);
    p.top_out = top.data, p.total_out = total.data;
    run<OUTPUT>("attention_forward", p, y.data, q.shape[0] * q.shape[1], stream);
}
BIND(attention_forward, "y top total q k v mask ticket scale causal limit keep");

void attention_backward(Out<float> dq, Out<float> dk, Out<float> dv, Out<float> dscores, Work<float> mean, In<float> dy,
                        In<float> q, In<float> k, In<float> v, Maybe<float> mask, In<float> y, In<float> top,
                        In<float> total, Maybe<unsigned> ticket, float scale, bool causal, int64_t limit, float keep,
                        bool of_scores, cudaStream_t stream) {
    const char* op = "attention_backward";
    Problem p = problem(op, q, k, v, mask, ticket, scale, causal, limit, keep);
    require(dy.size() == y.size() && top.size() == mean.size() && total.size() == mean.size(), op, ": dy ", dy.shape,
            ", y ", y.shape);
    require(!(of_scores && causal), op, ": the gradient of the scores is of a mask, which stands beside no causal one");
    p.dy = dy.data, p.top = top.data, p.total = total.data, p.mean = mean.data;
    p.scores_gradient = of_scores ? dscores.data : nullptr;
    int64_t rows = top.size(), batches = q.shape[0] * q.shape[1];
    LAUNCH(mean_kernel, blocks(rows, THREADS), THREADS, 0, stream, mean.data, dy.data, y.data, rows, p.width);
    run<QUERY_GRADIENT>(op, p, dq.data, batches, stream);
    run<KEY_GRADIENT>(op, p, dk.data, batches, stream);
    run<VALUE_GRADIENT>(op, p, dv.data, batches, stream);
}
BIND(attention_backward, "dq dk dv dscores mean dy q k v mask y top total ticket scale causal limit keep of_scores");
