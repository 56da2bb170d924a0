// Sampling of images [n, h, w, c] and volumes [n, d, h, w, c] at the places of a grid (x, y) or (x, y, z).
//
// A thread of the forward pass makes one number of y, one of the grid's gradient the numbers of one place.  The input's
// gradient is a scatter: places add to pixels in any order, so they add whole numbers, whose sum does not depend on it.
// A part is rounded to a quantum that leaves room for all places in 64 bits: 2^-60 of the largest |dy| and the number
// of places, which for a million places is still 2^-38 of the largest.
#include "elementwise.cuh"
#include "reduce.cuh"

namespace {
enum Sampling { BILINEAR, NEAREST, BICUBIC };
enum Padding { ZEROS, BORDER, REFLECTION };
__device__ __forceinline__ bool finite(float v) { return v - v == 0; }

constexpr float FAR = 1073741824.0f;  // a place beyond it, or not a number, is outside every image

// a d^3 + b d^2 + c d + e, each step rounded: a weight has the digits that the CPU and PyTorch give it, whatever nvcc
// would fuse.
__device__ __forceinline__ float cubic(float d, float a, float b, float c, float e) {
    float y = __fadd_rn(__fmul_rn(a, d), b);
    y = __fadd_rn(__fmul_rn(y, d), c);
    return __fadd_rn(__fmul_rn(y, d), e);
}

struct Axis {
    int n, padding;
    bool align_corners;
    __device__ float scale() const { return (align_corners ? float(n - 1) : float(n)) / 2; }
    __device__ float shift() const { return align_corners ? 0.0f : 0.5f; }
    // Rounded once: rounding decides between two pixels.
    __device__ float place(float g) const { return __fmaf_rn(__fadd_rn(g, 1.0f), scale(), -shift()); }

    // A place brought into the image; slope is multiplied by that of the map, 0 where the place was cut off.
    __device__ float padded(float at, float& slope) const {
        if (padding == ZEROS) return at;
        float last = float(n - 1);
        if (padding == REFLECTION) {
            float low = -shift(), span = 2 * scale();
            float beyond = fabsf(at - low);
            bool before = at < low;
            if (span == 0) {
                at = slope = 0;
            } else {
                beyond = __fadd_rn(beyond, -__fmul_rn(floorf(beyond / (2 * span)), 2 * span));
                if (before != (beyond > span)) slope = -slope;
                at = (beyond > span ? 2 * span - beyond : beyond) + low;
            }
        }
        if (at <= 0 || at >= last) slope = 0;
        return at < 0 ? 0.0f : at > last ? last : at;
    }
};

template <int MODE>
struct Taps {  // of one place along one axis
    static constexpr int COUNT = MODE == BILINEAR ? 2 : MODE == NEAREST ? 1 : 4;
    int first;
    float t, bend;  // how far the place lies behind its pixel; pixels for each unit of the grid

