# fuzz/fuzz_<surface>.cc with fuzz/main.cc: an executable that replays fuzz/corpus/<surface>. With IOTAX_FUZZ (preset fuzz, Clang)
# also fuzz_<surface>_engine, the same target under libFuzzer. The targets share the other files there.
option(IOTAX_FUZZ "Build the fuzz targets with libFuzzer as well" OFF)

set(fuzz "${PROJECT_SOURCE_DIR}/fuzz")
file(GLOB targets CONFIGURE_DEPENDS "${fuzz}/fuzz_*.cc")
file(GLOB sources CONFIGURE_DEPENDS "${fuzz}/*.cc")
list(REMOVE_ITEM sources ${targets} "${fuzz}/main.cc")

if(IOTAX_FUZZ)
  # Coverage for the engine. The replayers link it too, so every target gets the runtime without main().
  target_compile_options(iotax_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(iotax_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

add_library(iotax_fuzz STATIC ${sources})
target_compile_options(iotax_fuzz PUBLIC "SHELL:-iquote ${fuzz}")
target_link_libraries(iotax_fuzz PUBLIC iotax_flags iotax_conformance PRIVATE iotax_llhttp)

# fuzz_environ embeds a Python interpreter.
if(NOT TARGET iotax_bridge OR NOT Python_Development.Embed_FOUND)
  message(STATUS "iotax: fuzz_environ is not built, it needs the extension and a Python to embed")
  list(REMOVE_ITEM targets "${fuzz}/fuzz_environ.cc")
endif()
add_library(iotax_fuzz_environ INTERFACE)
target_compile_definitions(iotax_fuzz_environ INTERFACE
  IOTAX_FUZZ_DIR="${fuzz}" IOTAX_FUZZ_PYTHON="${Python_EXECUTABLE}")
target_link_libraries(iotax_fuzz_environ INTERFACE iotax_fuzz iotax_bridge pybind11::embed)

foreach(source IN LISTS targets)
  get_filename_component(name "${source}" NAME_WE)
  string(REPLACE "fuzz_" "" surface "${name}")
  set(uses iotax_fuzz)
  if(surface STREQUAL "environ")
    set(uses iotax_fuzz_environ)
  endif()
  add_executable(${name} "${source}" "${fuzz}/main.cc")
  target_link_libraries(${name} PRIVATE ${uses})
  add_test(NAME fuzz.${surface} COMMAND ${name} "${fuzz}/corpus/${surface}")
  set_tests_properties(fuzz.${surface} PROPERTIES LABELS fuzz)
  if(IOTAX_FUZZ)
    add_executable(${name}_engine "${source}")
    target_link_libraries(${name}_engine PRIVATE ${uses})
    target_link_options(${name}_engine PRIVATE -fsanitize=fuzzer)
  endif()
endforeach()
