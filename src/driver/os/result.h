// A value or an errno: how failed system calls are reported in the driver. No exceptions, no
// allocation.
#pragma once

#include <utility>

namespace iotax::driver {

/// A failed system call. `code` is an errno value, never 0.
struct Errno {
  int code;
};

/// Either a T or an Errno. T is default-constructible and movable.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) noexcept : value_(std::move(value)) {}
  Result(Errno failure) noexcept : error_(failure.code) {}

  [[nodiscard]] explicit operator bool() const noexcept { return error_ == 0; }
  /// The errno; 0 when there is a value.
  [[nodiscard]] int error() const noexcept { return error_; }
  /// Only valid when there is a value.
  [[nodiscard]] T& operator*() noexcept { return value_; }
  [[nodiscard]] const T& operator*() const noexcept { return value_; }
  [[nodiscard]] T* operator->() noexcept { return &value_; }
  [[nodiscard]] const T* operator->() const noexcept { return &value_; }

 private:
  T value_{};
  int error_ = 0;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Errno failure) noexcept : error_(failure.code) {}

  [[nodiscard]] explicit operator bool() const noexcept { return error_ == 0; }
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  int error_ = 0;
};

}  // namespace iotax::driver
