"""How bench/run builds, starts, loads and measures servers."""
