// A window that slides over an image (N, H, W, C): which pixel a place of the window and a tap of the filter meet in.
//
//     pixel = base + place * step + tap * reach      along y and along x
//
// The offsets and pixels of place and tap add up, so an inner loop looks both up and never divides.
#pragma once
#include "gemm.cuh"

struct Window {
    int height, width, pixel;            // of the image; floats from a pixel to the next
    int rows, columns;                   // places of the window in an image
    int base_y, base_x, step_y, step_x;  // of place (0, 0), and from place to place
    int reach_y, reach_x;                // from tap to tap
    int taps_y, taps_x, channels;        // of the filter

    __device__ __forceinline__ gemm::Spot spot(int image, int y, int x, int channel) const {
        return {((image * height + y) * width + x) * pixel + channel, y, x, 0};
    }
    __device__ __forceinline__ gemm::Spot place(int p) const {
        int j = p % columns, i = p / columns;
        return spot(i / rows, base_y + i % rows * step_y, base_x + j * step_x, 0);
    }
    __device__ __forceinline__ gemm::Spot tap(int k) const {
        int t = k / channels;
        return spot(0, t / taps_x * reach_y, t % taps_x * reach_x, k % channels);
    }
    int64_t places(int64_t images) const { return images * rows * columns; }
    int depth() const { return taps_y * taps_x * channels; }
};

// What the windows of a batch see, as an operand of a product: each row is a place and each depth a (tap, channel), or
// the other way round.  It is contiguous along the channels.
template <bool places_are_rows>
struct Windows : gemm::Operand {
    static constexpr bool DEEP = places_are_rows;
    Window window;
    __device__ __forceinline__ gemm::Spot row(int i) const { return places_are_rows ? window.place(i) : window.tap(i); }
    __device__ __forceinline__ gemm::Spot depth(int k) const {
        return places_are_rows ? window.tap(k) : window.place(k);
    }
};

template <bool places_are_rows>
Windows<places_are_rows> windows(const float* image, const Window& w) {
    bool wide = reinterpret_cast<uintptr_t>(image) % 16 == 0 && w.pixel % 4 == 0 && w.channels % 4 == 0;
    return {{image, w.height, w.width, wide}, w};
}

// The shapes of a convolution: what every launcher is given, checked.  x (N, H, W, C), weight (KH, KW, C / groups, O),
// y (N, OH, OW, O); pixel (i stride + r dilation - before) of x meets tap r in place i of y.
struct Shapes {
    int64_t images;
    int height, width, channels, rows, columns, filters, taps_y, taps_x, groups;
    int stride_y, stride_x, before_y, before_x, dilation_y, dilation_x;

    Shapes(const char* op, const Lengths& x, const Lengths& weight, const Lengths& y, const Lengths& stride,
           const Lengths& before, const Lengths& dilation, int groups)
        : images(x[0]),
          height(int(x[1])),
          width(int(x[2])),
          channels(int(x[3])),
          rows(int(y[1])),
          columns(int(y[2])),
          filters(int(y[3])),
          taps_y(int(weight[0])),
          taps_x(int(weight[1])),
          groups(groups),
          stride_y(int(stride[0])),
          stride_x(int(stride[1])),
          before_y(int(before[0])),
          before_x(int(before[1])),
          dilation_y(int(dilation[0])),
          dilation_x(int(dilation[1])) {
        require(x.count == 4 && y.count == 4 && weight.count == 4, op, ": x, weight and y need 4 axes, got ", x, weight,
                y);
        require(x[0] == y[0] && weight[3] == y[3] && groups > 0 && weight[2] * groups == x[3] && y[3] % groups == 0, op,
                ": x (N, H, W, C) ", x, ", weight (KH, KW, C / groups, O) ", weight, " and y (N, OH, OW, O) ", y,
                " do not fit in ", groups, " groups");
        require(x.product() < 1 << 30 && y.product() < 1 << 30, op, ": x ", x, " or y ", y,
                " has 2^30 elements or more");
        require(stride[0] > 0 && stride[1] > 0 && dilation[0] > 0 && dilation[1] > 0, op, ": stride ", stride,
                " and dilation ", dilation, " must be positive");
    }

    int group_channels() const { return channels / groups; }
    int group_filters() const { return filters / groups; }

    // Windows over x, one for each place of y.
    Window over_x() const {
        return {height,   width,    channels,   rows,       columns, -before_y, -before_x,
                stride_y, stride_x, dilation_y, dilation_x, taps_y,  taps_x,    group_channels()};
    }
};
