// A window that slides over an image (N, H, W, C) or a volume (N, D, H, W, C): which pixel a place of the window and a
// tap of the filter meet in.
//
//     pixel = base + place * step + tap * reach      along each axis
//
// The offsets and pixels of place and tap add up, so an inner loop looks both up and never divides.  What is made for
// images alone (`volume` is false) knows no z and does not divide by it.
#pragma once
#include "gemm.cuh"

struct Axes {  // of space; an image is a volume of one plane
    int z, y, x;
    __host__ __device__ int product() const { return z * y * x; }
};

struct Window {
    Axes size;        // of the image
    int pixel;        // numbers from one to the next
    Axes places;      // of the window in an image
    Axes base, step;  // of place (0, 0, 0), and from place to place
    Axes reach;       // from tap to tap
    Axes taps;        // of the filter
    int channels;

    __device__ __forceinline__ gemm::Spot spot(int image, int z, int y, int x, int channel) const {
        return {(((image * size.z + z) * size.y + y) * size.x + x) * pixel + channel, y, x, z};
    }
    template <bool volume>
    __device__ __forceinline__ gemm::Spot place(int p) const {
        int j = p % places.x, line = p / places.x, i = line % places.y, plane = line / places.y;
        int y = base.y + i * step.y, x = base.x + j * step.x;
        if (!volume) return spot(plane, 0, y, x, 0);
        return spot(plane / places.z, base.z + plane % places.z * step.z, y, x, 0);
    }
    template <bool volume>
    __device__ __forceinline__ gemm::Spot tap(int k) const {
        int t = k / channels, s = t % taps.x, line = t / taps.x;
        if (!volume) return spot(0, 0, line * reach.y, s * reach.x, k % channels);
        return spot(0, line / taps.y * reach.z, line % taps.y * reach.y, s * reach.x, k % channels);
    }
    int64_t all_places(int64_t images) const { return images * places.z * places.y * places.x; }
    int depth() const { return taps.product() * channels; }
};

// What the windows of a batch see, as an operand of a product: each row is a place and each depth a (tap, channel), or
// the other way round.  It is contiguous along the channels.
template <class T, bool places_are_rows, bool volume>
struct Windows : gemm::Operand<T> {
    static constexpr bool DEEP = places_are_rows;
    Window window;
    __device__ __forceinline__ gemm::Spot row(int i) const {
        return places_are_rows ? window.place<volume>(i) : window.tap<volume>(i);
    }
    __device__ __forceinline__ gemm::Spot depth(int k) const {
        return places_are_rows ? window.tap<volume>(k) : window.place<volume>(k);
    }
    __device__ __forceinline__ const T* find(gemm::Spot row, gemm::Spot depth) const {
        if (volume && unsigned(row.z + depth.z) >= unsigned(window.size.z)) return nullptr;
        return gemm::Operand<T>::find(row, depth);
    }
};

template <bool places_are_rows, bool volume, class T>
Windows<T, places_are_rows, volume> windows(const T* image, const Window& w) {
    return {{image, w.size.y, w.size.x, gemm::wide(image, w.pixel, w.channels)}, w};
}

// The shapes of a convolution: what every launcher is given, checked.  x (N, [D,] H, W, C), weight ([KD,] KH, KW,
// C / groups, O), y (N, [OD,] OH, OW, O); pixel (i stride + r dilation - before) of x meets tap r in place i of y.  Of
// what is packed for bfloat16 (bf16.cuh) these are the lengths with the zeros, of the result, too.
struct Shapes {
    int64_t images;
    Axes size, places, taps, stride, before, dilation;
    int channels, filters, groups;
    bool volume;

    // The lengths from `first` on, as many as there are axes of space; an image's z is `none`.
    static Axes axes(const Lengths& l, int first, bool volume, int none) {
        return {volume ? int(l[first]) : none, int(l[first + volume]), int(l[first + volume + 1])};
    }

    Shapes(const char* op, const Lengths& x, const Lengths& weight, const Lengths& y, const Lengths& stride,
           const Lengths& before, const Lengths& dilation, int groups)
        : images(x[0]),
          channels(int(x[x.count - 1])),
          filters(int(y[y.count - 1])),
          groups(groups),
          volume(x.count == 5) {
        require((x.count == 4 || x.count == 5) && y.count == x.count && weight.count == x.count, op,
                ": x, weight and y need 4 axes, or 5, got ", x, weight, y);
        require(stride.count == x.count - 2 && before.count == stride.count && dilation.count == stride.count, op,
                ": stride ", stride, ", zeros before ", before, " and dilation ", dilation, " for x ", x);
        int last = x.count - 1;
        require(x[0] == y[0] && weight[last] == y[last] && groups > 0 && weight[last - 1] * groups == x[last] &&
                    y[last] % groups == 0,
                op, ": x (N, space, C) ", x, ", weight (space, C / groups, O) ", weight, " and y (N, space, O) ", y,
                " do not fit in ", groups, " groups");
        require(x.product() < 1 << 30 && y.product() < 1 << 30, op, ": x ", x, " or y ", y,
                " has 2^30 elements or more");
        this->size = axes(x, 1, volume, 1), places = axes(y, 1, volume, 1), taps = axes(weight, 0, volume, 1);
        this->stride = axes(stride, 0, volume, 1), this->dilation = axes(dilation, 0, volume, 1);
        this->before = axes(before, 0, volume, 0);
        bool positive = true;
        for (int a = 0; a < stride.count; ++a) positive = positive && stride[a] > 0 && dilation[a] > 0;
        require(positive, op, ": stride ", stride, " and dilation ", dilation, " must be positive");
    }

    int group_channels() const { return channels / groups; }
    int group_filters() const { return filters / groups; }

    // Windows over x, one for each place of y.
    Window over_x() const {
        Axes base{-before.z, -before.y, -before.x};
        return {size, channels, places, base, stride, dilation, taps, group_channels()};
    }
};
