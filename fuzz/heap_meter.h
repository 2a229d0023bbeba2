// Measures heap use. Replaces the global operators new and delete of the program that includes
// this, so include it in one source file only.
#pragma once

#include <malloc.h>

#include <cstddef>
#include <cstdlib>
#include <new>

namespace iotax::fuzz {

inline std::size_t heap_bytes = 0;

inline void* counted(std::size_t bytes) {
  void* block = std::malloc(bytes == 0 ? 1 : bytes);
  if (block == nullptr) std::abort();
  heap_bytes += malloc_usable_size(block);
  return block;
}

inline void uncounted(void* block) noexcept {
  if (block != nullptr) heap_bytes -= malloc_usable_size(block);
  std::free(block);
}

/// Bytes allocated and not freed since construction. For programs with one thread.
class HeapMeter {
 public:
  [[nodiscard]] std::size_t bytes() const noexcept { return heap_bytes - start_; }

 private:
  std::size_t start_ = heap_bytes;
};

}  // namespace iotax::fuzz

void* operator new(std::size_t bytes) { return iotax::fuzz::counted(bytes); }
void* operator new[](std::size_t bytes) { return iotax::fuzz::counted(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return iotax::fuzz::counted(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return iotax::fuzz::counted(bytes);
}
void operator delete(void* block) noexcept { iotax::fuzz::uncounted(block); }
void operator delete[](void* block) noexcept { iotax::fuzz::uncounted(block); }
void operator delete(void* block, std::size_t) noexcept { iotax::fuzz::uncounted(block); }
void operator delete[](void* block, std::size_t) noexcept { iotax::fuzz::uncounted(block); }
