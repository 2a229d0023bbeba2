// The log of a process: access lines to one descriptor, server lines to another, each through its
// own LogStream, so that a reader that stops on one side does not delay the other; and what is
// counted for statsd. It decides how a server line looks; it must not know what is logged. Text of
// the application goes unchanged to the server log.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/transfer_rate.h"
#include "driver/env.h"
#include "driver/log/log.h"
#include "driver/log/log_stream.h"
#include "driver/log/statsd.h"

namespace iotax::driver {

struct LogStyle {
  Level level = Level::info;  // lower levels are left out
  bool color = false;         // color the level
  bool prefix = false;        // time and PID before each line
  bool json = false;          // one record per text, without color and prefix
};

/// `LEVEL:    text` with the further lines of the text after it, each with a line end. With a
/// prefix each line starts with `2026-11-23T10:02:20.123+00:00 [PID] `.
[[nodiscard]] std::string format_server(const LogStyle& style, Level level, std::string_view text,
                                        core::Duration unix_time, int process_id);
/// One JSON object with a line end: the server's own text with `level`, or with null that of an
/// application. `worker` 0: none.
[[nodiscard]] std::string format_record(const Level* level, std::string_view text,
                                        const RequestIds& about, core::Duration unix_time,
                                        int process_id, unsigned worker);
/// `N log lines dropped`.
[[nodiscard]] std::string dropped_text(std::uint64_t lines);

template <Env E>
class LogSink final : public Log {
 public:
  using Sys = typename E::Sys;
  static constexpr std::size_t kBytesMax =
      std::size_t{1024} * 1024;  // about 10,000 lines: a reader may stop for seconds

  /// `bytes_max` for each of the two buffers. `sys` is borrowed.
  explicit LogSink(Sys& sys, std::size_t bytes_max = kBytesMax)
      : sys_(sys),
        access_(sys, "iotax-access", bytes_max,
                [](std::uint64_t n) { return dropped_text(n) + '\n'; }),
        server_(sys, "iotax-log", bytes_max,
                [this](std::uint64_t n) { return formatted(Level::warning, dropped_text(n), {}); }),
        statsd_(sys) {}

  /// Open, or reopen: earlier lines go to the former descriptors. -1: no descriptor. The caller
  /// keeps its descriptors. On failure (EMFILE, EBADF) that side stays as it was.
  Result<void> open(int server_fd, int access_fd, const LogStyle& style) {
    level_.store(style.level, std::memory_order_relaxed);
    color_.store(style.color, std::memory_order_relaxed);
    prefix_.store(style.prefix, std::memory_order_relaxed);
    json_.store(style.json, std::memory_order_relaxed);
    const Result<void> server = server_.redirect(server_fd);
    const Result<void> access = access_.redirect(access_fd);
    return server ? access : server;
  }

  void access(std::string_view line) noexcept override { access_.append(line); }
  using Log::server;
  void server(Level level, std::string_view text, const RequestIds& about) noexcept override {
    if (level < level_.load(std::memory_order_relaxed)) return;
    lines_[static_cast<std::size_t>(level)].fetch_add(1, std::memory_order_relaxed);
    server_.append(formatted(level, text, about));
  }
  void application(const void* writer, std::string_view text, bool last,
                   const RequestIds& about) noexcept override {
    if (!makes_records()) return server_.append_raw(writer, text, last);
    if (text.ends_with('\n')) text.remove_suffix(1);
    // append() would drop a record that is larger than the buffer.
    if (!text.empty()) server_.append_raw(writer, record(nullptr, text, about), true);
  }
  [[nodiscard]] bool makes_records() const noexcept override {
    return json_.load(std::memory_order_relaxed);
  }
  /// The number of the worker in this process, for records.
  void name_worker(unsigned number) noexcept { worker_.store(number, std::memory_order_relaxed); }
  bool flush(core::Duration patience) noexcept override {
    statsd_.send(*this, true);
    const core::Instant begin = sys_.now();
    const core::Instant first = core::later(begin, patience);
    const core::Instant end = patience > kForever / kFlushPatiences
                                  ? core::kNever
                                  : core::later(begin, kFlushPatiences * patience);
    const std::uint32_t seen = access_.progress();
    const bool server_written = server_.flush(first, patience, end);
    const bool moves = access_.progress() != seen;  // if not, it has been waited for already
    return access_.flush(moves ? core::later(sys_.now(), patience) : first, patience, end) &&
           server_written;
  }

  /// Set the files that reopen() opens; empty: iotax has not opened a file for that side. Call it
  /// before the first line is logged.
  void name_files(std::string server, std::string access) {
    server_path_ = std::move(server);
    access_path_ = std::move(access);
  }
  [[nodiscard]] LogCounts counts() const noexcept override {
    LogCounts counts;
    for (std::size_t n = 0; n < lines_.size(); ++n)
      counts.lines[n] = lines_[n].load(std::memory_order_relaxed);
    counts.dropped = {access_.dropped(), server_.dropped()};
    return counts;
  }
  void reopen() noexcept override {
    reopen_one(server_, server_path_);
    reopen_one(access_, access_path_);
  }

  void count_request(int status, core::Duration took) noexcept override {
    statsd_.request(status, took);
  }
  [[nodiscard]] bool has_full_datagram() const noexcept override { return statsd_.is_full(); }
  void send_datagrams(bool all) noexcept override { statsd_.send(*this, all); }
  [[nodiscard]] Statsd<E>& statsd() noexcept { return statsd_; }

  /// See LogStream. For a process that must not have threads.
  void write_in_caller() {
    access_.write_in_caller();
    server_.write_in_caller();
  }

  /// See LogStream. The child may continue to log, and counts what it logs itself.
  void abandon_in_child() {
    for (std::atomic<std::uint64_t>& count : lines_) count.store(0, std::memory_order_relaxed);
    access_.abandon_in_child();
    server_.abandon_in_child();
    statsd_.abandon_in_child();
  }

 private:
  [[nodiscard]] std::string record(const Level* level, std::string_view text,
                                   const RequestIds& about) {
    return format_record(level, text, about, sys_.unix_time(), sys_.process_id(),
                         worker_.load(std::memory_order_relaxed));
  }

  [[nodiscard]] std::string formatted(Level level, std::string_view text, const RequestIds& about) {
    if (makes_records()) return record(&level, text, about);
    const LogStyle style{level_.load(std::memory_order_relaxed),
                         color_.load(std::memory_order_relaxed),
                         prefix_.load(std::memory_order_relaxed)};
    return format_server(style, level, text, sys_.unix_time(), sys_.process_id());
  }

  void reopen_one(LogStream<E>& stream, const std::string& path) {
    if (path.empty()) return;
    const Result<int> opened = sys_.open_append(path);
    const Result<void> done = opened ? stream.redirect(*opened) : Errno{opened.error()};
    if (opened) sys_.close(*opened);
    if (!done)
      server(Level::error, path + " cannot be opened again: continuing with the former file");
  }

  Sys& sys_;
  std::string server_path_;
  std::string access_path_;
  std::atomic<Level> level_{Level::info};
  std::atomic<bool> color_{false};
  std::atomic<bool> prefix_{false};
  std::atomic<bool> json_{false};
  std::atomic<unsigned> worker_{0};
  std::array<std::atomic<std::uint64_t>, kSeverities.size()> lines_{};  // by Level
  LogStream<E> access_;
  LogStream<E> server_;
  Statsd<E> statsd_;
};

extern template class LogSink<NativeEnv>;

}  // namespace iotax::driver
