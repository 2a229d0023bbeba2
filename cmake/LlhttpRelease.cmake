# The upstream release of llhttp that iotax is built with where the system has none: its version, its files, and where they come from.
set(IOTAX_LLHTTP_RELEASE 9.4.3)
set(IOTAX_LLHTTP_URL "https://github.com/nodejs/llhttp/archive/refs/tags/release/v${IOTAX_LLHTTP_RELEASE}.tar.gz")
# A package whose source distribution has the files of the release unchanged below vendor/llhttp. Where iotax can be built, it can be downloaded.
set(IOTAX_LLHTTP_PACKAGE "httptools==0.9.0 --hash=sha256:d484ebb7e3a3f3597b0f645fbd1b85633674ca808c1f5ba11c2caf7c66f5c8b6")
# The SHA-256 of each file that is used.
set(iotax_llhttp_sums
  LICENSE=628168d68bb5a8a17e0bbefb3bd74e326e1edc20583d76f52f457c82c921867d
  include/llhttp.h=5bc82fa51b19aa8bee7d921038393fbfc74e8cc9bae0844c2d82c102fb8cfd68
  src/api.c=0f8590206fe2f264db2825401b5fb856b979ee1363dc88b06f36dc9577afb941
  src/http.c=a1f2b23168f8e9b5bfa464c89027d3ca259fc649ae3d7e72bfff997d1aeb5d72
  src/llhttp.c=391e7c99912abf3b1c9dd8a9c85fdeaac2663e9fa55b6f3871154d16fef8b892)

# Stops unless each file of the release below `directory` is there and unchanged.
function(iotax_verify_llhttp directory)
  foreach(entry IN LISTS iotax_llhttp_sums)
    string(REGEX MATCH "^(.+)=(.+)$" matched "${entry}")
    set(file "${directory}/${CMAKE_MATCH_1}")
    set(expected "${CMAKE_MATCH_2}")
    if(NOT EXISTS "${file}")
      message(FATAL_ERROR "iotax: ${file} of llhttp ${IOTAX_LLHTTP_RELEASE} is missing")
    endif()
    file(SHA256 "${file}" sum)
    if(NOT sum STREQUAL expected)
      message(FATAL_ERROR "iotax: ${file} is not that of llhttp ${IOTAX_LLHTTP_RELEASE}: its SHA-256 is ${sum}; expected ${expected}")
    endif()
  endforeach()
endfunction()
