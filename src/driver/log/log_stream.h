// One destination of log lines: a bounded buffer and a thread that writes it, so that the threads
// that log never wait for a reader. It decides how lines are batched and which are dropped; it must
// not know their meaning.
//
// Invariants:
//  1. A line is kept whole or dropped whole, and dropped lines are counted. `held` exceeds the
//     limit by at most one text of append_raw().
//  2. A write contains whole lines, at most PIPE_BUF bytes of them unless the file is regular: such
//     a write is not mixed with those of other processes (write(2), pipe(7)). Only a longer line,
//     or a short write, is completed by another write.
//  3. Descriptors are duplicates of the caller's. Their flags are shared by all holders and never
//     changed.
//  4. With nothing to write the thread sleeps without a timeout.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/instant.h"
#include "core/transfer_rate.h"
#include "driver/env.h"
#include "driver/os/result.h"
#include "driver/os/sys.h"

namespace iotax::driver {

template <Env E>
class LogStream {
 public:
  using Sys = typename E::Sys;
  /// `dropped` formats the line, with its line end, that reports the number of dropped lines.
  /// `name` is the thread's.
  LogStream(Sys& sys, const char* name, std::size_t bytes_max,
            std::function<std::string(std::uint64_t)> dropped)
      : sys_(sys), name_(name), bytes_max_(bytes_max), dropped_text_(std::move(dropped)) {}
  LogStream(LogStream&&) = delete;
  /// Writes the remaining lines and waits for a write that is blocked by its reader. At process
  /// exit, call flush() and do not destroy this.
  ~LogStream() {
    stop();
    for (const Segment& segment : state_->segments) close(segment.fd);
  }

  /// Write further lines to a duplicate of `fd`; earlier ones go to the former descriptor. -1: drop
  /// them.
  Result<void> redirect(int fd) {
    Segment next;
    if (fd >= 0) {
      const auto copy = sys_.duplicate(fd);
      if (!copy) return Errno{copy.error()};
      next.fd = *copy;
      const auto info = sys_.file_info(*copy);
      next.batch_bytes_max = info && info->regular ? kFileBatch : kWholeWriteBytes;
    }
    const std::lock_guard lock(state_->mutex);
    current_fd_.store(next.fd, std::memory_order_relaxed);
    batch_bytes_max_.store(next.batch_bytes_max, std::memory_order_relaxed);
    state_->unfinished = nullptr;
    const bool first = state_->segments.empty();
    state_->segments.push_back(std::move(next));
    if (in_caller_) {
      while (state_->segments.size() > 1) drop_first(*state_);
    } else if (!first) {
      rouse();
    }
    return {};
  }

  /// Each of `lines` ends with a line end; they are kept or dropped together.
  void append(std::string_view lines) {
    const std::lock_guard lock(state_->mutex);
    put(*state_, nullptr, lines, false, bytes_max_);
  }

  /// `text` is written unchanged, and kept or dropped as a whole; it may end within a line, which
  /// the same `writer` may continue unless `last`. A text of any size is kept while the buffer is
  /// not full.
  void append_raw(const void* writer, std::string_view text, bool last) {
    const std::lock_guard lock(state_->mutex);
    State& s = *state_;
    if (text.empty() && !(last && s.unfinished == writer)) return;
    put(s, writer, text, last, s.held < bytes_max_ ? SIZE_MAX : bytes_max_);
  }

  /// Wait until all appended lines are written or dropped. false: they were not, because nothing
  /// was written until `first`, or later for `patience`, or because it is `end`.
  bool flush(core::Instant first, core::Duration patience, core::Instant end) {
    std::unique_lock lock(state_->mutex);
    State& s = *state_;
    core::Instant until = first;
    while (s.held > 0) {
      rouse();
      flushing_.fetch_add(1, std::memory_order_relaxed);
      const std::uint32_t seen = progress();
      lock.unlock();
      const core::Duration left = until == core::kNever ? kForever : until - sys_.now();
      if (left > core::Duration::zero()) sys_.futex_wait(progress_, seen, left);
      lock.lock();
      flushing_.fetch_sub(1, std::memory_order_relaxed);
      if (progress() != seen) {
        until = std::min(core::later(sys_.now(), patience), end);
      } else if (left <= core::Duration::zero()) {
        return s.held == 0;
      }
    }
    return true;
  }
  /// Changes with every write.
  [[nodiscard]] std::uint32_t progress() const noexcept {
    return progress_.load(std::memory_order_relaxed);
  }

  /// Lines dropped since this process began.
  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return dropped_.load(std::memory_order_relaxed);
  }

  /// Write further lines in the thread that logs them; drop those that the descriptor does not take
  /// soon. Call it before the first line.
  void write_in_caller() { in_caller_ = true; }

