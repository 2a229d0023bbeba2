# llhttp >= 9.2, always linked statically: the interface target iotax_llhttp. Looked for in this order:
#   1. installed (a CMake package, else header and libllhttp.a), or unpacked below IOTAX_LLHTTP_PREFIX;
#   2. third_party/llhttp, the files of its release that a source distribution carries (CarryLlhttp.cmake);
#   3. Debian 13's package, unpacked privately by cmake/fetch_llhttp (machines with apt and Debian's keyring);
#   4. the upstream release through FetchContent (FETCHCONTENT_SOURCE_DIR_LLHTTP names a source tree to use instead).
# An archive that is too old, or that cannot be linked into a shared object, is skipped with a message. Sets iotax_llhttp_version.
set(IOTAX_LLHTTP_VERSION 9.2)
set(IOTAX_LLHTTP_PREFIX "${PROJECT_SOURCE_DIR}/build/llhttp/usr" CACHE PATH "Where a privately unpacked llhttp lies")
option(IOTAX_LLHTTP_CARRIED "Use third_party/llhttp only, whatever is installed" OFF)
option(IOTAX_LLHTTP_FETCH_PACKAGE "Let cmake/fetch_llhttp unpack the Debian package when llhttp is not installed" ON)
include("${CMAKE_CURRENT_LIST_DIR}/LlhttpRelease.cmake")

add_library(iotax_llhttp INTERFACE)

