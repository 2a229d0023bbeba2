# conformance/runner/*.cc: the runner of the HTTP/1 cases at the levels core and driver. The live level is PythonTests.cmake's.
file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/conformance/runner/*.cc")
if(sources)
  add_executable(iotax_conformance ${sources})
  target_link_libraries(iotax_conformance PRIVATE iotax_test_flags iotax_driver)
  foreach(level core driver)
    add_test(NAME conformance.${level}
      COMMAND iotax_conformance --level ${level} "${PROJECT_SOURCE_DIR}/conformance/http1")
    set_tests_properties(conformance.${level} PROPERTIES LABELS conformance)
  endforeach()
endif()