  /// For the child of a fork, where the thread does not exist and the state may be half-changed:
  /// start again on the same descriptor. The parent writes the lines in the buffer.
  void abandon_in_child() {
    thread_.forget();
    in_caller_ = false;
    dropped_.store(0, std::memory_order_relaxed);
    (void)state_.release();  // not destroyed: another thread may have been using it
    state_ = std::make_unique<State>();
    Segment segment;
    segment.fd = current_fd_.load(std::memory_order_relaxed);
    segment.batch_bytes_max = batch_bytes_max_.load(std::memory_order_relaxed);
    state_->segments.push_back(std::move(segment));
  }

 private:
  static constexpr std::size_t kFileBatch = std::size_t{64} * 1024;
  static constexpr core::Duration kCallerPatience = std::chrono::milliseconds{100};

  /// The lines for one descriptor.
  struct Segment {
    int fd = -1;
    std::size_t batch_bytes_max = kWholeWriteBytes;
    std::string text;    // not yet taken by the thread
    bool ended = false;  // the reader has closed it
  };
  /// Protected by the mutex.
  struct State {
    Mutex<E> mutex;
    std::deque<Segment>
        segments;               // the last one takes new lines; only the thread removes the first
    std::size_t held = 0;       // bytes not yet written, including those the thread is writing
    std::uint64_t dropped = 0;  // lines not yet reported
    const void* unfinished = nullptr;  // writer of a line without its end
    bool idle = false;                 // the thread sleeps, or is about to
    bool stopping = false;
  };

  /// Keep `text` unless the buffer then exceeds `most` bytes, or write it immediately. Ends an
  /// unfinished line of another writer before it, and its own last line if it is `last`.
  void put(State& s, const void* writer, std::string_view text, bool last, std::size_t most) {
    if (s.segments.empty() || s.segments.back().fd < 0 || s.segments.back().ended) return;
    if (!in_caller_ &&
        ((s.held + text.size() > most) || (s.dropped > 0 && !tell_dropped(s, text.size(), most)))) {
      drop(s, count_lines(text));
      return;
    }
    const bool within_line = text.empty() || text.back() != '\n';
    const bool ends_other = s.unfinished != nullptr && s.unfinished != writer;
    s.unfinished = within_line && !last ? writer : nullptr;
    std::string whole;
    if (ends_other || (within_line && last)) [[unlikely]] {
      if (ends_other) whole += '\n';
      whole += text;
      if (within_line && last) whole += '\n';
      text = whole;
    }
    if (in_caller_) return write_now(s, text);
    keep(s, text);
    rouse();
  }

  /// Counts an unfinished line as one.
  static std::uint64_t count_lines(std::string_view text) {
    const auto ends = static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
    return ends + (text.empty() || text.back() == '\n' ? 0 : 1);
  }
  void close(int fd) {
    if (fd >= 0) sys_.close(fd);
  }

  void drop(State& s, std::uint64_t lines) noexcept {
    s.dropped += lines;
    dropped_.fetch_add(lines, std::memory_order_relaxed);
  }

  void drop_first(State& s) {
    close(s.segments.front().fd);
    s.segments.pop_front();
  }

  /// Write as many lines as the descriptor takes immediately; drop the rest.
  void write_now(State& s, std::string_view lines) {
    Segment& segment = s.segments.back();
    const auto lost = [&](std::string_view text) {
      std::uint64_t unwritten = 0;
      segment.ended =
          is_end(write_lines(segment.fd, text, segment.batch_bytes_max, unwritten, false));
      return unwritten;
    };
    if (s.dropped > 0 && lost(dropped_text_(s.dropped)) == 0) s.dropped = 0;
    drop(s, s.dropped > 0 ? count_lines(lines) : lost(lines));
  }

  /// Only a reader that has closed its end is final; a full disk may have room later.
  static bool is_end(int error) noexcept {
    return error == EPIPE || error == EBADF || error == ECONNRESET;
  }

  static void keep(State& s, std::string_view lines) {
    s.segments.back().text += lines;
    s.held += lines.size();
  }

  /// Append the number of dropped lines, if that line and `further_bytes` fit.
  bool tell_dropped(State& s, std::size_t further_bytes, std::size_t most) {
    std::string line = dropped_text_(s.dropped);
    if (s.unfinished != nullptr) line.insert(0, 1, '\n');
    if (s.held + line.size() + further_bytes > most) return false;
    s.dropped = 0;
    s.unfinished = nullptr;
    keep(s, line);
    return true;
  }

  /// Start or wake the thread. If it cannot be started, the next line tries again. Call it with the
  /// mutex locked.
  void rouse() {
    work_.fetch_add(1, std::memory_order_relaxed);
    if (!thread_.joinable()) {
      auto started = sys_.start_thread(name_, [this] { write_until_stopped(); });
      if (started) thread_ = std::move(*started);
    } else if (state_->idle) {
      sys_.futex_wake(work_, 1);
    }
  }