# Sets ${result} to whether the library, a file or a target, can be linked into a shared object. An archive that was not compiled as
# position-independent code (Debian sid has one) cannot become part of the extension.
function(iotax_check_llhttp_links result header library)
  set(directory "${PROJECT_BINARY_DIR}/check_llhttp")
  file(WRITE "${directory}/check.c" "#include <llhttp.h>\n\
int iotax_check(const char* data, unsigned long bytes) {\n\
  llhttp_t parser;\n\
  llhttp_settings_t settings;\n\
  llhttp_settings_init(&settings);\n\
  llhttp_init(&parser, HTTP_REQUEST, &settings);\n\
  return (int)llhttp_execute(&parser, data, bytes);\n\
}\n")
  set(include)
  if(header)
    set(include CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${header}")
  endif()
  set(CMAKE_TRY_COMPILE_TARGET_TYPE EXECUTABLE)
  set(CMAKE_C_FLAGS "${CMAKE_C_FLAGS} -fPIC")
  try_compile(links "${directory}" "${directory}/check.c" ${include}
    LINK_OPTIONS -shared "LINKER:--version-script=${CMAKE_CURRENT_FUNCTION_LIST_DIR}/extension.map"
    LINK_LIBRARIES ${library}
    OUTPUT_VARIABLE said)
  if(NOT links)
    string(REGEX MATCH "[^\n]*(relocation|recompile|undefined)[^\n]*" why "${said}")
    message(STATUS "iotax: ${library} is passed over, it cannot be linked into a shared object: ${why}")
  endif()
  set(${result} "${links}" PARENT_SCOPE)
  unset(links CACHE)
endfunction()

# Sets ${result} to the version that llhttp.h in the directory has.
function(iotax_read_llhttp_version result directory)
  file(STRINGS "${directory}/llhttp.h" lines REGEX "define LLHTTP_VERSION_(MAJOR|MINOR|PATCH)")
  string(REGEX MATCHALL "[0-9]+" numbers "${lines}")
  list(JOIN numbers "." version)
  set(${result} "${version}" PARENT_SCOPE)
endfunction()

# Sets iotax_llhttp_header and iotax_llhttp_archive if both lie below the given prefixes (or the system's, if none) and are new enough.
function(iotax_find_llhttp)
  if(ARGN)
    set(where PATHS ${ARGN} NO_DEFAULT_PATH)
  endif()
  unset(header CACHE)
  unset(archive CACHE)
  find_path(header llhttp.h ${where} PATH_SUFFIXES include NO_CACHE)
  find_library(archive libllhttp.a ${where} PATH_SUFFIXES lib "lib/${CMAKE_LIBRARY_ARCHITECTURE}" NO_CACHE)
  if(NOT header OR NOT archive)
    return()
  endif()
  iotax_read_llhttp_version(version "${header}")
  if(version VERSION_LESS IOTAX_LLHTTP_VERSION)
    message(STATUS "iotax: ${archive} is llhttp ${version}, older than ${IOTAX_LLHTTP_VERSION}")
    return()
  endif()
  iotax_check_llhttp_links(usable "${header}" "${archive}")
  if(NOT usable)
    return()
  endif()
  set(iotax_llhttp_header "${header}" PARENT_SCOPE)
  set(iotax_llhttp_archive "${archive}" PARENT_SCOPE)
endfunction()

# Compile the C files of the release below the directory, without its own build files, which vary from version to version.
function(iotax_compile_llhttp directory)
  add_library(iotax_llhttp_static STATIC "${directory}/src/api.c" "${directory}/src/http.c" "${directory}/src/llhttp.c")
  set_target_properties(iotax_llhttp_static PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_include_directories(iotax_llhttp_static SYSTEM PUBLIC "${directory}/include")
  target_link_libraries(iotax_llhttp INTERFACE iotax_llhttp_static)
  message(STATUS "iotax: llhttp from ${directory}")
  iotax_read_llhttp_version(version "${directory}/include")
  set(iotax_llhttp_version "${version}" PARENT_SCOPE)
  # The wheel contains the code, so it contains the license too.
  if(SKBUILD AND EXISTS "${directory}/LICENSE")
    install(FILES "${directory}/LICENSE" DESTINATION "${SKBUILD_METADATA_DIR}/licenses/third_party/llhttp" COMPONENT iotax)
  endif()
endfunction()

set(carried "${PROJECT_SOURCE_DIR}/third_party/llhttp")
if(IOTAX_LLHTTP_CARRIED)
  iotax_verify_llhttp("${carried}")
  iotax_compile_llhttp("${carried}")
  return()
endif()

# Debian's own CMake config exports only the shared target; other builds export llhttp::llhttp_static. Both install the archive below
# the header's prefix, where the search below finds it too. The package comes first, because it may know other prefixes.
find_package(llhttp ${IOTAX_LLHTTP_VERSION} CONFIG QUIET)
set(usable NO)
if(TARGET llhttp::llhttp_static)
  iotax_check_llhttp_links(usable "" llhttp::llhttp_static)
endif()
if(usable)
  target_link_libraries(iotax_llhttp INTERFACE llhttp::llhttp_static)
  set(iotax_llhttp_version "${llhttp_VERSION}")
  message(STATUS "iotax: llhttp from ${llhttp_DIR}")
  return()
endif()

iotax_find_llhttp()
if(NOT iotax_llhttp_archive)
  iotax_find_llhttp("${IOTAX_LLHTTP_PREFIX}")
endif()
if(NOT iotax_llhttp_archive AND EXISTS "${carried}/src/llhttp.c" AND NOT FETCHCONTENT_SOURCE_DIR_LLHTTP)
  iotax_compile_llhttp("${carried}")
  return()
endif()
if(NOT iotax_llhttp_archive AND IOTAX_LLHTTP_FETCH_PACKAGE AND NOT FETCHCONTENT_SOURCE_DIR_LLHTTP)
  set(private "${PROJECT_BINARY_DIR}/llhttp")
  execute_process(COMMAND "${PROJECT_SOURCE_DIR}/cmake/fetch_llhttp" "${private}" RESULT_VARIABLE failed)
  if(NOT failed)
    iotax_find_llhttp("${private}/usr")
  endif()
endif()
if(iotax_llhttp_archive)
  target_include_directories(iotax_llhttp SYSTEM INTERFACE "${iotax_llhttp_header}")
  target_link_libraries(iotax_llhttp INTERFACE "${iotax_llhttp_archive}")
  iotax_read_llhttp_version(iotax_llhttp_version "${iotax_llhttp_header}")
  message(STATUS "iotax: llhttp from ${iotax_llhttp_archive}")
  return()
endif()

include(FetchContent)
FetchContent_Declare(llhttp
  URL "${IOTAX_LLHTTP_URL}"
  DOWNLOAD_EXTRACT_TIMESTAMP TRUE
  SOURCE_SUBDIR no-build-files)
FetchContent_MakeAvailable(llhttp)
if(NOT FETCHCONTENT_SOURCE_DIR_LLHTTP)
  iotax_verify_llhttp("${llhttp_SOURCE_DIR}")
endif()
iotax_compile_llhttp("${llhttp_SOURCE_DIR}")