    __device__ Taps(const Axis& axis, float g) {
        bend = axis.scale();
        float at = axis.place(g);
        if (MODE != BICUBIC) at = axis.padded(at, bend);
        float base = MODE == NEAREST ? rintf(at) : floorf(at);
        t = at - base;
        first = fabsf(at) < FAR ? int(base) : -int(FAR);
        if (MODE == BICUBIC) --first;
    }
    // The pixel of a tap, -1 outside the image.
    __device__ int pixel(const Axis& axis, int tap) const {
        int i = first + tap;
        if (MODE == BICUBIC && axis.padding != ZEROS) {
            float slope = 1;
            i = int(axis.padded(float(i), slope));
        }
        return i >= 0 && i < axis.n ? i : -1;
    }
    // Of the four bicubic taps: whether it is one of the two next to the place, and how far it lies from it.
    __device__ static bool inner(int tap) { return tap == 1 || tap == 2; }
    __device__ float distance(int tap) const { return (tap < 2 ? t : 1 - t) + (inner(tap) ? 0.0f : 1.0f); }
    __device__ float weight(int tap) const {
        if (MODE == NEAREST) return 1 + t * 0;  // NaN for a place that is not a number
        if (MODE == BILINEAR) return tap ? t : 1 - t;
        return inner(tap) ? cubic(distance(tap), 1.25f, -2.25f, 0, 1) : cubic(distance(tap), -0.75f, 3.75f, -6, 3);
    }
    __device__ float slope(int tap) const {
        if (MODE == BILINEAR) return tap ? 1.0f : -1.0f;
        float s = inner(tap) ? cubic(distance(tap), 0, 3.75f, -4.5f, 0) : cubic(distance(tap), 0, -2.25f, 7.5f, -6);
        return tap < 2 ? s : -s;
    }
};

struct Space {  // planes, rows and columns of an image; an image has one plane
    Axis z, y, x;
    int channels;
    int64_t places;  // of the grid, in each image
    __host__ __device__ int64_t pixels() const { return int64_t(z.n) * y.n * x.n; }
};

// The taps of a place along all axes, and the pixels that they combine to.
template <int RANK, int MODE>
struct Around {
    static constexpr int COUNT = Taps<MODE>::COUNT, PLANES = RANK == 3 ? COUNT : 1;
    const Space& space;
    Taps<MODE> z, y, x;
    __device__ Around(const Space& space, const float* g)
        : space(space), z(space.z, RANK == 3 ? g[RANK - 1] : 0.0f), y(space.y, g[1]), x(space.x, g[0]) {}
    // The number of a pixel in its image, -1 outside.
    __device__ int64_t pixel(int p, int a, int b) const {
        int plane = RANK == 3 ? z.pixel(space.z, p) : 0, row = y.pixel(space.y, a), column = x.pixel(space.x, b);
        if (plane < 0 || row < 0 || column < 0) return -1;
        return (int64_t(plane) * space.y.n + row) * space.x.n + column;
    }
    __device__ float weight(int p, int a) const { return (RANK == 3 ? z.weight(p) : 1.0f) * y.weight(a); }
    __device__ float weight(int p, int a, int b) const { return weight(p, a) * x.weight(b); }
    template <class F>
    __device__ void each_row(F f) const {
#pragma unroll
        for (int p = 0; p < PLANES; ++p)
#pragma unroll
            for (int a = 0; a < COUNT; ++a) f(p, a);
    }
    template <class F>
    __device__ void each(F f) const {
        each_row([&](int p, int a) {
#pragma unroll
            for (int b = 0; b < COUNT; ++b) f(p, a, b);
        });
    }
};

template <int RANK, int MODE>
struct Forward {
    float* __restrict__ y;
    const float* __restrict__ x;
    const float* __restrict__ grid;
    Space space;
    __device__ void operator()(int64_t at) const {
        int64_t place = quotient(at, space.channels), image = place / space.places;
        int k = int(at - place * space.channels);
        Around<RANK, MODE> around(space, grid + place * RANK);
        const float* from = x + image * space.pixels() * space.channels + k;
        float total = 0;
        around.each_row([&](int p, int a) {  // sums of rows are rounded less often than one sum of all taps
            float row = 0;
#pragma unroll
            for (int b = 0; b < around.COUNT; ++b) {
                int64_t pixel = around.pixel(p, a, b);
                row = __fmaf_rn(around.x.weight(b), pixel < 0 ? 0.0f : from[pixel * space.channels], row);
            }
            total = __fmaf_rn(around.weight(p, a), row, total);
        });
        y[at] = total;
    }
};

// The slopes of an axis' weights add up to 0: differences from its first tap serve as well as values, and lose no
// digits where the image is nearly constant.
template <int RANK, int MODE>
struct ToGrid {
    float* __restrict__ dgrid;
    const float* __restrict__ dy;
    const float* __restrict__ x;
    const float* __restrict__ grid;
    Space space;
    __device__ void operator()(int64_t place) const {
        int64_t image = place / space.places;
        Around<RANK, MODE> around(space, grid + place * RANK);
        const float* from = x + image * space.pixels() * space.channels;
        auto value = [&](int p, int a, int b, int k) {
            int64_t pixel = around.pixel(p, a, b);
            return pixel < 0 ? 0.0f : from[pixel * space.channels + k];
        };
        float along_x = 0, along_y = 0, along_z = 0;
        for (int k = 0; k < space.channels; ++k) {
            float d = dy[place * space.channels + k];
            around.each([&](int p, int a, int b) {
                float w = RANK == 3 ? around.z.weight(p) : 1.0f, u = around.y.weight(a), v = around.x.weight(b);
                float here = value(p, a, b, k);
                if (b) along_x += d * w * u * around.x.slope(b) * (here - value(p, a, 0, k));
                if (a) along_y += d * w * around.y.slope(a) * v * (here - value(p, 0, b, k));
                if (RANK == 3 && p) along_z += d * around.z.slope(p) * u * v * (here - value(0, a, b, k));
            });
        }
        float* to = dgrid + place * RANK;
        to[0] = along_x * around.x.bend;
        to[1] = along_y * around.y.bend;
        if (RANK == 3) to[RANK - 1] = along_z * around.z.bend;
    }
};

struct Sums {  // whole numbers of a quantum for each number of dx, and what was not finite
    enum { NOT_A_NUMBER = 1, INFINITE = 2, MINUS_INFINITE = 4 };
    unsigned long long* __restrict__ sum;
    int* __restrict__ found;
    double* __restrict__ largest;
    int64_t places;

