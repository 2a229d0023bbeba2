"""Builds, starts, loads and measures servers for bench/run."""
