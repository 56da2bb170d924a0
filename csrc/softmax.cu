// Softmax and its logarithm along rows, forward and backward.  A row belongs to a group of up to 32 neighbouring lanes
// of a warp, as many as it has use for, so that short rows (a pixel's classes) do not leave lanes idle.
#include "rows.cuh"

namespace {
using rows::Group;
using rows::THREADS;

__global__ void __launch_bounds__(THREADS)
    softmax_kernel(float* __restrict__ y, const float* __restrict__ x, int64_t n, int c, int wide, bool logarithm) {
    Group g(n, c, wide);
    x += g.row * c, y += g.row * c;
    float top = g.most(x);
    double sum = 0;
    for (int j = g.lane; j < g.c; j += wide) sum += expf(x[j] - top);
    sum = g.sum(sum);
    float scale = float(1 / sum), log_sum = float(log(sum));
    for (int j = g.lane; j < g.c; j += wide) y[j] = logarithm ? (x[j] - top) - log_sum : expf(x[j] - top) * scale;
}

// dx = y (dy - sum(dy y)), or for the logarithm dy - e^y sum(dy)
__global__ void __launch_bounds__(THREADS)
    softmax_backward_kernel(float* __restrict__ dx, const float* __restrict__ dy, const float* __restrict__ y,
                            int64_t n, int c, int wide, bool logarithm) {
    Group g(n, c, wide);
    dx += g.row * c, dy += g.row * c, y += g.row * c;
    double sum = 0;
    for (int j = g.lane; j < g.c; j += wide) sum += logarithm ? dy[j] : dy[j] * y[j];
    float s = float(g.sum(sum));
    for (int j = g.lane; j < g.c; j += wide) dx[j] = logarithm ? dy[j] - expf(y[j]) * s : y[j] * (dy[j] - s);
}

void forward(const char* op, const Out<float>& y, const In<float>& x, bool logarithm, cudaStream_t stream) {
    int64_t n = x.shape[0];
    int c = x.length(1), wide = rows::wide_for(c);
    require(y.size() == x.size(), op, ": x has shape ", x.shape, ", y ", y.shape);
    LAUNCH(softmax_kernel, blocks(n, THREADS / wide), THREADS, 0, stream, y.data, x.data, n, c, wide, logarithm);
}

void backward(const char* op, const Out<float>& dx, const In<float>& dy, const In<float>& y, bool logarithm,
              cudaStream_t stream) {
    int64_t n = y.shape[0];
    int c = y.length(1), wide = rows::wide_for(c);
    require(dy.size() == y.size(), op, ": dy has shape ", dy.shape, ", y ", y.shape);
    LAUNCH(softmax_backward_kernel, blocks(n, THREADS / wide), THREADS, 0, stream, dx.data, dy.data, y.data, n, c, wide,
           logarithm);
}
}  // namespace

void softmax_rows(Out<float> y, In<float> x, cudaStream_t stream) { forward("softmax", y, x, false, stream); }
BIND(softmax_rows, "y x");

void log_softmax_rows(Out<float> y, In<float> x, cudaStream_t stream) { forward("log_softmax", y, x, true, stream); }
BIND(log_softmax_rows, "y x");

void softmax_rows_backward(Out<float> dx, In<float> dy, In<float> y, cudaStream_t stream) {
    backward("softmax_backward", dx, dy, y, false, stream);
}
BIND(softmax_rows_backward, "dx dy y");

void log_softmax_rows_backward(Out<float> dx, In<float> dy, In<float> y, cudaStream_t stream) {
    backward("log_softmax_backward", dx, dy, y, true, stream);
}
BIND(log_softmax_rows_backward, "dx dy y");
