// Stacks that take turns in one native thread (makecontext(3)): switching costs a tenth of what
// waking another thread does. The sanitizers are told. It decides nothing; whoever resumes says
// who runs.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <functional>
#include <memory>

namespace iotax::support {

class Fiber {
 public:
  /// The calling thread as it runs.
  Fiber();
  /// `body` runs when this is resumed first. It must neither return nor throw: it ends with
  /// end_in().
  explicit Fiber(std::function<void()> body);
  ~Fiber();
  Fiber(const Fiber&) = delete;

  /// Stop this one, which runs, until it is resumed; go on in `next`.
  void switch_to(Fiber& next) { leave_for(next, false); }
  /// The same, and this one never runs again.
  [[noreturn]] void end_in(Fiber& next);

 private:
  static void enter();
  void leave_for(Fiber& next, bool for_ever);
  void arrived();

  ucontext_t context_{};
  std::function<void()> body_;
  std::unique_ptr<std::byte[]> stack_;  // none: the thread's own
  // What the sanitizers know it by.
  struct Known {
    void* saved = nullptr;         // AddressSanitizer's own
    const void* bottom = nullptr;  // of the stack
    std::size_t bytes = 0;         // of it
    void* fiber = nullptr;         // ThreadSanitizer's own
  };
  Known known_;
};

}  // namespace iotax::support
