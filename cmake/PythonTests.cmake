# The pytest suites as ctest tests. They run with IOTAX_PYTHON (build/venv when it is there) and import the package of this build
# tree, or the installed one with IOTAX_TEST_INSTALLED.
if(NOT Python_Interpreter_FOUND)
  message(STATUS "iotax: no CPython >= 3.11, so the Python tests are not registered")
  return()
endif()

# iotax_pytest(NAME LABEL PATH): registered when PATH holds a test file.
function(iotax_pytest name label path)
  file(GLOB files CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${path}/test_*.py")
  if(NOT files)
    return()
  endif()
  add_test(NAME ${name} COMMAND "${Python_EXECUTABLE}" -m pytest -q -p no:cacheprovider "${path}"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set(environment "PYTHONDONTWRITEBYTECODE=1")
  if(NOT IOTAX_TEST_INSTALLED)
    list(APPEND environment "PYTHONPATH=${PROJECT_BINARY_DIR}/python")
  endif()
  set_tests_properties(${name} PROPERTIES LABELS ${label} ENVIRONMENT "${environment}")
endfunction()

iotax_pytest(unit.bridge unit tests/unit/bridge)
iotax_pytest(unit.cli unit tests/unit/cli)
iotax_pytest(conformance.live conformance conformance/runner)
iotax_pytest(e2e e2e tests/e2e)
