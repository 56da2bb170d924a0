// Image processing by histograms and tables: counting in bins and in tiles, blending tables, lines between places, and
// maps of brightness; with these the mean of a window and Sobel's derivatives.  Counts are whole numbers, in any order.
#include "pictures.cuh"

namespace {
using namespace pictures;

__device__ __forceinline__ float unit(float v) { return v < 0 ? 0.0f : v > 1 ? 1.0f : v; }  // NaN passes

struct LinearMap {
    float scale, shift;
    __device__ float operator()(float x) const { return unit(x * scale + shift); }
};
struct PowerMap {
    float exponent;
    __device__ float operator()(float x) const { return powf(unit(x), exponent); }
};
struct Interpolate {  // between ascending places by straight lines, beyond them the outermost
    float* __restrict__ y;
    const float* __restrict__ x;
    const float* __restrict__ places;
    const float* __restrict__ values;
    int count;
    __device__ float of(double v) const {
        int low = 0, high = count - 1;
        if (v <= places[low] || count == 1) return values[low];
        if (v >= places[high]) return values[high];
        while (high - low > 1) {
            int middle = (low + high) / 2;
            if (places[middle] <= v)
                low = middle;
            else
                high = middle;
        }
        double slope = (double(values[high]) - values[low]) / (double(places[high]) - places[low]);
        return float(slope * (v - places[low]) + values[low]);
    }
    __device__ void operator()(int64_t i) const { y[i] = of(x[i]); }
};

// ------------------------------------------------------------------------------------------------------- counting

struct Zero {
    int64_t* y;
    __device__ void operator()(int64_t i) const { y[i] = 0; }
};
template <class T>
struct CountBins {  // a bin holds its lower edge, the last one its upper edge too; NaN is in none
    unsigned long long* counts;
    const T* __restrict__ x;
    const double* __restrict__ edges;
    int c, bins;
    __device__ void operator()(int64_t i) const {
        double v = double(x[i]), first = edges[0], last = edges[bins];
        if (!(v >= first && v <= last)) return;
        int bin = int((v - first) * (bins / (last - first)));
        bin = bin < bins - 1 ? bin : bins - 1;
        bin -= v < edges[bin];
        bin += bin < bins - 1 && v >= edges[bin + 1];
        atomicAdd(counts + int64_t(modulo(i, c)) * bins + bin, 1ull);
    }
};
template <class T>
void count_in_bins(const Out<int64_t>& y, const In<T>& x, const In<int64_t>& edges, cudaStream_t stream) {
    int bins = int(edges.size()) - 1;
    require(x.shape.count == 2 && y.size() == x.shape[1] * bins, "count_bins: x is [pixels, channels], got ", x.shape);
    each(Zero{y.data}, y.size(), stream);
    each(CountBins<T>{reinterpret_cast<unsigned long long*>(y.data), x.data,
                      reinterpret_cast<const double*>(edges.data), x.length(1), bins},
         x.size(), stream);
}

constexpr int LEVELS = 256, THREADS = 256;

// A block counts the pixels of a tile in shared memory.
__global__ void __launch_bounds__(THREADS)
    count_tiles_kernel(int* __restrict__ y, const uint8_t* __restrict__ x, int height, int width, int rows,
                       int columns) {
    __shared__ unsigned counts[LEVELS];
    int tile = blockIdx.x, column = tile % columns, row = tile / columns % rows, h = height / rows, w = width / columns;
    const uint8_t* corner = x + (int64_t(tile / columns / rows) * height + int64_t(row) * h) * width + column * w;
    counts[threadIdx.x] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < h * w; i += THREADS) atomicAdd(counts + corner[int64_t(i / w) * width + i % w], 1u);
    __syncthreads();
    y[int64_t(tile) * LEVELS + threadIdx.x] = int(counts[threadIdx.x]);
}

struct Between {  // the two tiles around a pixel, and the weight of the second
    int first, second;
    float weight;
    __device__ Between(int i, int side, int count) {
        float place = __fadd_rn(__fmul_rn(float(i), 1.0f / float(side)), -0.5f), below = floorf(place);
        int tile = int(below);
        first = tile < 0 ? 0 : tile < count ? tile : count - 1;
        second = tile + 1 < count ? tile + 1 : count - 1;
        weight = place - below;
    }
};
struct BlendTables {  // each pixel in the tables of the four tiles around it, mixed by nearness to their middles
    uint8_t* __restrict__ y;
    const uint8_t* __restrict__ x;
    const uint8_t* __restrict__ tables;
    Size s;
    int rows, columns, levels, height, width;
    __device__ float at(int plane, int row, int column, int v) const {
        return float(tables[((int64_t(plane) * rows + row) * columns + column) * levels + v]);
    }
    static __device__ float mixed(float a, float b, float weight) {
        return __fadd_rn(__fmul_rn(a, 1 - weight), __fmul_rn(b, weight));
    }
    __device__ void operator()(int64_t here) const {
        Spot spot(here, s);
        Between down(spot.i, height, rows), across(spot.j, width, columns);
        int v = x[here], p = spot.p;
        float above = mixed(at(p, down.first, across.first, v), at(p, down.first, across.second, v), across.weight);
        float below = mixed(at(p, down.second, across.first, v), at(p, down.second, across.second, v), across.weight);
        store(y + here, mixed(above, below, down.weight));
    }
};

// -------------------------------------------------------------------------------------------------------- windows

