// Adaptive and global pooling, averages and maxima: part i of m along n pixels is i n/m .. (i + 1) n/m, rounded out.
#include "elementwise.cuh"
#include "pool.cuh"

namespace {
using pool::Place;

struct Part {
    int first, last;
};
__device__ __forceinline__ Part part_of(int i, int m, int n) {
    return {int(int64_t(i) * n / m), int((int64_t(i + 1) * n + m - 1) / m)};
}

struct Forward {
    float* __restrict__ y;
    const float* __restrict__ x;
    int h, w, c, height, width;
    __device__ void operator()(int64_t at) const {
        Place p(at, h, w, c);
        Part r = part_of(p.i, h, height), s = part_of(p.j, w, width);
        const float* image = x + int64_t(p.b) * height * width * c + p.k;
        float count = float((r.last - r.first) * (s.last - s.first));
        y[at] = pool::box_sums<1>(image, r.first, r.last, s.first, s.last, width, c)[0] / count;
    }
};

struct Backward {  // each pixel gathers from the parts that it lies in, which are neighbours
    float* __restrict__ dx;
    const float* __restrict__ dy;
    int h, w, c, height, width;
    __device__ void operator()(int64_t at) const {
        Place p(at, height, width, c);
        float sum = 0;
        for (int i = int(int64_t(p.i) * h / height); i < h && part_of(i, h, height).first <= p.i; ++i) {
            Part r = part_of(i, h, height);
            for (int j = int(int64_t(p.j) * w / width); j < w && part_of(j, w, width).first <= p.j; ++j) {
                Part s = part_of(j, w, width);
                float count = float((r.last - r.first) * (s.last - s.first));
                sum += dy[((int64_t(p.b) * h + i) * w + j) * c + p.k] / count;
            }
        }
        dx[at] = sum;
    }
};

struct Largest {  // of each part of images or volumes [n, depth, height, width, c], and its position among the voxels
    float* __restrict__ y;
    int64_t* __restrict__ index;
    const float* __restrict__ x;
    int d, h, w, c, depth, height, width;
    __device__ void operator()(int64_t at) const {
        Place p(at, h, w, c);  // of planes: p.b counts them through all volumes
        int64_t volume = p.b / d;
        Part q = part_of(int(p.b - volume * d), d, depth), r = part_of(p.i, h, height), s = part_of(p.j, w, width);
        float best = 0;
        int64_t first = -1;
        for (int z = q.first; z < q.last; ++z)
            for (int i = r.first; i < r.last; ++i)
                for (int j = s.first; j < s.last; ++j) {
                    int64_t place = (int64_t(z) * height + i) * width + j;
                    float v = x[(volume * depth * height * width + place) * c + p.k];
                    if (first < 0 || (best == best && pool::exceeds(v, best))) best = v, first = place;
                }
        y[at] = best;
        index[at] = first;
    }
};
}  // namespace

void adaptive_avg_pool2d_forward(Out<float> y, In<float> x, Lengths, cudaStream_t stream) {
    each(Forward{y.data, x.data, y.length(1), y.length(2), y.length(3), x.length(1), x.length(2)}, y.size(), stream);
}
BIND(adaptive_avg_pool2d_forward, "y x size");

void adaptive_avg_pool2d_backward(Out<float> dx, In<float> dy, Lengths, cudaStream_t stream) {
    Backward f{dx.data, dy.data, dy.length(1), dy.length(2), dy.length(3), dx.length(1), dx.length(2)};
    each(f, dx.size(), stream);
}
BIND(adaptive_avg_pool2d_backward, "dx dy x_shape");

void adaptive_max_pool_forward(Out<float> y, Out<int64_t> index, In<float> x, Lengths, cudaStream_t stream) {
    int a = x.shape.count - 3;  // the axis of rows; volumes have one of planes before it
    require(a == 1 || a == 2, "adaptive_max_pool: x has shape ", x.shape);
    Largest f{y.data,          index.data,      x.data,      a == 2 ? y.length(1) : 1,
              y.length(a),     y.length(a + 1), y.length(a + 2), a == 2 ? x.length(1) : 1,
              x.length(a), x.length(a + 1)};
    each<1>(f, y.size(), stream);
}
BIND(adaptive_max_pool_forward, "y index x size");