    // Contributions of all places to one pixel are less than 4 places largest in size: the weights of one place add up
    // to less than 4.
    __device__ double quanta() const {
        int most, count;
        frexp(*largest, &most);
        frexp(4.0 * double(places), &count);
        return ldexp(1.0, 62 - most - count);
    }
    __device__ void add(int64_t i, float part) const {
        if (finite(part)) {
            atomicAdd(sum + i, (unsigned long long)(llrint(double(part) * quanta())));
        } else {
            atomicOr(found + i, part != part ? NOT_A_NUMBER : part > 0 ? INFINITE : MINUS_INFINITE);
        }
    }
    __device__ float total(int64_t i) const {
        int kinds = found[i];
        if (!kinds) return float(double((long long)(sum[i])) / quanta());
        if (kinds == INFINITE) return __int_as_float(0x7f800000);
        return kinds == MINUS_INFINITE ? __int_as_float(int(0xff800000)) : __int_as_float(0x7fc00000);
    }
};

struct Clear {
    Sums sums;
    __device__ void operator()(int64_t i) const { sums.sum[i] = 0, sums.found[i] = 0; }
};

struct Size {  // of what is finite
    const float* __restrict__ dy;
    __device__ double operator()(int64_t i) const { return finite(dy[i]) ? fabsf(dy[i]) : 0; }
};

struct Keep {
    double* __restrict__ largest;
    __device__ void operator()(double v) const { *largest = v > 0 ? v : 1; }
};

template <int RANK, int MODE>
struct Scatter {
    Sums sums;
    const float* __restrict__ dy;
    const float* __restrict__ grid;
    Space space;
    __device__ void operator()(int64_t at) const {
        int64_t place = quotient(at, space.channels), image = place / space.places;
        int k = int(at - place * space.channels);
        Around<RANK, MODE> around(space, grid + place * RANK);
        around.each([&](int p, int a, int b) {
            int64_t pixel = around.pixel(p, a, b);
            if (pixel < 0) return;
            sums.add((image * space.pixels() + pixel) * space.channels + k, around.weight(p, a, b) * dy[at]);
        });
    }
};

struct Finish {
    float* __restrict__ dx;
    Sums sums;
    __device__ void operator()(int64_t i) const { dx[i] = sums.total(i); }
};

// ------------------------------------------------------------------------------------------------- launching

Space space_of(const Lengths& x, const Lengths& grid, int padding, bool align_corners) {
    int rank = x.count - 2;
    auto axis = [&](int i) { return Axis{i < 1 ? 1 : int(x[i]), padding, align_corners}; };
    int64_t places = 1;
    for (int i = 1; i <= rank; ++i) places *= grid[i];
    return {axis(rank - 2), axis(rank - 1), axis(rank), int(x[rank + 1]), places};
}

void check(const char* name, const Lengths& x, const Lengths& y, const Lengths& grid, int rank, int mode) {
    bool same = x.count == rank + 2 && y.count == rank + 2 && grid.count == rank + 2 && grid[rank + 1] == rank &&
                x[0] == y[0] && x[rank + 1] == y[rank + 1];
    for (int i = 0; same && i <= rank; ++i) same = y[i] == grid[i];
    require(same, name, ": x has shape ", x, ", y ", y, ", grid ", grid);
    require(mode >= BILINEAR && mode <= (rank == 2 ? BICUBIC : NEAREST), name, ": mode is ", mode);
}

template <template <int, int> class F, int RANK, class... A>
void by_mode(int mode, int64_t n, cudaStream_t stream, A... arguments) {
    if (mode == BILINEAR)
        each<1>(F<RANK, BILINEAR>{arguments...}, n, stream);
    else if (mode == NEAREST)
        each<1>(F<RANK, NEAREST>{arguments...}, n, stream);
    else if constexpr (RANK == 2)
        each<1>(F<RANK, BICUBIC>{arguments...}, n, stream);
}

template <int RANK>
void sample(const char* name, Out<float> y, In<float> x, In<float> grid, int mode, int padding, bool align_corners,
            cudaStream_t stream) {
    check(name, x.shape, y.shape, grid.shape, RANK, mode);
    Space space = space_of(x.shape, grid.shape, padding, align_corners);
    by_mode<Forward, RANK>(mode, y.size(), stream, y.data, x.data, grid.data, space);
}

template <int RANK>
void to_grid(const char* name, Out<float> dgrid, In<float> dy, In<float> x, In<float> grid, int mode, int padding,
             bool align_corners, cudaStream_t stream) {
    check(name, x.shape, dy.shape, grid.shape, RANK, mode);
    Space space = space_of(x.shape, grid.shape, padding, align_corners);
    by_mode<ToGrid, RANK>(mode, grid.size() / RANK, stream, dgrid.data, dy.data, x.data, grid.data, space);
}

template <int RANK>
void to_input(const char* name, Out<float> dx, Work<int64_t> sum, Work<int> found, Work<double> partial,
              Work<double> largest, In<float> dy, In<float> grid, int mode, int padding, bool align_corners,
              cudaStream_t stream) {
    check(name, dx.shape, dy.shape, grid.shape, RANK, mode);
    require(sum.size() == dx.size() && found.size() == dx.size(), name, ": workspaces of ", sum.shape, found.shape);
    Space space = space_of(dx.shape, grid.shape, padding, align_corners);
    Sums sums{reinterpret_cast<unsigned long long*>(sum.data), found.data, largest.data, space.places};
    each(Clear{sums}, dx.size(), stream);
    reduce::all<reduce::Most>(Size{dy.data}, Keep{largest.data}, partial, dy.size(), stream);
    by_mode<Scatter, RANK>(mode, dy.size(), stream, sums, dy.data, grid.data, space);
    each(Finish{dx.data, sums}, dx.size(), stream);
}
}  // namespace

