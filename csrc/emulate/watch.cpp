// __device__ variables announce themselves to the checker before main begins.
#include "image.h"
#include "process.h"

namespace emu {
Watch::Watch(const char* name, const volatile void* address, size_t bytes) {
    watch_variable(name, const_cast<const void*>(address), bytes);
}
}  // namespace emu
