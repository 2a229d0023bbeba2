// Which planted bug is active (planted.py): its number, or -1 for none.
#pragma once

#include <cstdlib>

inline const int planted_bug = [] {
  const char* number = std::getenv("PLANTED_BUG");
  return number == nullptr ? -1 : std::atoi(number);
}();
