// Sessions ordered by when they became idle, so that the one idle for longest is found in constant
// time. It must not know what the order is used for.
#pragma once

#include "core/instant.h"

namespace iotax::driver {

template <class T>
class AgeList;

/// Base of the objects in an AgeList. Each is in at most one list and is removed before it is
/// destroyed.
template <class T>
struct AgeEntry {
  AgeList<T>* in_list = nullptr;  // null: not in a list
  core::Instant listed_at{};      // the list is ordered by this
  T* older = nullptr;
  T* younger = nullptr;
};

/// An intrusive list, ordered by `listed_at`. All calls but insert() take constant time.
template <class T>
class AgeList {
 public:
  AgeList() = default;
  AgeList(const AgeList&) = delete;

  [[nodiscard]] T* oldest() const noexcept { return oldest_; }
  [[nodiscard]] T* youngest() const noexcept { return youngest_; }

  /// Make `entry` the youngest; remove it first from the list that contains it.
  void renew(T& entry, core::Instant now) noexcept {
    entry.listed_at = now;
    if (youngest_ == &entry) return;
    remove(entry);
    link(entry, youngest_);
  }
  /// Insert `entry` at the position of `since`. Searches from the youngest entry.
  void insert(T& entry, core::Instant since) noexcept {
    remove(entry);
    entry.listed_at = since;
    T* before = youngest_;
    while (before != nullptr && before->listed_at > since) before = before->older;
    link(entry, before);
  }
  /// Remove `entry` from its list, if it is in one.
  static void remove(T& entry) noexcept {
    if (entry.in_list != nullptr) entry.in_list->unlink(entry);
  }

 private:
  /// Link `entry` after `before`; null: as the oldest.
  void link(T& entry, T* before) noexcept {
    entry.in_list = this;
    entry.older = before;
    entry.younger = before == nullptr ? oldest_ : before->younger;
    (before == nullptr ? oldest_ : before->younger) = &entry;
    (entry.younger == nullptr ? youngest_ : entry.younger->older) = &entry;
  }
  void unlink(T& entry) noexcept {
    (entry.older == nullptr ? oldest_ : entry.older->younger) = entry.younger;
    (entry.younger == nullptr ? youngest_ : entry.younger->older) = entry.older;
    entry.older = entry.younger = nullptr;
    entry.in_list = nullptr;
  }

  T* oldest_ = nullptr;
  T* youngest_ = nullptr;
};

}  // namespace iotax::driver
