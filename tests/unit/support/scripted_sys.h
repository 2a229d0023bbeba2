// An operating system for tests: virtual clock, sockets with a scripted client side, files in
// memory, threads under a seed. Every call is counted and can be made to fail. It satisfies
// SysLike, so the driver runs on it unchanged.
//
// A test in short:
//   ScriptedSys sys(seed);
//   const int listener = sys.listen();
//   ScriptedClient client = sys.connect(listener);
//   client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
//   ... let the driver run turns ...
//   EXPECT_EQ(client.received(), "HTTP/1.1 200 OK...");
//   EXPECT_EQ(sys.calls("send"), 1U);
//
// A call that waits lets other threads run, or else time passes up to its timeout or the next at().
// When all wait forever, the on_stuck() hook may add input; without one the test is aborted with
// the seed. Descriptor numbers start at 10000, so that a UniqueFd that closes one never closes a
// real descriptor; use ScriptedSys::close().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "driver/os/sys.h"
#include "support/scripted_scheduler.h"

namespace iotax::support {

using driver::Errno;
using driver::Result;

namespace scripted {

/// One connection, both ends.
struct Link {
  std::string to_server;        // sent by the client, not yet received
  std::string to_client;        // sent by the server, not yet read by a client that reads by hand
  std::string received;         // read by the client
  std::size_t room = SIZE_MAX;  // capacity of to_client; SIZE_MAX: the client reads immediately
  std::size_t step = 1;         // this much room must be free before more is taken
  std::size_t unacked = 0;
  int pending_error = 0;     // returned by the server's next call
  core::Instant heard_at{};  // when the server last received bytes from the client
  core::Instant told_at{};   // when the server last sent bytes
  core::Instant ended_at{};  // when the server ended its side, or closed
  std::uint16_t port = 0;    // the client's
  bool unix_socket = false;
  bool client_ended = false;  // no more bytes from the client
  bool client_gone = false;   // closed: the next bytes of the server cause a reset
  bool reset_by_client = false;
  bool server_ended = false;  // shut down for writing, or closed in order
  bool server_deaf = false;   // shut down for reading
  bool server_closed = false;
  bool reset_by_server = false;
};

/// Destination of a log: the writes, in order.
struct Sink {
  std::vector<std::string> writes;
  bool stuck = false;     // the reader does not read: writes wait
  bool broken = false;    // no reader: EPIPE
  core::Duration pace{};  // the reader takes this long for each write
  int fd = -1;

  [[nodiscard]] std::string text() const;
};

struct Pipe {
  std::string bytes;
  std::size_t capacity = 65536;
  int readers = 0;
  int writers = 0;
};

struct File;

/// A channel of messages; the script acts as the supervisor.
struct Channel {
  struct Message {
    std::string text;
    std::shared_ptr<File> attached;
  };
  std::deque<Message> to_worker;
  std::vector<Message> from_worker;
  std::size_t room = SIZE_MAX;  // capacity of from_worker in messages; then EAGAIN
  bool ended = false;           // the supervisor has exited
};

/// An open file description.
struct File {
  enum class Kind : std::uint8_t {
    listener,
    socket,
    pipe_read,
    pipe_write,
    epoll,
    regular,
    sink,
    channel,
    datagram
  };
  explicit File(Kind k) : kind(k) {}

  Kind kind;
  int holders = 0;
  bool unix_socket = false;
  bool linger_zero = false;
  std::deque<std::shared_ptr<Link>> backlog;  // listener
  std::shared_ptr<Link> link;                 // socket
  std::shared_ptr<Pipe> pipe;
  std::shared_ptr<Sink> sink;
  std::shared_ptr<Channel> channel;
  std::string content;     // regular
  bool temporary = false;  // regular
  struct Watch {
    int fd;
    std::uint32_t events;
    std::uint64_t data;
  };
  std::deque<Watch> watched;  // epoll; those returned last are at the end
};

}  // namespace scripted

/// The client's end of a connection. A handle: copies refer to the same client. Output of the
/// server is read immediately unless read_by_hand().
class ScriptedClient {
 public:
  ScriptedClient() = default;
  explicit ScriptedClient(std::shared_ptr<scripted::Link> link) : link_(std::move(link)) {}

