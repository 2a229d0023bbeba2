// _iotax.Scoreboard: the scoreboard of driver/scoreboard/scoreboard.h, in memory shared with forked
// children.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/os/sys.h"
#include "driver/scoreboard/scoreboard.h"

namespace iotax::bridge {

/// Every member is called with the GIL held; errors are Python exceptions.
class PyScoreboard {
 public:
  PyScoreboard(unsigned slots, unsigned threads, bool counted);
  PyScoreboard(const PyScoreboard&) = delete;
  ~PyScoreboard();

  [[nodiscard]] pybind11::list calls(unsigned slot) const;
  [[nodiscard]] std::uint64_t turns(unsigned slot) const;
  [[nodiscard]] double gil_stuck(unsigned slot) const;
  void watch(unsigned slot, bool on) const;
  void clear(unsigned slot) const;

  // ---- for the admin listener
  [[nodiscard]] bool is_counted() const noexcept { return scoreboard_.counted(); }
  /// The scoreboard, which is counted.
  [[nodiscard]] const driver::Scoreboard& counted() const;
  void publish(std::uint64_t wanted, std::uint64_t starts, const std::vector<std::uint64_t>& exits,
               bool has_served, bool stopping, bool supervised,
               const std::vector<int>& listeners) const;
  void publish_worker(unsigned slot, const std::string& state, std::uint64_t pid, double age) const;

  /// The slot of a worker with `threads` threads; nothing without a scoreboard.
  [[nodiscard]] static std::optional<driver::Slot> slot_of(const PyScoreboard* scoreboard,
                                                           unsigned slot, unsigned threads);

 private:
  [[nodiscard]] unsigned check(unsigned slot) const;
  [[nodiscard]] double seconds_since(unsigned slot, core::Instant then) const;

  mutable driver::Sys sys_;
  std::size_t bytes_;
  driver::Scoreboard scoreboard_;
};

void define_page(pybind11::module_& module);

}  // namespace iotax::bridge
