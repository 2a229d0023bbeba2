# Warnings, hardening and sanitizers for the project's own targets: the interface target iotax_flags. Third-party code does not link it.
add_library(iotax_flags INTERFACE)

target_compile_options(iotax_flags INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(IOTAX_WERROR)
  target_compile_options(iotax_flags INTERFACE -Werror)
endif()

# A failed assertion then names the file as an include does. Off otherwise: ccache would no longer find what another directory has compiled.
option(IOTAX_REPRODUCIBLE "Keep the directory of the build out of the binaries" OFF)
if(IOTAX_REPRODUCIBLE)
  foreach(root "${PROJECT_SOURCE_DIR}/src" "${PROJECT_BINARY_DIR}/rooms/core" "${PROJECT_BINARY_DIR}/rooms/driver"
      "${PROJECT_BINARY_DIR}/rooms/admin" "${PROJECT_BINARY_DIR}/rooms/bridge")
    target_compile_options(iotax_flags INTERFACE "-fmacro-prefix-map=${root}/=")
  endforeach()
endif()

target_compile_options(iotax_flags INTERFACE -fno-semantic-interposition -fno-plt -fstack-protector)
target_link_options(iotax_flags INTERFACE "LINKER:-z,relro,-z,now,-z,noexecstack")

if(IOTAX_SANITIZE)
  target_compile_options(iotax_flags INTERFACE "-fsanitize=${IOTAX_SANITIZE}" -fno-omit-frame-pointer)
  target_link_options(iotax_flags INTERFACE "-fsanitize=${IOTAX_SANITIZE}")
  if(IOTAX_SANITIZE MATCHES undefined)
    target_compile_options(iotax_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  # Some distributions define it already, with a different level.
  target_compile_options(iotax_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")

if(IOTAX_LTO)
  include(CheckIPOSupported)
  check_ipo_supported(RESULT iotax_ipo OUTPUT iotax_ipo_why LANGUAGES CXX)
  if(iotax_ipo)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
  else()
    message(STATUS "iotax: no optimization at link time: ${iotax_ipo_why}")
  endif()
endif()