  void send(std::string_view bytes);
  /// Send no more bytes; the client still reads.
  void half_close() { link_->client_ended = true; }
  /// Close in order: the server sees the end, and a reset as soon as it sends.
  void close();
  void reset();

  /// All bytes read so far.
  [[nodiscard]] const std::string& received() const { return link_->received; }
  /// The same, and clear it.
  std::string take() { return std::exchange(link_->received, {}); }
  /// Whether the server has ended its side and the client has read everything.
  [[nodiscard]] bool ended() const { return link_->server_ended && link_->to_client.empty(); }
  [[nodiscard]] bool was_reset() const { return link_->reset_by_server; }
  [[nodiscard]] bool closed_by_server() const { return link_->server_closed; }
  /// Bytes of the client that the server has not received.
  [[nodiscard]] std::size_t unread_by_server() const { return link_->to_server.size(); }
  [[nodiscard]] std::uint16_t port() const { return link_->port; }
  /// When the server last received, sent and ended; the beginning of time: never.
  [[nodiscard]] core::Instant heard_at() const { return link_->heard_at; }
  [[nodiscard]] core::Instant told_at() const { return link_->told_at; }
  [[nodiscard]] core::Instant ended_at() const { return link_->ended_at; }

  /// From now on the server can have `room` unread bytes in the network, and only read() removes
  /// them.
  void read_by_hand(std::size_t room) { link_->room = room; }
  /// Like send buffers: take nothing while less than `step` of the room is free.
  void take_in_steps(std::size_t step) { link_->step = step; }
  void read(std::size_t bytes);
  [[nodiscard]] std::size_t room() const { return link_->room; }
  /// With read_by_hand(): whether the server can send no more before the client reads.
  [[nodiscard]] bool has_full_room() const { return link_->to_client.size() >= link_->room; }
  /// Added to the result of unacked_bytes(), besides bytes not read by hand.
  void set_unacked(std::size_t bytes) { link_->unacked = bytes; }

 private:
  std::shared_ptr<scripted::Link> link_;
};

class ScriptedSys {
 public:
  class Thread {
   public:
    Thread() = default;
    Thread(ScriptedSys* sys, std::size_t id) : sys_(sys), id_(id) {}
    Thread(Thread&& other) noexcept : sys_(std::exchange(other.sys_, nullptr)), id_(other.id_) {}
    Thread& operator=(Thread&& other) noexcept;
    ~Thread() { join(); }
    [[nodiscard]] bool joinable() const noexcept { return sys_ != nullptr; }
    void join() noexcept;
    void forget() noexcept { sys_ = nullptr; }

   private:
    ScriptedSys* sys_ = nullptr;
    std::size_t id_ = 0;
  };

  /// A lock that lets other threads run while it waits. Belongs to the ScriptedSys created last
  /// before it.
  class Mutex {
   public:
    void lock();
    void unlock() { held_ = false; }

   private:
    ScriptedSys* sys_ = newest_;
    bool held_ = false;
  };

  /// An atomic that lets other threads run before each operation. Belongs to the ScriptedSys
  /// created last before the operation.
  template <class T>
  class Atomic : public std::atomic<T> {
    using Base = std::atomic<T>;
    using Order = std::memory_order;
    static constexpr Order kStrict = std::memory_order_seq_cst;

   public:
    using Base::Base;
    T load(Order order = kStrict) const noexcept { return point().Base::load(order); }
    void store(T value, Order order = kStrict) noexcept { point().Base::store(value, order); }
    T exchange(T value, Order order = kStrict) noexcept {
      return point().Base::exchange(value, order);
    }
    bool compare_exchange_strong(T& expected, T value, Order order = kStrict) noexcept {
      return point().Base::compare_exchange_strong(expected, value, order);
    }
    bool compare_exchange_weak(T& expected, T value, Order order = kStrict) noexcept {
      return point().Base::compare_exchange_strong(expected, value, order);
    }
    T fetch_add(T value, Order order = kStrict) noexcept {
      return point().Base::fetch_add(value, order);
    }
    T fetch_sub(T value, Order order = kStrict) noexcept {
      return point().Base::fetch_sub(value, order);
    }
    T fetch_or(T value, Order order = kStrict) noexcept {
      return point().Base::fetch_or(value, order);
    }
    T fetch_and(T value, Order order = kStrict) noexcept {
      return point().Base::fetch_and(value, order);
    }

