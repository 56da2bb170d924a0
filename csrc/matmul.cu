// Matrix products: y = a b, a' b, a b' and the linear layer, all by gemm.cuh.  A product of few tiles and great depth
// is cut into parts of the depth, as a filter's gradient is.
#include "split.cuh"
#include "tiles.cuh"

namespace {
template <bool ta, bool tb>
struct Product {
    gemm::Matrix<!ta> a;
    gemm::Matrix<tb> b;
    const float* bias;
    float* y;  // or the partial sums
    int rows, columns, begin, end, parts;
    bool wide;

    __device__ Product part(int z) const {
        Product p = *this;
        split::Range r = split::range(z, parts, end, 16);
        p.begin = r.begin, p.end = r.end;
        p.y += size_t(z) * rows * columns;
        return p;
    }
    __device__ float* out(int m) const { return y + size_t(m) * columns; }
    __device__ float finish(float v, int n) const { return bias ? v + bias[n] : v; }
};

template <bool ta, bool tb>
void product(const Out<float>& y, const Work<float>& partial, const In<float>& a, const In<float>& b, const float* bias,
             int tile, cudaStream_t stream) {
    int rows = a.length(ta), depth = a.length(!ta), columns = b.length(!tb), parts = partial.length(0);
    bool split = parts > 1;
    require(b.length(tb) == depth, "matrix_product: operands of shapes ", a.shape, " and ", b.shape, " do not fit");
    require(y.size() == int64_t(rows) * columns, "matrix_product: the output has shape ", y.shape, ", the product [",
            rows, ", ", columns, "]");
    require(a.size() < 1 << 30 && b.size() < 1 << 30 && y.size() < 1 << 30,
            "matrix_product: an array has 2^30 elements or more");
    require(!split || partial.size() == parts * y.size(), "matrix_product: partial sums of shape ", partial.shape);
    float* to = split ? partial.data : y.data;
    bool wide = reinterpret_cast<uintptr_t>(to) % 16 == 0 && columns % 4 == 0;
    Product<ta, tb> p{gemm::matrix<!ta>(a.data, a.length(1), a.length(1)),
                      gemm::matrix<tb>(b.data, b.length(1), b.length(1)),
                      split ? nullptr : bias,
                      to,
                      rows,
                      columns,
                      0,
                      depth,
                      parts,
                      wide};
    gemm::run("matrix_product", tile, p, rows, parts, stream);
    if (split) split::add_parts(y, partial, bias, columns, stream);
}
}  // namespace

void matrix_product(Out<float> y, Work<float> partial, In<float> a, In<float> b, Maybe<float> bias, bool ta, bool tb,
                    int tile, cudaStream_t stream) {
    require(a.shape.count == 2 && b.shape.count == 2, "matrix_product: operands of shapes ", a.shape, " and ", b.shape,
            "; it takes matrices");
    require(!bias || bias.size() == b.shape[!tb], "matrix_product: bias of shape ", bias.shape, " for ", b.shape[!tb],
            " columns");
    if (ta && tb)
        require(false, "matrix_product: a' b' has no kernel");
    else if (ta)
        product<true, false>(y, partial, a, b, bias.data, tile, stream);
    else if (tb)
        product<false, true>(y, partial, a, b, bias.data, tile, stream);
    else
        product<false, false>(y, partial, a, b, bias.data, tile, stream);
}
BIND(matrix_product, "y partial a b bias ta tb tile");
