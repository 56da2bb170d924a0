// Where the module lies in memory, and the __device__ variables that announced themselves.
#include "image.h"

#include <link.h>

#include <algorithm>
#include <vector>

#include "emulator.h"

namespace emu {
static uintptr_t image_lo, image_hi;

static void find_image() {
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void*) {
            uintptr_t lo = ~uintptr_t(0), hi = 0, here = uintptr_t(&options);
            for (int k = 0; k < info->dlpi_phnum; ++k)
                if (info->dlpi_phdr[k].p_type == PT_LOAD) {
                    lo = std::min<uintptr_t>(lo, info->dlpi_addr + info->dlpi_phdr[k].p_vaddr);
                    hi = std::max<uintptr_t>(hi,
                                             info->dlpi_addr + info->dlpi_phdr[k].p_vaddr + info->dlpi_phdr[k].p_memsz);
                }
            if (here >= lo && here < hi) image_lo = lo, image_hi = hi;
            return 0;
        },
        nullptr);
}

bool in_image(uintptr_t address) {
    if (!image_hi) find_image();
    return address >= image_lo && address < image_hi;
}

static std::vector<Variable>& watched() {
    static std::vector<Variable> all;
    return all;
}

void watch_variable(const char* name, const void* address, size_t bytes) {
    watched().push_back({name, uintptr_t(address), bytes});
}

Variable image_variable(uintptr_t address) {
    for (auto& v : watched())
        if (address >= v.address && address < v.address + v.bytes) return v;
    return {};
}
}  // namespace emu
