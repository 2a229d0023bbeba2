# The tests of every level, by ctest label: unit, property, sim, mutants, fuzz, conformance, e2e, docs.
# The .cc files below tests/unit/<room> are one executable per room, in which a suite whose name starts with Property or Sim has that
# label.
find_package(GTest REQUIRED CONFIG)
find_package(rapidcheck REQUIRED CONFIG)

set(unit "${PROJECT_SOURCE_DIR}/tests/unit")

# Shared by the tests of all rooms: recorder, scripted Sys, clock.
file(GLOB support_sources CONFIGURE_DEPENDS "${unit}/support/*.cc")
add_library(iotax_test_flags INTERFACE)
target_include_directories(iotax_test_flags INTERFACE "${unit}")
target_link_libraries(iotax_test_flags INTERFACE iotax_flags GTest::gtest rapidcheck)
if(support_sources)
  add_library(iotax_test_support STATIC ${support_sources})
  target_link_libraries(iotax_test_support PRIVATE iotax_test_flags iotax_driver)
  target_link_libraries(iotax_test_flags INTERFACE iotax_test_support)
endif()

# iotax_has_suite(RESULT PREFIX FILE...): does the name of a test suite in the files start with PREFIX?
function(iotax_has_suite result prefix)
  set(${result} FALSE PARENT_SCOPE)
  foreach(source IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
    file(STRINGS "${source}" hits LIMIT_COUNT 1 REGEX "^[A-Z_]+\\( *${prefix}")
    if(hits)
      set(${result} TRUE PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# A run that selects no test fails.
function(iotax_gtest label room filter)
  add_test(NAME ${label}.${room} COMMAND test_${room} "--gtest_filter=${filter}")
  set_tests_properties(${label}.${room} PROPERTIES
    LABELS ${label} TIMEOUT 600 FAIL_REGULAR_EXPRESSION "PASSED  . 0 tests")
endfunction()

# The templates of the driver are compiled once for each directory then, in a quarter of the time, but each changed test takes longer. So no
# two test files of a directory may define the same name.
option(IOTAX_UNITY_TESTS "Compile the C++ tests of a directory as one file" OFF)
set(heavy_headers_core "${unit}/support/core_peer.h")
set(heavy_headers_driver "${unit}/support/loop_parts.h" "${unit}/support/thread_parts.h")
foreach(room core driver admin)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${unit}/${room}/*.cc")
  if(NOT sources)
    continue()
  endif()
  add_executable(test_${room} ${sources})
  target_link_libraries(test_${room} PRIVATE iotax_test_flags iotax_${room} GTest::gtest_main)
  target_include_directories(test_${room} PRIVATE "${unit}/${room}")
  # To optimize the tests takes longer than they run.
  target_compile_options(test_${room} PRIVATE -O0 -U_FORTIFY_SOURCE)
  # Most files spend most of their time on these. The preset tsan compiles without, and so finds a missing include.
  target_precompile_headers(test_${room} PRIVATE <gtest/gtest.h> ${heavy_headers_${room}})
  if(IOTAX_UNITY_TESTS)
    set_target_properties(test_${room} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
    foreach(source IN LISTS sources)
      cmake_path(GET source PARENT_PATH directory)
      cmake_path(GET directory FILENAME name)
      set_source_files_properties("${source}" PROPERTIES UNITY_GROUP "${name}")
    endforeach()
  endif()

  iotax_gtest(unit ${room} "*:-Property*:Sim*:*/Property*:*/Sim*")
  foreach(prefix Property Sim)
    iotax_has_suite(found ${prefix} ${sources})
    if(found)
      string(TOLOWER ${prefix} label)
      iotax_gtest(${label} ${room} "${prefix}*:*/${prefix}*")
    endif()
  endforeach()
endforeach()

# Not __FILE__: a compiler cache may make it relative to the build directory.
set_source_files_properties("${unit}/core/diagram_test.cc" PROPERTIES
  COMPILE_DEFINITIONS "IOTAX_SOURCE_DIR=\"${PROJECT_SOURCE_DIR}\"")

# Many schedules of a whole worker, and all schedules of a few scenes. Separate programs run them, and can replay one. A sanitizer makes
# each ten times slower.
add_library(iotax_sim STATIC tests/sim/jobs.cc)
target_include_directories(iotax_sim PUBLIC tests)
target_link_libraries(iotax_sim PUBLIC iotax_test_flags iotax_driver)
add_executable(simulate tests/sim/simulate.cc tests/sim/simulation.cc)
add_executable(explore tests/sim/explore.cc tests/sim/exploration.cc)
target_link_libraries(simulate PRIVATE iotax_sim)
target_link_libraries(explore PRIVATE iotax_sim)
set(schedules 100000)
set(deviations 2)
if(IOTAX_SANITIZE)
  set(schedules 4000)
  set(deviations 1)
endif()
add_test(NAME sim.worker COMMAND simulate --schedules ${schedules})
add_test(NAME sim.lead COMMAND explore --deviations ${deviations})
set_tests_properties(sim.worker sim.lead PROPERTIES LABELS sim TIMEOUT 600)

include(MustNotCompile)
include(Fuzz)
include(Conformance)
include(PythonTests)
include(BridgeTests)
include(SanitizerTraps)
