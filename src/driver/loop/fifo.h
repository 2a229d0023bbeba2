// A queue based on a vector. It must not know its items.
#pragma once

#include <cstddef>
#include <vector>

namespace iotax::driver {

/// First in, first out. Unbounded itself: the events of a turn, or Config::queued_max, limit it.
template <class T>
class Fifo {
 public:
  [[nodiscard]] bool empty() const noexcept { return head_ == items_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size() - head_; }
  void push(T item) { items_.push_back(item); }
  /// Add `item` before all others, e.g. one that was popped and is returned.
  void push_front(T item) {
    if (head_ == 0) {
      items_.insert(items_.begin(), item);
    } else {
      items_[--head_] = item;
    }
  }
  [[nodiscard]] T front() const noexcept { return items_[head_]; }
  T pop() noexcept {
    const T item = items_[head_++];
    if (head_ == items_.size()) {
      items_.clear();
      head_ = 0;
    } else if (head_ >= 1024 && head_ * 2 >= items_.size()) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    return item;
  }

 private:
  std::vector<T> items_;
  std::size_t head_ = 0;
};

}  // namespace iotax::driver
