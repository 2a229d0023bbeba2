# tests/unit/must_not_compile/*.cc: each file compiles as it is, and must fail with -DIOTAX_MUST_NOT_COMPILE. The first compilation
# shows that the second fails because of the line under test, not because of a missing header.
file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/unit/must_not_compile/*.cc")
foreach(source IN LISTS sources)
  get_filename_component(name "${source}" NAME_WE)
  set(compile "${CMAKE_CXX_COMPILER}" -std=c++20 -fsyntax-only
    "-I${PROJECT_BINARY_DIR}/rooms/core" "-I${PROJECT_BINARY_DIR}/rooms/driver" "${source}")
  add_test(NAME unit.compiles.${name} COMMAND ${compile})
  add_test(NAME unit.must_not_compile.${name} COMMAND ${compile} -DIOTAX_MUST_NOT_COMPILE)
  set_tests_properties(unit.compiles.${name} unit.must_not_compile.${name} PROPERTIES LABELS unit)
  set_tests_properties(unit.must_not_compile.${name} PROPERTIES WILL_FAIL TRUE)
endforeach()
