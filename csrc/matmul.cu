// Matrix products: y = a b, a' b, a b' and the linear layer, alone or in batches, all by gemm.cuh.  A product of few
// tiles and great depth is cut into parts of the depth, as a filter's gradient is.
#include "split.cuh"
#include "tiles.cuh"

namespace {
// Floats from one matrix of a batch to the next; 0 where all share one.
struct Batch {
    int count;
    size_t a, b;
};

template <class T, bool ta, bool tb>
struct Product {
    gemm::Matrix<T, !ta> a;
    gemm::Matrix<T, tb> b;
    const float* bias;
    float* y;  // or the partial sums
    int rows, columns, begin, end, parts;
    Batch batch;
    bool wide, rounds;

    __device__ Product part(int z) const {
        Product p = *this;
        int number = z / parts, slice = z % parts;
        split::Range r = split::range(slice, parts, end, 16);
        p.begin = r.begin, p.end = r.end;
        p.a.data += number * batch.a;
        p.b.data += number * batch.b;
        p.y += (size_t(slice) * batch.count + number) * rows * columns;
        return p;
    }
    __device__ float* out(int m) const { return y + size_t(m) * columns; }
    __device__ float finish(float v, int n) const { return bf16::stored<T>(bias ? v + bias[n] : v, rounds); }
};

// An axis as it is given: a packed matrix' last one is filled up with zeros.
template <class T>
bool fits(int64_t length, int64_t n, bool last) {
    return length == (last && sizeof(T) == sizeof(bf16::Bits) ? bf16::filled_up(n) : n);
}

template <bool ta, bool tb, class T>
void product(const char* op, const Out<float>& y, const Work<float>& partial, const In<T>& a, const In<T>& b,
             const float* bias, int tile, bool rounds, cudaStream_t stream) {
    int first = a.shape.count - 2, batches = first ? y.length(0) : 1, parts = partial.length(0);
    int rows = y.length(first), columns = y.length(first + 1), depth = ta ? a.length(first) : b.length(first + tb);
    bool split = parts > 1;
    require(fits<T>(a.length(first + !ta), depth, !ta) && fits<T>(b.length(first + tb), depth, tb), op,
            ": operands of shapes ", a.shape, " and ", b.shape, " do not fit");
    require(fits<T>(a.length(first + ta), rows, ta) && fits<T>(b.length(first + !tb), columns, !tb), op,
            ": the output has shape ", y.shape, ", the operands ", a.shape, " and ", b.shape);
    require(a.size() < 1 << 30 && b.size() < 1 << 30 && y.size() < 1 << 30, op,
            ": an array has 2^30 elements or more");
    require(!split || partial.size() == parts * y.size(), op, ": partial sums of shape ", partial.shape);
    auto step = [&](const In<T>& x) {
        require(!first || x.length(0) == batches || x.length(0) == 1, op, ": ", x.length(0), " matrices for ", batches);
        return first && x.length(0) > 1 ? size_t(x.length(1)) * x.length(2) : size_t(0);
    };
    float* to = split ? partial.data : y.data;
    bool wide = reinterpret_cast<uintptr_t>(to) % 16 == 0 && columns % 4 == 0;
    int a_line = a.length(first + 1), b_line = b.length(first + 1);
    Product<T, ta, tb> p{gemm::matrix<!ta>(a.data, a_line, a_line),
                         gemm::matrix<tb>(b.data, b_line, b_line),
                         split ? nullptr : bias,
                         to,
                         rows,
                         columns,
                         0,
                         depth,
                         parts,
                         {batches, step(a), step(b)},
                         wide,
                         rounds && !split};
    gemm::run(op, tile, p, rows, int64_t(batches) * parts, stream);
    if (split) split::add_parts(y, partial, bias, columns, stream, rounds);
}

template <class T>
void any_product(const char* op, const Out<float>& y, const Work<float>& partial, const In<T>& a, const In<T>& b,
                 const float* bias, bool ta, bool tb, int tile, bool rounds, cudaStream_t stream) {
    if (ta && tb)
        require(false, op, ": a' b' has no kernel");
    else if (ta)
        product<true, false>(op, y, partial, a, b, bias, tile, rounds, stream);
    else if (tb)
        product<false, true>(op, y, partial, a, b, bias, tile, rounds, stream);
    else
        product<false, false>(op, y, partial, a, b, bias, tile, rounds, stream);
}

template <class T>
void one(const char* op, const Out<float>& y, const Work<float>& partial, const In<T>& a, const In<T>& b,
         const Maybe<float>& bias, bool ta, bool tb, int tile, bool rounds, cudaStream_t stream) {
    require(y.shape.count == 2 && a.shape.count == 2 && b.shape.count == 2, op, ": operands of shapes ", a.shape,
            " and ", b.shape, "; it takes matrices");
    require(!bias || bias.size() == y.shape[1], op, ": bias of shape ", bias.shape, " for ", y.shape[1], " columns");
    any_product(op, y, partial, a, b, bias.data, ta, tb, tile, rounds, stream);
}

template <class T>
void several(const char* op, const Out<float>& y, const Work<float>& partial, const In<T>& a, const In<T>& b, bool ta,
             bool tb, int tile, bool rounds, cudaStream_t stream) {
    require(a.shape.count == 3 && b.shape.count == 3 && y.shape.count == 3, op, ": operands of shapes ", a.shape,
            " and ", b.shape, "; it takes batches of matrices");
    any_product(op, y, partial, a, b, nullptr, ta, tb, tile, rounds, stream);
}
}  // namespace

void matrix_product(Out<float> y, Work<float> partial, In<float> a, In<float> b, Maybe<float> bias, bool ta, bool tb,
                    int tile, cudaStream_t stream) {
    one("matrix_product", y, partial, a, b, bias, ta, tb, tile, false, stream);
}
BIND(matrix_product, "y partial a b bias ta tb tile");

void bf16_matrix_product(Out<float> y, Work<float> partial, In<bf16::Bits> a, In<bf16::Bits> b, Maybe<float> bias,
                         Lengths, bool ta, bool tb, int tile, bool rounds, cudaStream_t stream) {
    one("bf16_matrix_product", y, partial, a, b, bias, ta, tb, tile, rounds, stream);
}
BIND(bf16_matrix_product, "y partial a b bias shape ta tb tile rounds");

void batched_product(Out<float> y, Work<float> partial, In<float> a, In<float> b, bool ta, bool tb, int tile,
                     cudaStream_t stream) {
    several("batched_product", y, partial, a, b, ta, tb, tile, false, stream);
}
BIND(batched_product, "y partial a b ta tb tile");

void bf16_batched_product(Out<float> y, Work<float> partial, In<bf16::Bits> a, In<bf16::Bits> b, Lengths, bool ta,
                          bool tb, int tile, bool rounds, cudaStream_t stream) {
    several("bf16_batched_product", y, partial, a, b, ta, tb, tile, rounds, stream);
}
BIND(bf16_batched_product, "y partial a b shape ta tb tile rounds");