   private:
    Atomic& point() noexcept {
      give_way();
      return *this;
    }
    const Atomic& point() const noexcept {
      give_way();
      return *this;
    }
    static void give_way() noexcept {
      if (newest_ != nullptr) newest_->scheduler_.give_way();
    }
  };

  static constexpr int kFirstFd = 10000;
  static constexpr std::string_view kServerAddress =
      "127.0.0.1";  // of every connection, on kServerPort
  static constexpr std::uint16_t kServerPort = 8000;

  explicit ScriptedSys(std::uint64_t seed = 1);
  ~ScriptedSys();

  // ---- the script: clients, files, logs
  [[nodiscard]] int listen(bool unix_socket = false);
  /// Connect a client, which waits in the backlog until the server accepts it.
  ScriptedClient connect(int listener);
  /// Open a regular file, as the application would.
  [[nodiscard]] int open_file(std::string content);
  [[nodiscard]] std::shared_ptr<scripted::Sink> open_sink();
  /// Create a channel; returns the worker's end. channel_of() returns the other one.
  [[nodiscard]] int open_channel();
  [[nodiscard]] scripted::Channel& channel_of(int fd) { return *files_.at(fd)->channel; }
  /// What the sockets of open_datagram() have sent. Make open_datagram() or send() fail for a
  /// receiver that is missing or full.
  std::vector<std::string> datagrams;
  /// The sink that open_append(path) created last; null when there is none.
  [[nodiscard]] std::shared_ptr<scripted::Sink> sink_at(const std::string& path);
  /// Move the file away: the next open_append() creates a new one.
  void rotate(const std::string& path) { paths_.erase(path); }

  // ---- the script: time and threads
  void advance(core::Duration by) { scheduler_.advance(by); }
  /// Run no thread for this long, while the network and the clients continue; then interrupt waits
  /// in system calls, as by SIGSTOP and SIGCONT. For an action.
  void freeze(core::Duration for_how_long) { scheduler_.freeze(for_how_long); }
  /// The clock of the script; now() leaves out time in which the worker has noticed that it did not
  /// run.
  [[nodiscard]] core::Instant real_now() const { return scheduler_.now(); }
  void at(core::Instant when, std::function<void()> action) {
    scheduler_.at(when, std::move(action));
  }
  void after(core::Duration delay, std::function<void()> action) {
    scheduler_.at(scheduler_.now() + delay, std::move(action));
  }
  /// Sleep in the calling thread while others run: a slow view.
  void sleep(core::Duration for_how_long);
  /// Wait in the calling thread for a condition that another thread or an action makes true, e.g. a
  /// lock of the test.
  void wait_until(std::function<bool()> ready) {
    scheduler_.wait("wait_until", std::move(ready), core::kNever);
  }
  /// Called when every thread waits forever; true: something has changed, check again.
  void on_stuck(std::function<bool()> hook) { scheduler_.on_stuck = std::move(hook); }
  /// start_thread() only records; run_recorded() runs the n-th body in the calling thread.
  void record_threads() { record_threads_ = true; }
  void run_recorded(std::size_t n) { recorded_.at(n)(); }
  [[nodiscard]] std::size_t threads_started() const { return recorded_.size(); }
  /// The number of the running thread: 0 is the test's, the others are in order of start_thread().
  [[nodiscard]] std::size_t running_thread() const { return scheduler_.running(); }
  /// Advance the clock by this much with each now(). For code that reads the clock until time has
  /// passed.
  void set_clock_step(core::Duration step) { clock_step_ = step; }
  void set_unix_time(core::Duration since_1970) {
    unix_offset_ = since_1970 - scheduler_.now().time_since_epoch();
  }

