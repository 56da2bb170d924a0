// What the rungs of attention share: y = softmax(Q K' / sqrt(size)) V of one head, its sizes, and a bound on one.
#pragma once
#include "launch.h"

namespace ladder {
constexpr int MOST_SIZE = 64;  // numbers of a query, a key and a value

struct Head {
    const float *q, *k, *v;  // queries x size, keys x size, keys x size
    float* y;                // queries x size
    int queries, keys, size;
    float scale;

    Head(const char* name, const Out<float>& y, const In<float>& q, const In<float>& k, const In<float>& v)
        : q(q.data), k(k.data), v(v.data), y(y.data), queries(q.length(2)), keys(k.length(2)), size(q.length(3)) {
        require(q.shape[0] * q.shape[1] == 1 && k.size() == int64_t(keys) * size && v.size() == k.size(), name,
                ": takes one head, q ", q.shape, ", k ", k.shape, ", v ", v.shape, " do not fit");
        require(size > 0 && size <= MOST_SIZE && keys > 0, name, ": takes 1 to 64 numbers a query, and keys; got q ",
                q.shape, ", k ", k.shape);
        scale = float(1 / sqrt(double(size)));
    }
};
}  // namespace ladder