  void stop() {
    {
      const std::lock_guard lock(state_->mutex);
      state_->stopping = true;
      if (thread_.joinable()) rouse();
    }
    thread_.join();
  }

  void write_until_stopped() {
    State& s = *state_;
    std::string batch;
    std::unique_lock lock(s.mutex);
    while (next_batch(lock, batch)) {
      Segment& front = s.segments.front();
      const bool lost = front.ended || front.fd < 0;
      lock.unlock();
      std::uint64_t unwritten = 0;
      const int error = lost ? 0 : write_lines(front.fd, batch, front.batch_bytes_max, unwritten);
      lock.lock();
      if (is_end(error)) {
        front.ended = true;
      } else {
        drop(s, unwritten);
      }
      s.held -= batch.size();
      batch.clear();
      step_forward();  // a thread in flush() that has missed the last write notices this
    }
  }

  void step_forward() {
    progress_.fetch_add(1, std::memory_order_relaxed);
    if (flushing_.load(std::memory_order_relaxed) > 0) sys_.futex_wake(progress_, kEverybody);
  }

  /// Take the lines for the first descriptor; sleep until there are some. false: stopped, and no
  /// lines are left.
  bool next_batch(std::unique_lock<Mutex<E>>& lock, std::string& batch) {
    State& s = *state_;
    for (;;) {
      if (!s.segments.empty() && !s.segments.front().text.empty()) {
        batch.swap(s.segments.front().text);
        return true;
      }
      if (s.segments.size() > 1) {
        drop_first(s);
        continue;
      }
      if (s.stopping) return false;
      if (s.dropped > 0 && !s.segments.front().ended && tell_dropped(s, 0, bytes_max_)) continue;
      const std::uint32_t seen = work_.load(std::memory_order_relaxed);
      s.idle = true;
      lock.unlock();
      sys_.futex_wait(work_, seen, kForever);
      lock.lock();
      s.idle = false;
    }
  }

  /// Returns 0 or the errno that stopped it; then `unwritten` is the number of lines not written
  /// whole. `patient`: wait for the reader; otherwise return EAGAIN.
  int write_lines(int fd, std::string_view lines, std::size_t batch_bytes_max,
                  std::uint64_t& unwritten, bool patient = true) {
    while (!lines.empty()) {
      if (!patient && !is_writable(fd)) {
        unwritten = count_lines(lines);
        return EAGAIN;
      }
      const auto written =
          sys_.write(fd, std::as_bytes(std::span(lines.substr(0, cut(lines, batch_bytes_max)))));
      if (written) {
        lines.remove_prefix(*written);
        step_forward();
        continue;
      }
      if (!patient || (written.error() != EAGAIN && written.error() != EWOULDBLOCK)) {
        unwritten = count_lines(lines);
        return written.error();
      }
      pollfd reader{fd, POLLOUT, 0};  // another process made the descriptor non-blocking
      (void)sys_.poll(std::span(&reader, 1), kForever);
    }
    return 0;
  }

  /// A terminal is unwritable for a moment while another process writes to it. A reader that takes
  /// nothing is waited for once, not for each dropped line.
  bool is_writable(int fd) {
    pollfd reader{fd, POLLOUT, 0};
    const core::Duration wait = state_->dropped == 0 ? kCallerPatience : core::Duration::zero();
    const Result<std::size_t> ready = sys_.poll(std::span(&reader, 1), wait);
    return ready && *ready > 0;
  }

  /// The length of as many whole lines as fit, at least one; or of an unfinished line.
  static std::size_t cut(std::string_view lines, std::size_t bytes_max) {
    if (lines.size() <= bytes_max) return lines.size();
    std::size_t end = lines.rfind('\n', bytes_max - 1);
    if (end == std::string_view::npos) end = lines.find('\n');
    return end == std::string_view::npos ? lines.size() : end + 1;
  }

  Sys& sys_;
  const char* name_;
  std::size_t bytes_max_;
  std::function<std::string(std::uint64_t)> dropped_text_;
  std::unique_ptr<State> state_ = std::make_unique<State>();
  std::atomic<std::uint32_t> work_{
      0};  // changes under the mutex with everything the thread must notice
  std::atomic<std::uint32_t> progress_{0};  // changes with every write, and with every batch
  std::atomic<std::uint64_t> dropped_{0};   // lines, in total
  std::atomic<unsigned> flushing_{0};       // threads in flush()
  std::atomic<int> current_fd_{-1};         // of the last segment; readable in any state of state_
  std::atomic<std::size_t> batch_bytes_max_{kWholeWriteBytes};
  Thread<E> thread_;
  bool in_caller_ = false;
};

}  // namespace iotax::driver