  // ---- the script: failures
  /// Make the `nth` call (1: the next) of that name fail, and the `times - 1` after it. Names are
  /// those of the members.
  void fail(std::string_view call, std::uint64_t nth, int error, std::uint64_t times = 1);
  void fail_always(std::string_view call, int error) { fail(call, 1, error, UINT64_MAX / 2); }
  /// Make the `nth` call (1: the next) of those that can fail fail, whatever its name. For "fails
  /// at call n, for every n".
  void fail_nth(std::uint64_t nth, int error);
  /// Append the names of all calls from now on to `names`.
  void record_calls(std::vector<std::string>& names) { call_names_ = &names; }
  void heal();
  /// Make reads and writes transfer a random number of the bytes, at least 1.
  void set_short_io(bool on) { short_io_ = on; }
  /// End waits early at random, as after EINTR: once in this many. 0: never.
  void set_interruptions(std::uint64_t one_in) { interrupted_one_in_ = one_in; }
  /// The scheduler of the threads (scripted_scheduler.h).
  [[nodiscard]] Scheduler& scheduler() { return scheduler_; }
  /// Limit open descriptors to `n`; then EMFILE.
  void set_descriptors_max(std::size_t n) { descriptors_max_ = n; }
  /// Limit further bytes in temporary files to `bytes`; then ENOSPC.
  void set_disk_room(std::uint64_t bytes) { disk_room_ = bytes; }
  void set_environment(const std::string& name, const std::string& value) {
    environment_[name] = value;
  }

  // ---- the script: observations
  [[nodiscard]] std::uint64_t calls(std::string_view name) const;
  /// The number of calls to functions that can fail.
  [[nodiscard]] std::uint64_t calls() const { return failable_calls_; }
  void reset_calls();
  [[nodiscard]] std::size_t open_descriptors() const { return files_.size(); }
  /// The same without files of the application, which UniqueFd closes without calling this class.
  [[nodiscard]] std::size_t open_descriptors_but_files() const;
  [[nodiscard]] bool is_open(int fd) const { return files_.count(fd) != 0; }
  /// How many descriptors were closed while an epoll still watched them.
  [[nodiscard]] std::size_t closed_while_watched() const { return closed_while_watched_; }
  /// How often close() met a descriptor that was not open.
  [[nodiscard]] std::size_t closed_twice() const { return closed_twice_; }
  /// The worker's errors with its descriptors, after it was destroyed; empty: none. The listener
  /// belongs to the script.
  [[nodiscard]] std::string descriptor_fault() const;
  /// The maximum number of bytes in temporary files at one time.
  [[nodiscard]] std::uint64_t temporary_bytes_most() const { return temporary_bytes_most_; }

