// _iotax.Admin: the admin listener (admin/server.h), in a process or a native thread of its own.
#pragma once

#include <pybind11/pybind11.h>

namespace iotax::bridge {

void define_admin(pybind11::module_& module);

/// For the child of a fork, in which no listener is served.
void abandon_admins_in_child();

}  // namespace iotax::bridge
