// Sessions in the order in which they came to rest, so that the one that has rested for longest is
// found at once, however many there are. It must not know what the order is used for.
#pragma once

#include "core/instant.h"

namespace iotax::driver {

template <class T>
class AgeList;

/// What is inherited by the objects of an AgeList. Each is in at most one list, and taken out
/// before it is destroyed.
template <class T>
struct AgeEntry {
  AgeList<T>* in_list = nullptr;  // null: in none
  core::Instant listed_at{};      // what it is ordered by
  T* older = nullptr;
  T* younger = nullptr;
};

/// An intrusive list, ordered by `listed_at`. All calls take constant time, but for insert().
template <class T>
class AgeList {
 public:
  AgeList() = default;
  AgeList(const AgeList&) = delete;

  [[nodiscard]] T* oldest() const noexcept { return oldest_; }
  [[nodiscard]] T* youngest() const noexcept { return youngest_; }

  /// `entry` is the youngest from now on, in whatever list it was.
  void renew(T& entry, core::Instant now) noexcept {
    entry.listed_at = now;
    if (youngest_ == &entry) return;
    remove(entry);
    link(entry, youngest_);
  }
  /// At the place of `since`. Looks from the youngest on.
  void insert(T& entry, core::Instant since) noexcept {
    remove(entry);
    entry.listed_at = since;
    T* before = youngest_;
    while (before != nullptr && before->listed_at > since) before = before->older;
    link(entry, before);
  }
  /// From whatever list it is in.
  static void remove(T& entry) noexcept {
    if (entry.in_list != nullptr) entry.in_list->unlink(entry);
  }

 private:
  /// Behind `before`; null: as the oldest.
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
