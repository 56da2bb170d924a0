// The variables of the module itself: where it lies in memory, and what the kernels' own data is called.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace emu {
struct Variable {
    std::string name;
    uintptr_t address = 0;
    size_t bytes = 0;  // 0: none that is watched
};
bool in_image(uintptr_t address);
Variable image_variable(uintptr_t address);
void watch_variable(const char* name, const void* address, size_t bytes);  // a __device__ variable announces itself
}  // namespace emu
