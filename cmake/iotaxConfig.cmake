# iotax for other projects, installed with the Python package. With its virtual environment active, or
# its directory in CMAKE_PREFIX_PATH:
#
#   find_package(iotax REQUIRED)
#   iotax_add_conformance_test(shop APP shop.wsgi:app PATHS / "POST /items" STRICT)


get_filename_component(_iotax_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
find_program(IOTAX_EXECUTABLE iotax HINTS "${_iotax_prefix}/bin" NO_DEFAULT_PATH)
if(NOT IOTAX_EXECUTABLE)
  set(iotax_FOUND FALSE)
  set(iotax_NOT_FOUND_MESSAGE "there is no command iotax in ${_iotax_prefix}/bin, beside which this file was installed")
endif()

# iotax_add_conformance_test(NAME APP TARGET [PATHS REQUEST...] [STRICT] [WORKING_DIRECTORY DIR]): a test with the label
# conformance that runs `iotax check TARGET`. REQUEST is a value of --path; DIR is where TARGET is imported from, the current
# source directory unless given.
function(iotax_add_conformance_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "STRICT" "APP;WORKING_DIRECTORY" "PATHS")
  if(NOT arg_APP)
    message(FATAL_ERROR "iotax_add_conformance_test(${name}): APP is missing, e.g. APP main:app")
  endif()
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "iotax_add_conformance_test(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}; "
      "it takes APP, PATHS, STRICT and WORKING_DIRECTORY")
  endif()
  if(NOT arg_WORKING_DIRECTORY)
    set(arg_WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  set(options "")
  foreach(request IN LISTS arg_PATHS)
    list(APPEND options --path "${request}")
  endforeach()
  if(arg_STRICT)
    list(APPEND options --strict)
  endif()
  add_test(NAME "${name}" COMMAND "${IOTAX_EXECUTABLE}" check "${arg_APP}" ${options}
    WORKING_DIRECTORY "${arg_WORKING_DIRECTORY}")
  set_tests_properties("${name}" PROPERTIES LABELS conformance)
endfunction()
