# conformance/runner: the HTTP/1 cases at the levels core and driver, one executable each, so that core can be tested without
# the driver. The live level is PythonTests.cmake's. The library is shared with the fuzz targets.
find_package(nlohmann_json REQUIRED)

set(runner "${PROJECT_SOURCE_DIR}/conformance/runner")
add_library(iotax_conformance STATIC
  "${runner}/answers.cc" "${runner}/case.cc" "${runner}/core_play.cc" "${runner}/level.cc" "${runner}/observed.cc")
target_include_directories(iotax_conformance PUBLIC "${PROJECT_SOURCE_DIR}/conformance")
target_link_libraries(iotax_conformance PUBLIC iotax_core PRIVATE iotax_flags nlohmann_json::nlohmann_json)

file(GLOB levels CONFIGURE_DEPENDS "${runner}/*_main.cc")
foreach(source IN LISTS levels)
  get_filename_component(level "${source}" NAME_WE)
  string(REPLACE "_main" "" level "${level}")
  add_executable(conformance_${level} "${source}")
  target_link_libraries(conformance_${level} PRIVATE iotax_flags iotax_conformance)
  if(NOT level STREQUAL "core")
    target_link_libraries(conformance_${level} PRIVATE iotax_test_flags iotax_driver)
  endif()
  add_test(NAME conformance.${level}
    COMMAND conformance_${level} --cases "${PROJECT_SOURCE_DIR}/conformance/http1")
  set_tests_properties(conformance.${level} PROPERTIES LABELS conformance)
endforeach()
