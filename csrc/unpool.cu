// The way back from max pooling, of planes: values at the places where the maxima were.  Where a place is named twice
// the last one counts, found by the largest position, so that the schedule does not matter.
#include "elementwise.cuh"

namespace {
struct NoneYet {
    int* __restrict__ last;
    __device__ void operator()(int64_t at) const { last[at] = -1; }
};
struct FindLast {  // of the values that go to each place
    int* __restrict__ last;
    const int64_t* __restrict__ index;
    int many, size;
    __device__ void operator()(int64_t at) const {
        int64_t plane = quotient(at, many), place = index[at] < 0 ? index[at] + size : index[at];
        if (place >= 0 && place < size) atomicMax(last + plane * size + place, int(at - plane * many));
    }
};
struct Put {
    float* __restrict__ y;
    const float* __restrict__ x;
    const int* __restrict__ last;
    int many, size;
    __device__ void operator()(int64_t at) const {
        y[at] = last[at] < 0 ? 0.0f : x[quotient(at, size) * many + last[at]];
    }
};
}  // namespace

void unpool_planes(Out<float> y, Work<int> last, In<float> x, In<int64_t> index, int64_t size, cudaStream_t stream) {
    require(x.shape.count == 2 && index.size() == x.size() && last.size() == y.size(), "max_unpool: x ", x.shape,
            ", index ", index.shape);
    int many = x.length(1);
    each(NoneYet{last.data}, y.size(), stream);
    each(FindLast{last.data, index.data, many, int(size)}, x.size(), stream);
    each(Put{y.data, x.data, last.data, many, int(size)}, y.size(), stream);
}
BIND(unpool_planes, "y last x index size");