template <class T>
struct SumLine {  // over windows along one axis, of x as [outer, n, inner]
    int* __restrict__ y;
    const T* __restrict__ x;
    const int64_t* __restrict__ at;
    int size, n, inner;
    __device__ int sum(int64_t here) const {
        int i = modulo(quotient(here, inner), n), total = 0;
        const T* line = x + (here - int64_t(i) * inner);
        for (int t = 0; t < size; ++t) total += line[at[i + t] * inner];
        return total;
    }
    __device__ void operator()(int64_t here) const { y[here] = sum(here); }
};
struct MeanLine {  // the last of them, over the number of all
    uint8_t* __restrict__ y;
    SumLine<int> line;
    double count;
    __device__ void operator()(int64_t here) const { y[here] = uint8_t(rint(line.sum(here) / count)); }
};

template <class T>
struct Sobel {
    float* __restrict__ y;
    const T* __restrict__ x;
    const int64_t *__restrict__ at1, *__restrict__ at2;
    Size s;
    __device__ void operator()(int64_t here) const {
        Spot spot(here, s);
        float smooth[3], slope[3];  // down each of three neighbouring columns
        for (int t = 0; t < 3; ++t) {
            int64_t j = at2[spot.j + t];
            float above = float(x[s.at(spot.p, at1[spot.i], j, spot.k)]);
            float below = float(x[s.at(spot.p, at1[spot.i + 2], j, spot.k)]);
            smooth[t] = above + 2 * float(x[s.at(spot.p, at1[spot.i + 1], j, spot.k)]) + below;
            slope[t] = below - above;
        }
        float down = slope[0] + 2 * slope[1] + slope[2], across = smooth[2] - smooth[0];
        y[here] = sqrtf(down * down + across * across);
    }
};
}  // namespace

void linear_map(Out<float> y, In<float> x, float scale, float shift, cudaStream_t stream) {
    map(LinearMap{scale, shift}, "linear_map", stream, y, x);
}
BIND(linear_map, "y x scale shift");

void power_map(Out<float> y, In<float> x, float exponent, cudaStream_t stream) {
    map(PowerMap{exponent}, "power_map", stream, y, x);
}
BIND(power_map, "y x exponent");

void interpolate_line(Out<float> y, In<float> x, In<float> places, In<float> values, cudaStream_t stream) {
    require(places.size() > 0 && values.size() == places.size(), "interpolate_line: ", places.shape, " places, ",
            values.shape, " values");
    each<1>(Interpolate{y.data, x.data, places.data, values.data, int(places.size())}, x.size(), stream);
}
BIND(interpolate_line, "y x places values");

void count_bins_bytes(Out<int64_t> y, In<uint8_t> x, In<int64_t> edges, cudaStream_t stream) {
    count_in_bins(y, x, edges, stream);
}
BIND(count_bins_bytes, "y x edges");

void count_bins_floats(Out<int64_t> y, In<float> x, In<int64_t> edges, cudaStream_t stream) {
    count_in_bins(y, x, edges, stream);
}
BIND(count_bins_floats, "y x edges");

void count_tiles_of_bytes(Out<int> y, In<uint8_t> x, Lengths tiles, cudaStream_t stream) {
    int height = x.length(1), width = x.length(2), rows = int(tiles[0]), columns = int(tiles[1]);
    require(height % rows == 0 && width % columns == 0, "count_tiles: tiles ", tiles, " do not divide ", x.shape);
    LAUNCH(count_tiles_kernel, unsigned(x.shape[0] * rows * columns), THREADS, 0, stream, y.data, x.data, height,
           width, rows, columns);
}
BIND(count_tiles_of_bytes, "y x tiles");

void blend_tables_of_bytes(Out<uint8_t> y, In<uint8_t> x, In<uint8_t> tables, int height, int width,
                           cudaStream_t stream) {
    require(tables.shape.count == 4 && tables.shape[0] == x.shape[0] && tables.shape[3] == LEVELS,
            "blend_tables: tables of shape ", tables.shape, " for x ", x.shape);
    BlendTables f{y.data,           x.data, tables.data, Size(x.shape), tables.length(1), tables.length(2),
                  tables.length(3), height, width};
    each<1>(f, x.size(), stream);
}
BIND(blend_tables_of_bytes, "y x tables height width");

void mean_filter_bytes(Out<uint8_t> y, Work<int> one, Work<int> two, In<uint8_t> x, Lengths sizes, In<int64_t> at0,
                       In<int64_t> at1, In<int64_t> at2, cudaStream_t stream) {
    Size s(x.shape);
    int row = s.w * s.c;
    each(SumLine<uint8_t>{one.data, x.data, at0.data, int(sizes[0]), s.d, s.h * row}, x.size(), stream);
    each(SumLine<int>{two.data, one.data, at1.data, int(sizes[1]), s.h, row}, x.size(), stream);
    SumLine<int> last{nullptr, two.data, at2.data, int(sizes[2]), s.w, s.c};
    each(MeanLine{y.data, last, double(sizes.product())}, x.size(), stream);
}
BIND(mean_filter_bytes, "y one two x sizes at0 at1 at2");

void sobel_bytes(Out<float> y, In<uint8_t> x, In<int64_t> at1, In<int64_t> at2, cudaStream_t stream) {
    each<1>(Sobel<uint8_t>{y.data, x.data, at1.data, at2.data, Size(x.shape)}, x.size(), stream);
}
BIND(sobel_bytes, "y x at1 at2");

void sobel_floats(Out<float> y, In<float> x, In<int64_t> at1, In<int64_t> at2, cudaStream_t stream) {
    each<1>(Sobel<float>{y.data, x.data, at1.data, at2.data, Size(x.shape)}, x.size(), stream);
}
BIND(sobel_floats, "y x at1 at2");
