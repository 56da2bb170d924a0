// kernel<<<grid, block, shared, stream>>>(arguments), as the translator writes it:
//     emu::call("kernel", site, emu::config(grid, block, shared, stream), [=](auto... a) { kernel(a...); }, arguments)
#pragma once
#include <functional>
#include <memory>
#include <tuple>
#include <typeinfo>
#include <utility>

namespace emu {
struct Config {
    dim3 grid, block;
    size_t shared;
    cudaStream_t stream;
};
inline Config config(dim3 grid, dim3 block, size_t shared = 0, cudaStream_t stream = {}) {
    return {grid, block, shared, stream};
}
struct Zero {  // a literal 0 or NULL as an argument: of any type
    template <class T>
    operator T() const {
        return T(0);
    }
};

struct Call {  // a kernel with its arguments, evaluated and copied when it was launched
    const char* name;
    Site site;
    Config config;
    std::shared_ptr<void> data;
    size_t bytes;
    Thread body;
    const char* types;         // of the arguments, as the compiler writes them
    bool cooperative = false;  // its blocks may wait for each other at the grid's barrier
};
void enqueue(const Call&);

template <class F, class... A>
__attribute__((no_sanitize("thread"))) Call prepared(const char* name, Site site, const Config& config, F body,
                                                     A&&... args) {
    struct Data {
        F body;
        std::tuple<std::decay_t<A>...> args;
    };
    auto data = std::make_shared<Data>(Data{std::move(body), {std::forward<A>(args)...}});
    return {name, site, config, data, sizeof(Data), [](void* d) {
                auto* data = static_cast<Data*>(d);
                do std::apply(data->body, data->args);
                while (next_thread());
            }, typeid(std::tuple<std::decay_t<A>...>).name()};
}
template <class F, class... A>
void call(const char* name, Site site, const Config& config, F body, A&&... args) {
    enqueue(prepared(name, site, config, std::move(body), std::forward<A>(args)...));
}

void launch_bounds(unsigned most, Site);  // the first statement of a kernel with __launch_bounds__
struct Watch {                            // a __device__ variable: an array of the checker
    Watch(const char* name, const volatile void* address, size_t bytes);
};

template <class T>
T* dynamic_array() {
    return static_cast<T*>(dynamic_shared());
}
extern char dynamic_memory[];

// The storage of one __shared__ variable, of this instance of the template that it stands in.
template <class T, class Tag>
T& shared_storage(Tag, const char* name, size_t alignment, Site here) {
    static char tag;
    return *static_cast<T*>(const_cast<void*>(static_cast<const volatile void*>(
        shared_variable(&tag, name, sizeof(T), alignment > alignof(T) ? alignment : alignof(T), here))));
}
inline int lane_id() { return lane(); }
int warp_id();
long long ticks();

// ------------------------------------------------------------------- kernels whose arguments are given by address

template <class... P>
Call packed(const char* name, void (*kernel)(P...), Site site, const Config& config, void** args) {
    [[maybe_unused]] size_t i = 0;
    std::tuple<std::decay_t<P>...> values{*static_cast<std::decay_t<P>*>(args[i++])...};
    auto body = [kernel](auto... a) { kernel(a...); };
    return std::apply([&](auto&... v) { return prepared(name, site, config, body, v...); }, values);
}
template <class... P>
void call_packed(const char* name, void (*kernel)(P...), const Config& config, void** args) {  // from Python
    enqueue(packed(name, kernel, Site{name, 0}, config, args));
}

// (void*)kernel, as the translator writes it: the API's functions find by that address how the kernel is called.
using Packer = std::function<Call(Site, const Config&, void**)>;
void* keep_kernel(void* kernel, Packer);
const Packer* kernel_at(const void*);
template <class... P>
void* kernel_address(const char* name, void (*kernel)(P...)) {
    return keep_kernel(reinterpret_cast<void*>(kernel), [=](Site site, const Config& config, void** args) {
        return packed(name, kernel, site, config, args);
    });
}
cudaError_t launch_at(const void* kernel, Site, const Config&, void** args, bool cooperative);
void grid_sync(Site);
bool in_cooperative_launch();
}  // namespace emu
inline cudaError_t cudaLaunchKernel(const void* kernel, dim3 grid, dim3 block, void** args, size_t shared = 0,
                                    cudaStream_t stream = {}, EMU_SITE) {
    return emu::launch_at(kernel, here, {grid, block, shared, stream}, args, false);
}
inline cudaError_t cudaLaunchCooperativeKernel(const void* kernel, dim3 grid, dim3 block, void** args,
                                               size_t shared = 0, cudaStream_t stream = {}, EMU_SITE) {
    return emu::launch_at(kernel, here, {grid, block, shared, stream}, args, true);
}
template <class... P>
cudaError_t cudaLaunchKernel(void (*kernel)(P...), dim3 grid, dim3 block, void** args, size_t shared = 0,
                             cudaStream_t stream = {}, EMU_SITE) {
    return cudaLaunchKernel(emu::kernel_address("a kernel", kernel), grid, block, args, shared, stream, here);
}
template <class... P>
cudaError_t cudaLaunchCooperativeKernel(void (*kernel)(P...), dim3 grid, dim3 block, void** args, size_t shared = 0,
                                        cudaStream_t stream = {}, EMU_SITE) {
    return cudaLaunchCooperativeKernel(emu::kernel_address("a kernel", kernel), grid, block, args, shared, stream,
                                       here);
}
#define EMU_SHARED(T, name, alignment) \
    emu::shared_storage<T>([] {}, name, alignment, emu::Site{__FILE__, __LINE__})
