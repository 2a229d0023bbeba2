// Creates and switches stacks, and announces each switch to AddressSanitizer and ThreadSanitizer.
#include "support/fiber.h"

#include <cstdlib>
#include <utility>
#include <vector>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define IOTAX_FIBER_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define IOTAX_FIBER_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define IOTAX_FIBER_TSAN 1
#include <sanitizer/tsan_interface.h>
#else
#define IOTAX_FIBER_TSAN 0
#endif

namespace iotax::support {

namespace {

constexpr std::size_t kStackBytes = 512 * 1024;

/// Reuses stacks: hundreds of thousands of fibers are created.
std::vector<std::unique_ptr<std::byte[]>>& spare_stacks() {
  static std::vector<std::unique_ptr<std::byte[]>> stacks;
  return stacks;
}

Fiber* g_arriving = nullptr;  // the resumed fiber; makecontext() passes int only
Fiber* g_left = nullptr;      // the fiber that was suspended for it

}  // namespace

Fiber::Fiber() {
#if IOTAX_FIBER_TSAN
  known_.fiber = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)) {
  auto& spare = spare_stacks();
  if (spare.empty()) {
    stack_ = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
  } else {
    stack_ = std::move(spare.back());
    spare.pop_back();
  }
  known_.bottom = stack_.get();
  known_.bytes = kStackBytes;
  if (getcontext(&context_) != 0) std::abort();
  context_.uc_stack.ss_sp = stack_.get();
  context_.uc_stack.ss_size = kStackBytes;
  makecontext(&context_, &Fiber::enter, 0);
  // AddressSanitizer's swapcontext() clears its map of the whole stack that uc_stack names.
  context_.uc_stack = {};
#if IOTAX_FIBER_TSAN
  known_.fiber = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  if (!stack_) return;
#if IOTAX_FIBER_TSAN
  __tsan_destroy_fiber(known_.fiber);
#endif
#if IOTAX_FIBER_ASAN
  __asan_unpoison_memory_region(stack_.get(), kStackBytes);  // the frames that never returned
#endif
  spare_stacks().push_back(std::move(stack_));
}

void Fiber::enter() {
  g_arriving->arrived();
  g_arriving->body_();
  std::abort();
}

void Fiber::leave_for(Fiber& next, bool for_ever) {
  g_arriving = &next;
  g_left = this;
#if IOTAX_FIBER_ASAN
  __sanitizer_start_switch_fiber(for_ever ? nullptr : &known_.saved, next.known_.bottom,
                                 next.known_.bytes);
#else
  (void)for_ever;
#endif
#if IOTAX_FIBER_TSAN
  __tsan_switch_to_fiber(next.known_.fiber, 0);
#endif
  if (swapcontext(&context_, &next.context_) != 0) std::abort();
  arrived();
}

void Fiber::end_in(Fiber& next) {
  leave_for(next, true);
  std::abort();
}

/// Runs on the stack of this fiber each time it is resumed.
void Fiber::arrived() {
#if IOTAX_FIBER_ASAN
  // The stack of the native thread is known once it is suspended for the first time.
  __sanitizer_finish_switch_fiber(known_.saved, &g_left->known_.bottom, &g_left->known_.bytes);
#endif
}

}  // namespace iotax::support
