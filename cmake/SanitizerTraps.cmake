# Deliberate errors that a build with sanitizers has to report: in a program, and in a server under Python.
if(NOT IOTAX_SANITIZE)
  return()
endif()

set(traps "${PROJECT_SOURCE_DIR}/tests/unit/sanitizer")
add_executable(sanitizer_trap "${traps}/trap.cc")
target_link_libraries(sanitizer_trap PRIVATE iotax_flags Threads::Threads)

# iotax_trap(NAME REPORT)
function(iotax_trap name report)
  add_test(NAME unit.trap.${name} COMMAND sanitizer_trap ${name})
  set_tests_properties(unit.trap.${name} PROPERTIES LABELS unit PASS_REGULAR_EXPRESSION "${report}")
endfunction()

if(IOTAX_SANITIZE MATCHES address)
  iotax_trap(overflow "AddressSanitizer: heap-buffer-overflow")
endif()
if(IOTAX_SANITIZE MATCHES undefined)
  iotax_trap(undefined "runtime error: signed integer overflow")
endif()
if(IOTAX_SANITIZE MATCHES thread)
  iotax_trap(race "ThreadSanitizer: data race")
endif()

if(TARGET _iotax_test AND IOTAX_SANITIZE MATCHES address AND IOTAX_SANITIZE MATCHES undefined)
  target_compile_definitions(_iotax_test PRIVATE IOTAX_TRAPS)
  target_include_directories(_iotax_test PRIVATE "${traps}")
  iotax_python_test(unit.trap.server unit -m pytest -q -p no:cacheprovider tests/unit/sanitizer/caught.py)
  set_tests_properties(unit.trap.server PROPERTIES
    ENVIRONMENT_MODIFICATION "PYTHONPATH=path_list_prepend:${PROJECT_BINARY_DIR}/bridge_tests")
endif()
