// Where the maxima of pooling lie, from the numbers of their taps, and the way back: values at those places of planes.
// Where a place is named twice the last one counts, by the largest position, so that the schedule does not matter.
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

// ----------------------------------------------------------------------------------------------------------- positions

template <class I>
struct Position {  // counted over the axes of space, the last one fastest
    int64_t* __restrict__ y;
    const I* __restrict__ index;
    Lengths shape;  // of y: [n, *axes of space, c]
    Lengths space, kernel, stride, before, dilation;
    __device__ void operator()(int64_t at) const {
        int64_t rest = quotient(at, int(shape.length[shape.count - 1])), tap = index[at], place = 0, step = 1;
        for (int a = space.count - 1; a >= 0; --a) {
            int n = int(shape.length[1 + a]), window = modulo(rest, n);
            int64_t above = tap / kernel.length[a], t = tap - above * kernel.length[a];
            place += (window * stride.length[a] - before.length[a] + t * dilation.length[a]) * step;
            step *= space.length[a];
            rest = quotient(rest, n), tap = above;
        }
        y[at] = place;
    }
};
template <class I>
void positions(const Out<int64_t>& y, const In<I>& index, const Lengths& space, const Lengths& kernel,
               const Lengths& stride, const Lengths& before, const Lengths& dilation, cudaStream_t stream) {
    require(y.shape.count == space.count + 2 && index.size() == y.size(), "positions of maxima: an index of shape ",
            index.shape, " in the space ", space);
    each(Position<I>{y.data, index.data, y.shape, space, kernel, stride, before, dilation}, y.size(), stream);
}
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

void positions_of_bytes(Out<int64_t> y, In<uint8_t> index, Lengths space, Lengths kernel, Lengths stride,
                        Lengths before, Lengths dilation, cudaStream_t stream) {
    positions(y, index, space, kernel, stride, before, dilation, stream);
}
BIND(positions_of_bytes, "y index space kernel stride before dilation");

void positions_of_words(Out<int64_t> y, In<int32_t> index, Lengths space, Lengths kernel, Lengths stride,
                        Lengths before, Lengths dilation, cudaStream_t stream) {
    positions(y, index, space, kernel, stride, before, dilation, stream);
}
BIND(positions_of_words, "y index space kernel stride before dilation");
