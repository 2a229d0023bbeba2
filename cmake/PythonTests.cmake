# The Python suites as ctest tests. They run with IOTAX_PYTHON (build/venv if it exists) and import the package of this build tree,
# or the installed one with IOTAX_TEST_INSTALLED.
set(IOTAX_E2E_MARK "" CACHE STRING "Only the end-to-end tests with this pytest mark; empty: all")

if(NOT Python_Interpreter_FOUND OR NOT (IOTAX_TEST_INSTALLED OR TARGET _iotax))
  message(STATUS "iotax: without the extension the Python tests are not registered")
  return()
endif()

set(python_environment PYTHONDONTWRITEBYTECODE=1)
if(NOT IOTAX_TEST_INSTALLED)
  list(APPEND python_environment "PYTHONPATH=${PROJECT_BINARY_DIR}/python")
  if(IOTAX_SANITIZE MATCHES address)
    # The interpreter is not instrumented: the runtime must be loaded first, together with libstdc++, so that it can wrap exceptions.
    foreach(library libasan.so libstdc++.so)
      execute_process(COMMAND "${CMAKE_CXX_COMPILER}" "-print-file-name=${library}"
        OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE)
      list(APPEND preload "${path}")
    endforeach()
    list(JOIN preload ":" preload)
    list(APPEND python_environment "LD_PRELOAD=${preload}" "ASAN_OPTIONS=detect_leaks=0"
      PYTHONMALLOC=malloc)  # so that ASan also tracks Python's objects
  endif()
endif()

# iotax_python_test(NAME LABEL COMMAND...): runs the command with the interpreter, serially, since servers with clients need both cores.
function(iotax_python_test name label)
  add_test(NAME ${name} COMMAND "${Python_EXECUTABLE}" ${ARGN} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties(${name} PROPERTIES
    LABELS ${label} ENVIRONMENT "${python_environment}" RUN_SERIAL TRUE TIMEOUT 1200)
endfunction()

# iotax_pytest(NAME LABEL PATH [ARGUMENT...]): registered if PATH contains a test file.
function(iotax_pytest name label path)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${path}/test_*.py")
  if(files)
    iotax_python_test(${name} ${label} -m pytest -q -p no:cacheprovider ${ARGN} "${path}")
  endif()
endfunction()

set(mark "")
if(IOTAX_E2E_MARK)
  set(mark -m "${IOTAX_E2E_MARK}")
endif()
iotax_pytest(unit.bridge unit tests/unit/bridge)
if(NOT IOTAX_SANITIZE)  # they run almost no native code
  iotax_pytest(unit.iotax unit tests/unit/iotax --ignore=tests/unit/iotax/_check --ignore=tests/unit/iotax/testing)
  iotax_pytest(unit.packaging unit tests/unit/packaging)
  iotax_pytest(unit.check unit tests/unit/iotax/_check)
  iotax_pytest(conformance.check conformance conformance/check)
endif()
iotax_pytest(unit.testing unit tests/unit/iotax/testing)
if(IOTAX_TEST_INSTALLED)
  iotax_pytest(unit.extension unit tests/unit/extension)
endif()
iotax_pytest(conformance.pep3333 conformance conformance/pep3333)
# These do not need a second core: each runs one process at a time, without clients.
foreach(name unit.bridge unit.iotax unit.check unit.testing conformance.pep3333 conformance.check)
  if(TEST ${name})
    set_tests_properties(${name} PROPERTIES RUN_SERIAL FALSE)
  endif()
endforeach()
# iotax check on the sample applications, and on an application that the environment of ctest names: IOTAX_APP=main:app, with PYTHONPATH
# if it is elsewhere.
iotax_python_test(conformance.samples conformance conformance/check/samples)
iotax_python_test(conformance.application conformance conformance/check/application)
set_tests_properties(conformance.application PROPERTIES SKIP_RETURN_CODE 77)
if(NOT IOTAX_SANITIZE)
  iotax_python_test(property.list property tests/unit/check_properties)
  iotax_python_test(mutants mutants tests/mutants/run)
  set_tests_properties(mutants PROPERTIES TIMEOUT 2400)  # each mutant is compiled
endif()
# Browser tests are registered only where a browser runs without a desktop (Ubuntu's is a snap and does not).
find_program(IOTAX_CHROMIUM NAMES chromium)
if(NOT IOTAX_CHROMIUM)
  message(STATUS "iotax: no chromium, so nothing is tested in a browser")
  list(APPEND mark -k "not in_a_browser")
endif()
# Most of their time they wait for a server, so two files run at the same time.
iotax_pytest(e2e e2e tests/e2e ${mark} -n 2 --dist loadfile)
if(NOT IOTAX_SANITIZE)
  iotax_pytest(docs docs tests/docs)
endif()
if(EXISTS "${PROJECT_SOURCE_DIR}/conformance/runner/run")
  iotax_python_test(conformance.client conformance conformance/runner/run client)
  iotax_python_test(conformance.live conformance conformance/runner/run live)
endif()
