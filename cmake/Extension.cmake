# The extension module iotax._iotax from the .cc files below src/bridge. It is put into PYTHON_ROOT/iotax of the build tree, next to
# links to the package's Python files in directories of the same names, so that PYTHONPATH=<build>/python imports the new build.
file(GLOB_RECURSE bridge_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/bridge/*.cc")

if(IOTAX_PYTHON)
  set(Python_EXECUTABLE "${IOTAX_PYTHON}")
elseif(NOT Python_EXECUTABLE AND EXISTS "${PROJECT_SOURCE_DIR}/build/venv/bin/python")
  set(Python_EXECUTABLE "${PROJECT_SOURCE_DIR}/build/venv/bin/python")
endif()
find_package(Python 3.11 COMPONENTS Interpreter OPTIONAL_COMPONENTS Development.Module Development.Embed)
if(Python_Development.Module_FOUND AND NOT SKBUILD)
  execute_process(COMMAND "${Python_EXECUTABLE}" -m pybind11 --cmakedir
    OUTPUT_VARIABLE pybind11_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(Python_Development.Module_FOUND AND NOT IOTAX_EXTENSION STREQUAL "OFF")
  set(PYBIND11_FINDPYTHON ON)
  find_package(pybind11 3 CONFIG QUIET)
endif()
if(NOT pybind11_FOUND OR NOT bridge_sources)
  if(IOTAX_EXTENSION STREQUAL "ON")
    message(FATAL_ERROR "iotax: the extension needs src/bridge, CPython >= 3.11 with its headers, and pybind11 >= 3")
  endif()
  message(STATUS "iotax: the Python extension is not built")
  return()
endif()

set(PYTHON_ROOT "${PROJECT_BINARY_DIR}/python")
set(room "${PROJECT_BINARY_DIR}/rooms/bridge")
file(MAKE_DIRECTORY "${room}" "${PYTHON_ROOT}/iotax")
# Remove the links of an earlier configuration: their files may have moved, and through an old link to a directory the new links would
# be created in src/.
file(GLOB_RECURSE earlier LIST_DIRECTORIES true "${PYTHON_ROOT}/iotax/*")
foreach(path IN LISTS earlier)
  if(IS_SYMLINK "${path}" OR IS_DIRECTORY "${path}")
    file(REMOVE_RECURSE "${path}")
  endif()
endforeach()
file(CREATE_LINK "${PROJECT_SOURCE_DIR}/src/bridge" "${room}/bridge" SYMBOLIC)

# The bridge without its Python module (src/bridge/module): test programs contain their own module.
set(module_sources ${bridge_sources})
list(FILTER module_sources INCLUDE REGEX "/src/bridge/module/")
list(REMOVE_ITEM bridge_sources ${module_sources})
add_library(iotax_bridge STATIC ${bridge_sources})
target_include_directories(iotax_bridge PUBLIC "${room}")
target_link_libraries(iotax_bridge PUBLIC pybind11::pybind11 iotax_driver iotax_core PRIVATE iotax_flags)

pybind11_add_module(_iotax MODULE NO_EXTRAS ${module_sources})
target_compile_definitions(_iotax PRIVATE IOTAX_VERSION="${PROJECT_VERSION}" IOTAX_LLHTTP_VERSION="${iotax_llhttp_version}")
target_link_libraries(_iotax PRIVATE iotax_bridge iotax_admin iotax_flags)
target_link_options(_iotax PRIVATE "LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/extension.map")
set_target_properties(_iotax PROPERTIES LINK_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/extension.map")
set_target_properties(_iotax PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${PYTHON_ROOT}/iotax")
install(TARGETS _iotax LIBRARY DESTINATION iotax COMPONENT iotax)
install(FILES "${PROJECT_SOURCE_DIR}/src/iotaX.py" "${PROJECT_SOURCE_DIR}/src/iotax_pytest.py" DESTINATION . COMPONENT iotax)

# Files for find_package(iotax) in other projects, below the environment that the wheel is installed into.
if(SKBUILD)
  include(CMakePackageConfigHelpers)
  write_basic_package_version_file("${PROJECT_BINARY_DIR}/iotaxConfigVersion.cmake" COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
  install(FILES "${PROJECT_SOURCE_DIR}/cmake/iotaxConfig.cmake" "${PROJECT_BINARY_DIR}/iotaxConfigVersion.cmake"
    DESTINATION "${SKBUILD_DATA_DIR}/share/cmake/iotax" COMPONENT iotax)
endif()

# The clauses that iotax check reports: one list for the whole project.
set(obligations "${PROJECT_SOURCE_DIR}/conformance/pep3333/obligations.toml")
install(FILES "${obligations}" DESTINATION iotax COMPONENT iotax)
file(CREATE_LINK "${obligations}" "${PYTHON_ROOT}/iotax/obligations.toml" SYMBOLIC)

file(GLOB_RECURSE python_files CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/src/iotax/*")
file(GLOB modules CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/src/*.py")
foreach(file IN LISTS python_files modules)
  if(NOT file MATCHES "__pycache__")
    get_filename_component(directory "${PYTHON_ROOT}/${file}" DIRECTORY)
    file(MAKE_DIRECTORY "${directory}")
    file(CREATE_LINK "${PROJECT_SOURCE_DIR}/src/${file}" "${PYTHON_ROOT}/${file}" SYMBOLIC)
  endif()
endforeach()
