# A room of src/ as a static library that sees only its own headers and those of the rooms it uses.
# Headers are included as "core/connection.h". The include root of a room is a directory of the build tree that holds one link to
# the room's sources, so that #include "driver/..." in core finds no file.

# iotax_room(NAME [USES ROOM...] [LINKS TARGET...] [HIDES TARGET...]): the target iotax_NAME from the .cc files below src/NAME, or
# an INTERFACE target without them. LINKS are public, HIDES are private.
function(iotax_room name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "USES;LINKS;HIDES")
  set(root "${PROJECT_BINARY_DIR}/rooms/${name}")
  file(MAKE_DIRECTORY "${root}")
  file(CREATE_LINK "${PROJECT_SOURCE_DIR}/src/${name}" "${root}/${name}" SYMBOLIC)

  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.cc")
  set(scope PUBLIC)
  if(sources)
    add_library(iotax_${name} STATIC ${sources})
    target_link_libraries(iotax_${name} PRIVATE iotax_flags ${arg_HIDES})
  else()
    add_library(iotax_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(iotax_${name} ${scope} "${root}")
  list(TRANSFORM arg_USES PREPEND iotax_)
  target_link_libraries(iotax_${name} ${scope} ${arg_USES} ${arg_LINKS})
endfunction()