void grid_sample2d_forward(Out<float> y, In<float> x, In<float> grid, int mode, int padding, bool align_corners,
                           cudaStream_t stream) {
    sample<2>("grid_sample2d_forward", y, x, grid, mode, padding, align_corners, stream);
}
BIND(grid_sample2d_forward, "y x grid mode padding align_corners");

void grid_sample3d_forward(Out<float> y, In<float> x, In<float> grid, int mode, int padding, bool align_corners,
                           cudaStream_t stream) {
    sample<3>("grid_sample3d_forward", y, x, grid, mode, padding, align_corners, stream);
}
BIND(grid_sample3d_forward, "y x grid mode padding align_corners");

void grid_sample2d_backward_grid(Out<float> dgrid, In<float> dy, In<float> x, In<float> grid, int mode, int padding,
                                 bool align_corners, cudaStream_t stream) {
    to_grid<2>("grid_sample2d_backward_grid", dgrid, dy, x, grid, mode, padding, align_corners, stream);
}
BIND(grid_sample2d_backward_grid, "dgrid dy x grid mode padding align_corners");

void grid_sample3d_backward_grid(Out<float> dgrid, In<float> dy, In<float> x, In<float> grid, int mode, int padding,
                                 bool align_corners, cudaStream_t stream) {
    to_grid<3>("grid_sample3d_backward_grid", dgrid, dy, x, grid, mode, padding, align_corners, stream);
}
BIND(grid_sample3d_backward_grid, "dgrid dy x grid mode padding align_corners");

void grid_sample2d_backward_input(Out<float> dx, Work<int64_t> sum, Work<int> found, Work<double> partial,
                                  Work<double> largest, In<float> dy, In<float> grid, Lengths, int mode, int padding,
                                  bool align_corners, cudaStream_t stream) {
    to_input<2>("grid_sample2d_backward_input", dx, sum, found, partial, largest, dy, grid, mode, padding,
                align_corners, stream);
}
BIND(grid_sample2d_backward_input, "dx sum found partial largest dy grid x_shape mode padding align_corners");

void grid_sample3d_backward_input(Out<float> dx, Work<int64_t> sum, Work<int> found, Work<double> partial,
                                  Work<double> largest, In<float> dy, In<float> grid, Lengths, int mode, int padding,
                                  bool align_corners, cudaStream_t stream) {
    to_input<3>("grid_sample3d_backward_input", dx, sum, found, partial, largest, dy, grid, mode, padding,
                align_corners, stream);
}
BIND(grid_sample3d_backward_input, "dx sum found partial largest dy grid x_shape mode padding align_corners");
