// Operations on the bits of integers and bool.
#include "elementwise.cuh"

namespace {
enum Operation { AND, OR, XOR, LEFT, RIGHT };

template <class T>
__device__ __forceinline__ T combined(int operation, T a, T b) {
    switch (operation) {
        case AND: return T(a & b);
        case OR: return T(a | b);
        case XOR: return T(a ^ b);
    }
    constexpr int BITS = 8 * sizeof(T);
    bool off = b < 0 || b >= BITS;  // then nothing is left but the sign
    if (operation == LEFT) return off ? T(0) : T(std::make_unsigned_t<T>(a) << b);
    return T(a >> (off ? T(BITS - 1) : b));
}
template <>
__device__ __forceinline__ bool combined(int operation, bool a, bool b) {
    return operation == AND ? a && b : operation == OR ? a || b : a != b;
}
template <class T>
struct Combine {
    T* __restrict__ y;
    const T* __restrict__ a;
    const T* __restrict__ b;  // null: the number
    T number;
    int operation;
    __device__ void operator()(int64_t i) const { y[i] = combined<T>(operation, a[i], b ? b[i] : number); }
};
template <class T>
void combine(const Out<T>& y, const In<T>& a, const Maybe<T>& b, T number, int operation, cudaStream_t stream) {
    require(y.size() == a.size() && (!b || b.size() == a.size()), "bitwise: ", a.shape, " and ", b.shape);
    each(Combine<T>{y.data, a.data, b.data, number, operation}, a.size(), stream);
}
}  // namespace

void bitwise_bools(Out<bool> y, In<bool> a, Maybe<bool> b, bool number, int operation, cudaStream_t stream) {
    combine(y, a, b, number, operation, stream);
}
BIND(bitwise_bools, "y a b number operation");

void bitwise_longs(Out<int64_t> y, In<int64_t> a, Maybe<int64_t> b, int64_t number, int operation,
                   cudaStream_t stream) {
    combine(y, a, b, number, operation, stream);
}
BIND(bitwise_longs, "y a b number operation");
