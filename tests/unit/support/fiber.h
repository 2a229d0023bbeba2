// Coroutines in one native thread (makecontext(3)): a switch costs a tenth of waking another
// thread. Announces switches to the sanitizers. It decides nothing; the caller says which fiber
// runs.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <functional>
#include <memory>

namespace iotax::support {

class Fiber {
 public:
  /// The calling thread itself.
  Fiber();
  /// `body` runs when this fiber is resumed for the first time. It must neither return nor throw,
  /// but end with end_in().
  explicit Fiber(std::function<void()> body);
  ~Fiber();
  Fiber(const Fiber&) = delete;

  /// Suspend this running fiber and resume `next`.
  void switch_to(Fiber& next) { leave_for(next, false); }
  /// The same, but this fiber never runs again.
  [[noreturn]] void end_in(Fiber& next);

 private:
  static void enter();
  void leave_for(Fiber& next, bool for_ever);
  void arrived();

  ucontext_t context_{};
  std::function<void()> body_;
  std::unique_ptr<std::byte[]> stack_;  // null: the stack of the native thread
  // State of the sanitizers.
  struct Known {
    void* saved = nullptr;         // for AddressSanitizer
    const void* bottom = nullptr;  // of the stack
    std::size_t bytes = 0;         // of it
    void* fiber = nullptr;         // for ThreadSanitizer
  };
  Known known_;
};

}  // namespace iotax::support
