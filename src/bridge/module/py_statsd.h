// The functions of _iotax for statsd: where the lines of this process go, and when a process
// without a loop sends them.
#pragma once

#include <pybind11/pybind11.h>

namespace iotax::bridge {

void define_statsd(pybind11::module_& module);

}  // namespace iotax::bridge
