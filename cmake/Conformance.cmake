# The HTTP/1 cases at their levels: conformance_<level> from conformance/runner/<level>_main.cc, for the core and for the driver
# over scripted system calls. The live level is registered with the Python tests.
set(runner "${PROJECT_SOURCE_DIR}/conformance/runner")
file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${runner}/*.cc")
set(mains ${sources})
list(FILTER mains INCLUDE REGEX "_main\\.cc$")
list(FILTER sources EXCLUDE REGEX "_main\\.cc$")

if(mains)
  add_library(iotax_conformance STATIC ${sources})
  # For "runner/..." only: <compare> must remain the standard library's header, not the command in that directory.
  target_compile_options(iotax_conformance PUBLIC "SHELL:-iquote ${PROJECT_SOURCE_DIR}/conformance")
  target_link_libraries(iotax_conformance PUBLIC iotax_test_flags iotax_driver)
endif()
foreach(main IN LISTS mains)
  get_filename_component(level "${main}" NAME)
  string(REPLACE "_main.cc" "" level "${level}")
  add_executable(conformance_${level} "${main}")
  target_link_libraries(conformance_${level} PRIVATE iotax_conformance)
  add_test(NAME conformance.${level}
    COMMAND conformance_${level} --cases "${PROJECT_SOURCE_DIR}/conformance/http1")
  set_tests_properties(conformance.${level} PROPERTIES LABELS conformance TIMEOUT 1500)
endforeach()
