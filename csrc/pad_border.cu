// Padding along an axis, of [outer, n, inner], with a border of its own elements.
#include "elementwise.cuh"

namespace {
enum Mode { REFLECT, REPLICATE, CIRCULAR };

struct Border {
    int n, before, after, mode;
    __device__ int length() const { return before + n + after; }
    __device__ int source(int j) const {  // what place j shows
        int i = j - before;
        if (mode == REPLICATE) return i < 0 ? 0 : i < n ? i : n - 1;
        if (mode == CIRCULAR) return (i % n + n) % n;
        int period = n > 1 ? 2 * (n - 1) : 1, k = (i % period + period) % period;
        return k < n ? k : period - k;
    }
};
struct Pad {
    float* __restrict__ y;
    const float* __restrict__ x;
    Border border;
    int inner;
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner), o = quotient(above, border.length());
        y[at] = x[(o * border.n + border.source(int(above - o * border.length()))) * inner + (at - above * inner)];
    }
};
struct PadBackward {  // its own place, then the places of the border that show it, in order
    float* __restrict__ dx;
    const float* __restrict__ dy;
    Border border;
    int inner;
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner), o = quotient(above, border.n);
        int i = int(above - o * border.n);
        const float* line = dy + o * border.length() * inner + (at - above * inner);
        float sum = line[int64_t(border.before + i) * inner];
        for (int b = 0; b < border.before + border.after; ++b) {
            int j = b < border.before ? b : border.n + b;
            if (border.source(j) == i) sum += line[int64_t(j) * inner];
        }
        dx[at] = sum;
    }
};
}  // namespace

void pad_lines(Out<float> y, In<float> x, int before, int after, int mode, cudaStream_t stream) {
    Border border{x.length(1), before, after, mode};
    require(before >= 0 && after >= 0 && border.n > 0, "pad: ", before, " and ", after, " around ", x.shape);
    each(Pad{y.data, x.data, border, x.length(2)}, y.size(), stream);
}
BIND(pad_lines, "y x before after mode");

void pad_lines_backward(Out<float> dx, In<float> dy, int before, int after, int mode, cudaStream_t stream) {
    Border border{dx.length(1), before, after, mode};
    require(before >= 0 && after >= 0 && border.n > 0, "pad_backward: ", before, " and ", after, " around ", dx.shape);
    each<1>(PadBackward{dx.data, dy.data, border, dx.length(2)}, dx.size(), stream);
}
BIND(pad_lines_backward, "dx dy before after mode");
