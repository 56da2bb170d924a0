// What the rungs of the layouts share: a batch of matrices, each of which is transposed.
//
// NCHW to NHWC takes [N, C, H x W] to [N, H x W, C], and back takes [N, H x W, C] to [N, C, H x W]: one kernel serves
// both.  It is the transpose of the ladder of that name, of many matrices of which one side may be as short as 3.
#pragma once
#include "launch.h"

namespace ladder {
struct Batch {
    int64_t count;
    int rows, columns;  // of a matrix of x

    Batch(const char* name, const Lengths& x) : count(x[0]), rows(int(x[1])), columns(int(x[2])) {
        require(x.product() < (1ll << 31), name, ": takes fewer than 2^31 numbers, got ", x);
    }
};
}  // namespace ladder
