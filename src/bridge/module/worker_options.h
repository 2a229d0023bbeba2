// Converts the dictionary of a Worker's options (_iotax.pyi) to structures of the driver and the
// bridge.
#pragma once

#include <pybind11/pybind11.h>

#include "bridge/wsgi/environ.h"
#include "driver/config.h"

namespace iotax::bridge {

struct WorkerOptions {
  driver::Config config;
  EnvironOptions environ;
};

/// Errors: TypeError for a missing or unknown key and for a value of the wrong type, ValueError for
/// a value out of range. All name the option.
[[nodiscard]] WorkerOptions read_worker_options(const pybind11::dict& options);

}  // namespace iotax::bridge
