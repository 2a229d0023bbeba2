# Put the release of llhttp into third_party/llhttp, for a source distribution. It runs when one is made (CMakeLists.txt), and by hand:
#   cmake -P cmake/CarryLlhttp.cmake
# Needs an interpreter with pip (Python_EXECUTABLE, else python3), which brings its own index and proxy settings.
include("${CMAKE_CURRENT_LIST_DIR}/LlhttpRelease.cmake")
if(NOT Python_EXECUTABLE)
  set(Python_EXECUTABLE python3)
endif()
get_filename_component(third_party "${CMAKE_CURRENT_LIST_DIR}/../third_party" ABSOLUTE)
set(carried "${third_party}/llhttp")

if(NOT EXISTS "${carried}/src/llhttp.c")
  set(work "${third_party}/unpacked")
  file(REMOVE_RECURSE "${work}")
  file(WRITE "${work}/requirements.txt" "${IOTAX_LLHTTP_PACKAGE}\n")
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -m pip --disable-pip-version-check download -q --no-deps --no-binary :all: -d "${work}"
      -r "${work}/requirements.txt"
    RESULT_VARIABLE failed ERROR_VARIABLE why)
  if(failed)
    file(REMOVE_RECURSE "${work}")
    message(FATAL_ERROR "iotax: ${IOTAX_LLHTTP_PACKAGE}, which has the files of llhttp, cannot be downloaded:\n${why}")
  endif()
  file(GLOB archive "${work}/*.tar.gz")
  file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${work}" PATTERNS "*/vendor/llhttp/*")
  file(GLOB unpacked LIST_DIRECTORIES true "${work}/*/vendor/llhttp")
  iotax_verify_llhttp("${unpacked}")
  foreach(entry IN LISTS iotax_llhttp_sums)
    string(REGEX REPLACE "=.*" "" file "${entry}")
    get_filename_component(directory "${carried}/${file}" DIRECTORY)
    file(COPY "${unpacked}/${file}" DESTINATION "${directory}" NO_SOURCE_PERMISSIONS)
  endforeach()
  file(REMOVE_RECURSE "${work}")
endif()
iotax_verify_llhttp("${carried}")
message(STATUS "iotax: llhttp ${IOTAX_LLHTTP_RELEASE} is in ${carried}")
