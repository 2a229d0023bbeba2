// _iotax.Page: the scoreboard of driver/scoreboard/scoreboard.h, in memory shared with forked
// children.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <optional>

#include "driver/os/sys.h"
#include "driver/scoreboard/scoreboard.h"

namespace iotax::bridge {

/// Every member is called with the GIL held; errors are Python exceptions.
class PyPage {
 public:
  PyPage(unsigned seats, unsigned threads);
  PyPage(const PyPage&) = delete;
  ~PyPage();

  [[nodiscard]] pybind11::list calls(unsigned seat) const;
  [[nodiscard]] std::uint64_t turns(unsigned seat) const;
  [[nodiscard]] double gil_stuck(unsigned seat) const;
  void watch(unsigned seat, bool on) const;
  void clear(unsigned seat) const;

  /// The slot of a worker with `threads` threads; nothing without a scoreboard.
  [[nodiscard]] static std::optional<driver::Place> place_of(const PyPage* page, unsigned seat,
                                                             unsigned threads);

 private:
  [[nodiscard]] unsigned check(unsigned seat) const;
  [[nodiscard]] double seconds_since(unsigned seat, core::Instant then) const;

  mutable driver::Sys sys_;
  std::size_t bytes_;
  driver::Page page_;
};

void define_page(pybind11::module_& module);

}  // namespace iotax::bridge
