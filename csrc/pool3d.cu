// The largest number of each window over volumes [n, d, h, w, c], and which tap it was.  Backward gathers, as in
// pool.cu.  Means, and resampling, go axis by axis through the kernels of images.
#include <limits>

#include "elementwise.cuh"
#include "pool.cuh"

namespace {
using pool::Axis;
using pool::exceeds;

struct Sizes {
    int d, h, w, c;
};
struct Place {  // element `at` of an array [., d, h, w, c]
    int b, z, i, j, k;
    __device__ Place(int64_t at, const Sizes& s) {
        pool::Place p(at, s.h, s.w, s.c);  // its image is a plane of a volume
        i = p.i, j = p.j, k = p.k, b = p.b / s.d, z = p.b % s.d;
    }
};
struct Axes {
    Axis z, y, x;
    Axes(const Lengths& sizes, const Lengths& kernel, const Lengths& stride, const Lengths& before,
         const Lengths& dilation)
        : z(axis(0, sizes, kernel, stride, before, dilation)),
          y(axis(1, sizes, kernel, stride, before, dilation)),
          x(axis(2, sizes, kernel, stride, before, dilation)) {}
    static Axis axis(int a, const Lengths& sizes, const Lengths& kernel, const Lengths& stride, const Lengths& before,
                     const Lengths& dilation) {
        return {int(sizes[a + 1]), int(kernel[a]), int(stride[a]), int(before[a]), int(dilation[a])};
    }
};

template <typename I>
struct Largest {
    float* __restrict__ y;
    I* __restrict__ index;
    const float* __restrict__ x;
    Sizes s;
    Axes a;
    __device__ void operator()(int64_t at) const {
        Place p(at, s);
        float best = -INFINITY;
        int first = 0;
        bool found = false;  // taps in the padding never win
        for (int q = 0; q < a.z.kernel; ++q) {
            int plane = p.z * a.z.stride - a.z.before + q * a.z.dilation;
            if (plane < 0 || plane >= a.z.n) continue;
            for (int r = 0; r < a.y.kernel; ++r) {
                int row = p.i * a.y.stride - a.y.before + r * a.y.dilation;
                if (row < 0 || row >= a.y.n) continue;
                for (int t = 0; t < a.x.kernel; ++t) {
                    int column = p.j * a.x.stride - a.x.before + t * a.x.dilation;
                    if (column < 0 || column >= a.x.n) continue;
                    float v = x[(((int64_t(p.b) * a.z.n + plane) * a.y.n + row) * a.x.n + column) * s.c + p.k];
                    if (!found || exceeds(v, best)) best = v, first = (q * a.y.kernel + r) * a.x.kernel + t;
                    found = true;
                }
            }
        }
        y[at] = best;
        index[at] = I(first);
    }
};

template <typename I>
struct LargestBackward {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    const I* __restrict__ index;
    Sizes s;  // of dy
    Axes a;
    __device__ void operator()(int64_t at) const {
        Place p(at, {a.z.n, a.y.n, a.x.n, s.c});
        float sum = 0;
        for (int z = a.z.first(p.z, s.d); z < s.d && a.z.reach(p.z, z) >= 0; ++z) {
            int q = a.z.reach(p.z, z);
            if (q % a.z.dilation) continue;
            for (int i = a.y.first(p.i, s.h); i < s.h && a.y.reach(p.i, i) >= 0; ++i) {
                int r = a.y.reach(p.i, i);
                if (r % a.y.dilation) continue;
                for (int j = a.x.first(p.j, s.w); j < s.w && a.x.reach(p.j, j) >= 0; ++j) {
                    int t = a.x.reach(p.j, j);
                    if (t % a.x.dilation) continue;
                    int tap = (q / a.z.dilation * a.y.kernel + r / a.y.dilation) * a.x.kernel + t / a.x.dilation;
                    int64_t from = (((int64_t(p.b) * s.d + z) * s.h + i) * s.w + j) * s.c + p.k;
                    if (index[from] == tap) sum += dy[from];
                }
            }
        }
        dx[at] = sum;
    }
};

Sizes sizes_of(const Lengths& y) { return {int(y[1]), int(y[2]), int(y[3]), int(y[4])}; }

template <typename I>
void forward(const Out<float>& y, const Out<I>& index, const In<float>& x, const Lengths& kernel, const Lengths& stride,
             const Lengths& before, const Lengths& dilation, cudaStream_t stream) {
    require(kernel.product() - 1 <= std::numeric_limits<I>::max(), "max_pool3d: a window of ", kernel,
            " voxels is more than its indices can count");
    Axes axes(x.shape, kernel, stride, before, dilation);
    each<1>(Largest<I>{y.data, index.data, x.data, sizes_of(y.shape), axes}, y.size(), stream);
}

template <typename I>
void backward(const Out<float>& dx, const In<float>& dy, const In<I>& index, const Lengths& kernel,
              const Lengths& stride, const Lengths& before, const Lengths& dilation, cudaStream_t stream) {
    require(index.size() == dy.size(), "max_pool3d_backward: dy has shape ", dy.shape, ", index ", index.shape);
    Axes axes(dx.shape, kernel, stride, before, dilation);
    each<1>(LargestBackward<I>{dx.data, dy.data, index.data, sizes_of(dy.shape), axes}, dx.size(), stream);
}
}  // namespace

void max_volume(Out<float> y, Out<uint8_t> index, In<float> x, Lengths kernel, Lengths stride, Lengths before,
                Lengths dilation, Lengths, cudaStream_t stream) {
    forward(y, index, x, kernel, stride, before, dilation, stream);
}
BIND(max_volume, "y index x kernel stride before dilation size");

void max_volume_wide(Out<float> y, Out<int32_t> index, In<float> x, Lengths kernel, Lengths stride, Lengths before,
                     Lengths dilation, Lengths, cudaStream_t stream) {
    forward(y, index, x, kernel, stride, before, dilation, stream);
}
BIND(max_volume_wide, "y index x kernel stride before dilation size");

void max_volume_backward(Out<float> dx, In<float> dy, In<uint8_t> index, Lengths, Lengths kernel, Lengths stride,
                         Lengths before, Lengths dilation, cudaStream_t stream) {
    backward(dx, dy, index, kernel, stride, before, dilation, stream);
}
BIND(max_volume_backward, "dx dy index x_shape kernel stride before dilation");

void max_volume_wide_backward(Out<float> dx, In<float> dy, In<int32_t> index, Lengths, Lengths kernel, Lengths stride,
                              Lengths before, Lengths dilation, cudaStream_t stream) {
    backward(dx, dy, index, kernel, stride, before, dilation, stream);
}
BIND(max_volume_wide_backward, "dx dy index x_shape kernel stride before dilation");
