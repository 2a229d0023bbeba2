# The wheel says what is compiled into it: *.dist-info/sboms/iotax.cdx.json (PEP 770), in the format of CycloneDX 1.6. It has no time and no
# number of its own, so that two builds of the same sources give the same bytes.
if(NOT SKBUILD)
  return()
endif()
set(IOTAX_STATIC_RUNTIME "" CACHE STRING "The C++ library that the toolchain links statically into the extension, e.g. libc++")

set(runtime "")
set(runtime_ref "")
if(IOTAX_STATIC_RUNTIME)
  set(runtime "    {
      \"bom-ref\": \"${IOTAX_STATIC_RUNTIME}\",
      \"type\": \"library\",
      \"name\": \"${IOTAX_STATIC_RUNTIME}\",
      \"version\": \"${CMAKE_CXX_COMPILER_VERSION}\",
      \"licenses\": [{\"expression\": \"Apache-2.0 WITH LLVM-exception\"}]
    },
")
  set(runtime_ref "\"${IOTAX_STATIC_RUNTIME}\", ")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/sbom.cdx.json.in" "${PROJECT_BINARY_DIR}/iotax.cdx.json" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/iotax.cdx.json" DESTINATION "${SKBUILD_METADATA_DIR}/sboms" COMPONENT iotax)
