// Cooperative groups: thread_block, tiles of a warp, coalesced groups, the grid.  Clusters and several GPUs are not
// here, so the compiler names them.
#pragma once

namespace cooperative_groups {
struct thread_block {
    void sync(EMU_SITE) const { emu::barrier(here); }
    unsigned thread_rank() const {
        return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    }
    unsigned size() const { return blockDim.x * blockDim.y * blockDim.z; }
    unsigned num_threads() const { return size(); }
    dim3 group_index() const { return {blockIdx.x, blockIdx.y, blockIdx.z}; }
    dim3 thread_index() const { return {threadIdx.x, threadIdx.y, threadIdx.z}; }
    dim3 group_dim() const { return blockDim; }
    dim3 dim_threads() const { return blockDim; }
};
inline thread_block this_thread_block() { return {}; }

// All blocks of a kernel that cudaLaunchCooperativeKernel launched.
struct grid_group {
    bool is_valid() const { return emu::in_cooperative_launch(); }
    void sync(EMU_SITE) const { emu::grid_sync(here); }
    unsigned long long num_blocks() const { return (unsigned long long)gridDim.x * gridDim.y * gridDim.z; }
    unsigned long long block_rank() const {
        return blockIdx.x + (unsigned long long)gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    }
    unsigned long long size() const { return num_blocks() * this_thread_block().size(); }
    unsigned long long num_threads() const { return size(); }
    unsigned long long thread_rank() const {
        return block_rank() * this_thread_block().size() + this_thread_block().thread_rank();
    }
    dim3 group_dim() const { return gridDim; }
    dim3 dim_blocks() const { return gridDim; }
    dim3 block_index() const { return {blockIdx.x, blockIdx.y, blockIdx.z}; }
};
inline grid_group this_grid() { return {}; }

// Some lanes of a warp, in the order of their numbers.
struct lanes_group {
    unsigned mask;
    unsigned rank() const { return unsigned(__popc(mask & ((1u << emu::lane()) - 1))); }
    int lane_of(unsigned r) const {
        for (int i = 0; i < 32; ++i)
            if (mask >> i & 1 && !r--) return i;
        return emu::lane();
    }
    unsigned size() const { return unsigned(__popc(mask)); }
    unsigned num_threads() const { return size(); }
    unsigned thread_rank() const { return rank(); }
    void sync(EMU_SITE) const { __syncwarp(mask, here); }
    template <class T>
    T shfl(T v, int source, EMU_SITE) const {
        auto* p = emu::exchange_value(mask, v, here);
        return emu::value<T>(p[lane_of(unsigned(source) % size())]);
    }
    template <class T>
    T shfl_down(T v, unsigned delta, EMU_SITE) const {
        auto* p = emu::exchange_value(mask, v, here);
        return rank() + delta < size() ? emu::value<T>(p[lane_of(rank() + delta)]) : v;
    }
    template <class T>
    T shfl_up(T v, unsigned delta, EMU_SITE) const {
        auto* p = emu::exchange_value(mask, v, here);
        return rank() >= delta ? emu::value<T>(p[lane_of(rank() - delta)]) : v;
    }
    template <class T>
    T shfl_xor(T v, unsigned flip, EMU_SITE) const {
        auto* p = emu::exchange_value(mask, v, here);
        return (rank() ^ flip) < size() ? emu::value<T>(p[lane_of(rank() ^ flip)]) : v;
    }
    unsigned ballot(int predicate, EMU_SITE) const {
        unsigned lanes = __ballot_sync(mask, predicate, here), packed = 0;
        for (unsigned r = 0; r < size(); ++r) packed |= (lanes >> lane_of(r) & 1) << r;
        return packed;
    }
    int any(int predicate, EMU_SITE) const { return ballot(predicate, here) != 0; }
    int all(int predicate, EMU_SITE) const { return unsigned(__popc(ballot(predicate, here))) == size(); }
};

template <unsigned Size, class Parent = void>
struct thread_block_tile : lanes_group {
    static_assert(Size && Size <= 32 && !(Size & (Size - 1)), "a tile has 1, 2, 4, 8, 16 or 32 threads");
    thread_block_tile() = default;
    template <class Other>  // a tile is the same whatever it is a part of
    thread_block_tile(const thread_block_tile<Size, Other>& other) : lanes_group(other) {}
    static constexpr unsigned static_size() { return Size; }
    unsigned meta_group_rank() const { return this_thread_block().thread_rank() / Size; }
    unsigned meta_group_size() const { return (this_thread_block().size() + Size - 1) / Size; }
};
struct coalesced_group : lanes_group {};

template <unsigned Size, class Parent>
thread_block_tile<Size, Parent> tiled_partition(const Parent&) {
    thread_block_tile<Size, Parent> tile;
    unsigned first = unsigned(emu::lane()) / Size * Size;
    tile.mask = (Size == 32 ? ~0u : (1u << (Size % 32)) - 1) << first;
    tile.mask &= emu::lanes_existing();
    return tile;
}
inline coalesced_group coalesced_threads(EMU_SITE) {
    coalesced_group group;
    group.mask = emu::lanes_together(here);
    return group;
}

// Any of the groups above, and their parts of a size that is known only when the kernel runs.
class thread_group {
    unsigned mask = 0;  // of its lanes; 0 if it is the whole block
    lanes_group lanes() const { return {mask}; }

  public:
    thread_group(const thread_block&) {}
    thread_group(const lanes_group& group) : mask(group.mask) {}
    void sync(EMU_SITE) const { mask ? lanes().sync(here) : emu::barrier(here); }
    unsigned size() const { return mask ? lanes().size() : this_thread_block().size(); }
    unsigned num_threads() const { return size(); }
    unsigned thread_rank() const { return mask ? lanes().rank() : this_thread_block().thread_rank(); }
    thread_group part(unsigned threads) const {
        lanes_group all{mask ? mask : emu::lanes_existing()}, some{0};
        unsigned first = all.rank() / threads * threads;
        for (unsigned r = first; r < all.size() && r < first + threads; ++r) some.mask |= 1u << all.lane_of(r);
        return some;
    }
};
inline thread_group tiled_partition(const thread_group& parent, unsigned threads) {
    if (!threads || threads > 32 || threads & (threads - 1)) emu::trap("a tile of no 1, 2, 4, 8, 16 or 32 threads");
    return parent.part(threads);
}
template <class Group>
void sync(const Group& group, EMU_SITE) {
    group.sync(here);
}

template <class T>
struct plus {
    T operator()(T a, T b) const { return a + b; }
};
template <class T>
struct less {
    T operator()(T a, T b) const { return a < b ? a : b; }
};
template <class T>
struct greater {
    T operator()(T a, T b) const { return a > b ? a : b; }
};
template <class Group, class T, class F>
T reduce(const Group& group, T v, F combine, EMU_SITE) {
    return emu::reduce(group.mask, v, here, combine);
}
template <class Group, class T, class F = plus<T>>
T inclusive_scan(const Group& group, T v, F combine = {}, EMU_SITE) {
    auto* p = emu::exchange_value(group.mask, v, here);
    T sum = emu::value<T>(p[group.lane_of(0)]);
    for (unsigned r = 1; r <= group.rank(); ++r) sum = combine(sum, emu::value<T>(p[group.lane_of(r)]));
    return sum;
}
}  // namespace cooperative_groups