  // ---- SysLike
  Result<std::size_t> recv(int fd, std::span<std::byte> into);
  Result<std::size_t> send(int fd, std::span<const std::byte> bytes, bool more = false);
  Result<std::size_t> send_gathered(int fd, std::span<const iovec> pieces, bool more = false);
  Result<std::size_t> sendfile(int out, int in, std::uint64_t offset, std::size_t bytes);
  Result<driver::Accepted> accept(int listener);
  Result<driver::SocketAddress> getsockname(int fd);
  Result<driver::SocketAddress> getpeername(int fd);
  Result<int> open_datagram(const driver::SocketAddress& peer);
  Result<void> shutdown(int fd, int how);
  Result<void> set_linger_zero(int fd);
  Result<void> set_nodelay(int fd);
  Result<void> set_unsent_max(int fd, std::size_t bytes);
  Result<void> drop_new_connections(int listener);
  Result<std::size_t> unacked_bytes(int fd);
  Result<std::size_t> backlog(int listener);
  Result<driver::Message> receive_message(int fd, std::span<std::byte> into);
  Result<void> send_message(int fd, std::span<const std::byte> bytes, int attached = -1);
  void close(int fd);
  Result<std::size_t> read(int fd, std::span<std::byte> into);
  Result<std::size_t> write(int fd, std::span<const std::byte> bytes);
  Result<std::size_t> pread(int fd, std::span<std::byte> into, std::uint64_t offset);
  Result<std::size_t> pwrite(int fd, std::span<const std::byte> bytes, std::uint64_t offset);
  Result<int> duplicate(int fd);
  Result<driver::PipeEnds> pipe();
  Result<driver::FileInfo> file_info(int fd);
  Result<int> open_temporary(const std::string& dir);
  Result<int> open_append(const std::string& path);
  void own(int) {}  // no forks
  std::size_t descriptor_limit() { return kFirstFd + descriptors_max_; }
#if IOTAX_LINUX
  Result<int> epoll_create();
  Result<void> epoll_ctl(int epoll, int operation, int fd, epoll_event event);
  Result<std::size_t> epoll_wait(int epoll, std::span<epoll_event> into, core::Duration timeout);
#endif
  Result<std::size_t> poll(std::span<pollfd> fds, core::Duration timeout);
  core::Instant now();
  core::Instant noticed_now();
  void plan_reading(core::Instant when) { time_.plan(when); }
  [[nodiscard]] core::Instant planned_reading() const { return time_.planned(); }
  bool notice_freeze(core::Instant planned) { return time_.notice(planned, scheduler_.now()); }
  [[nodiscard]] core::Duration left_out() const { return time_.left_out(); }
  core::Duration unix_time();
  bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                  core::Duration timeout);
  void futex_wake(const std::atomic<std::uint32_t>& word, unsigned waiters);
  Result<Thread> start_thread(const char* name, std::function<void()> body);
  Result<void> set_slice(core::Duration slice);
  int process_id() { return 4712; }
  driver::ProcessUse process_use() { return {64 << 20, scheduler_.now().time_since_epoch() / 4}; }
  std::optional<std::string> environment(const char* name);
  std::uint64_t random() { return scheduler_.draw(UINT64_MAX); }

 private:
  using File = scripted::File;
  struct Failure {
    std::uint64_t first, last;
    int error;
  };
  struct Waiter {
    const void* word;
    bool woken = false;
  };

  int enter(std::string_view name);
  int open(std::shared_ptr<File> file);
  File* find(int fd, File::Kind kind) const;
  [[nodiscard]] short state_of(int fd) const;
  [[nodiscard]] short socket_state(const scripted::Link& link) const;
  [[nodiscard]] bool any_ready(const File& epoll) const;
  std::size_t portion(std::size_t asked);
  [[nodiscard]] bool interrupted();
  Errno lost(int fd, int error);
  Result<std::size_t> send_now(int fd, std::string_view bytes);
  Result<std::size_t> write_sink(scripted::Sink& sink, std::string_view bytes);
  Result<std::size_t> write_pipe(scripted::Pipe& pipe, std::string_view bytes);
  [[nodiscard]] core::Instant deadline_after(core::Duration timeout) const;

  static inline ScriptedSys* newest_ = nullptr;

  Scheduler scheduler_;
  driver::RunningTime time_;
  std::map<int, std::shared_ptr<File>> files_;
  std::map<std::string, std::shared_ptr<scripted::Sink>> paths_;
  std::map<std::string, std::string, std::less<>> environment_;
  std::map<std::string, std::uint64_t, std::less<>> counts_;
  std::map<std::string, std::vector<Failure>, std::less<>> failures_;
  std::vector<Failure> failures_at_;
  std::vector<std::string>* call_names_ = nullptr;
  std::deque<Waiter*> waiters_;
  std::vector<std::function<void()>> recorded_;
  std::uint64_t failable_calls_ = 0;
  std::uint64_t disk_room_ = UINT64_MAX;
  core::Duration clock_step_{};
  core::Duration unix_offset_;
  std::size_t descriptors_max_ = 4096;
  std::size_t closed_while_watched_ = 0;
  std::size_t closed_twice_ = 0;
  std::uint64_t interrupted_one_in_ = 0;
  std::uint64_t temporary_bytes_ = 0;
  std::uint64_t temporary_bytes_most_ = 0;
  std::uint16_t next_port_ = 40000;
  bool short_io_ = false;
  bool record_threads_ = false;
};

static_assert(driver::SysLike<ScriptedSys>);

}  // namespace iotax::support
