// The dictionary of a Worker's options (_iotax.pyi) as the structures of the driver and the bridge.
#pragma once

#include <pybind11/pybind11.h>

#include "bridge/wsgi/environ.h"
#include "driver/config.h"

namespace iotax::bridge {

struct WorkerOptions {
  driver::Config config;
  EnvironOptions environ;
};

/// Errors: TypeError for a key that is missing or unknown and for a value of another type,
/// ValueError for one out of bounds. All name the option.
[[nodiscard]] WorkerOptions read_worker_options(const pybind11::dict& options);

}  // namespace iotax::bridge
