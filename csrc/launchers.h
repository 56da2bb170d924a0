// The list of the library's launchers, which BIND fills (launch.h) and bindings.cpp gives to Python.
#pragma once
#include <string>
#include <vector>

#include "launch.h"

namespace tinymed {
struct Launcher {
    std::string name;
    std::vector<std::string> names;  // of the parameters
    std::vector<Parameter> parameters;
    Bound call;
};

std::vector<Launcher>& launchers();
}  // namespace tinymed
