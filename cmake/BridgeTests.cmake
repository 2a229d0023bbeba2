# _iotax_test, the bridge over a scripted exchange (tests/unit/bridge), and the Python tests that drive it. It is built outside the
# package, so that the tests also find it if they use an installed package.
if(NOT TARGET _iotax OR NOT TEST unit.bridge)
  return()
endif()

file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/unit/bridge/*.cc")
pybind11_add_module(_iotax_test MODULE NO_EXTRAS ${sources})
target_include_directories(_iotax_test PRIVATE "${PROJECT_SOURCE_DIR}/tests/unit/bridge")
target_link_libraries(_iotax_test PRIVATE iotax_bridge iotax_flags)
set_target_properties(_iotax_test PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bridge_tests")
set_tests_properties(unit.bridge PROPERTIES
  ENVIRONMENT_MODIFICATION "PYTHONPATH=path_list_prepend:${PROJECT_BINARY_DIR}/bridge_tests")
