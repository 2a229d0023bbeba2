// Implements the calls of the scripted operating system, like Linux: tcp(7), epoll(7), pipe(7).
#include "support/scripted_sys.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

namespace iotax::support {

using scripted::Link;
using scripted::Pipe;
using scripted::Sink;
using Kind = scripted::File::Kind;

namespace {

constexpr core::Instant kStart{std::chrono::seconds{1000}};
constexpr core::Duration kUnixStart = std::chrono::seconds{1795428140};  // 2026-11-23T10:02:20Z

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::size_t copy_out(std::string_view from, std::span<std::byte> into) {
  const std::size_t n = std::min(from.size(), into.size());
  if (n > 0) std::memcpy(into.data(), from.data(), n);
  return n;
}

driver::SocketAddress address_of(const Link& link, std::uint16_t port) {
  driver::SocketAddress address;
  if (link.unix_socket) {
    address.storage.ss_family = AF_UNIX;
    address.bytes = sizeof(sa_family_t);
    return address;
  }
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::memcpy(&address.storage, &in, sizeof in);
  address.bytes = sizeof in;
  return address;
}

}  // namespace

std::string Sink::text() const {
  std::string all;
  for (const std::string& one : writes) all += one;
  return all;
}

// ---- the client

void ScriptedClient::send(std::string_view bytes) {
  if (link_->server_closed) {
    link_->reset_by_server = true;
    return;
  }
  link_->to_server += bytes;
}

void ScriptedClient::close() {
  link_->client_ended = true;
  link_->client_gone = true;
}

void ScriptedClient::reset() {
  link_->client_ended = true;
  link_->reset_by_client = true;
  link_->pending_error = ECONNRESET;
}

void ScriptedClient::read(std::size_t bytes) {
  link_->received += link_->to_client.substr(0, bytes);
  link_->to_client.erase(0, bytes);
}

// ---- threads

ScriptedSys::Thread& ScriptedSys::Thread::operator=(Thread&& other) noexcept {
  if (this != &other) {
    join();
    sys_ = std::exchange(other.sys_, nullptr);
    id_ = other.id_;
  }
  return *this;
}

void ScriptedSys::Thread::join() noexcept {
  ScriptedSys* sys = std::exchange(sys_, nullptr);
  if (sys != nullptr && id_ != 0) sys->scheduler_.join(id_);
}

Result<ScriptedSys::Thread> ScriptedSys::start_thread(const char* name,
                                                      std::function<void()> body) {
  if (const int error = enter("start_thread")) return Errno{error};
  recorded_.push_back(body);
  if (record_threads_) return Thread(this, 0);
  return Thread(this, scheduler_.start(name, std::move(body)));
}

bool ScriptedSys::futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                             core::Duration timeout) {
  ++counts_["futex_wait"];
  scheduler_.give_way();
  if (word.load() != expected || interrupted()) return true;
  Waiter me{&word};
  waiters_.push_back(&me);
  const Waited waited = scheduler_.wait_in_call(
      "futex_wait", [&] { return me.woken; }, deadline_after(timeout));
  std::erase(waiters_, &me);
  return waited != Waited::too_long;
}

void ScriptedSys::futex_wake(const std::atomic<std::uint32_t>& word, unsigned waiters) {
  ++counts_["futex_wake"];
  for (Waiter* waiter : waiters_) {
    if (waiters == 0) break;
    if (waiter->word != &word || waiter->woken) continue;
    waiter->woken = true;
    --waiters;
  }
  scheduler_.give_way();
}

Result<void> ScriptedSys::set_slice(core::Duration) {
  if (const int error = enter("set_slice")) return Errno{error};
  return {};
}

// ---- the script

ScriptedSys::ScriptedSys(std::uint64_t seed)
    : scheduler_(seed, kStart), unix_offset_(kUnixStart - kStart.time_since_epoch()) {
  newest_ = this;
}

void ScriptedSys::Mutex::lock() {
  sys_->scheduler_.give_way();
  if (held_)
    sys_->scheduler_.wait(
        "mutex", [this] { return !held_; }, core::kNever);
  held_ = true;
}

ScriptedSys::~ScriptedSys() {
  if (newest_ == this) newest_ = nullptr;
}

int ScriptedSys::listen(bool unix_socket) {
  auto file = std::make_shared<File>(Kind::listener);
  file->unix_socket = unix_socket;
  return open(std::move(file));
}

ScriptedClient ScriptedSys::connect(int listener) {
  auto link = std::make_shared<Link>();
  File* queue = find(listener, Kind::listener);
  if (queue == nullptr) {  // refused
    link->reset_by_server = link->server_closed = true;
    return ScriptedClient(link);
  }
  link->unix_socket = queue->unix_socket;
  link->port = next_port_++;
  queue->backlog.push_back(link);
  return ScriptedClient(link);
}

int ScriptedSys::open_file(std::string content) {
  auto file = std::make_shared<File>(Kind::regular);
  file->content = std::move(content);
  return open(std::move(file));
}

std::size_t ScriptedSys::open_descriptors_but_files() const {
  return static_cast<std::size_t>(std::count_if(files_.begin(), files_.end(), [](const auto& one) {
    return one.second->kind != Kind::regular || one.second->temporary;
  }));
}

std::shared_ptr<Sink> ScriptedSys::open_sink() {
  auto file = std::make_shared<File>(Kind::sink);
  file->sink = std::make_shared<Sink>();
  const auto sink = file->sink;
  sink->fd = open(std::move(file));
  return sink;
}

std::shared_ptr<Sink> ScriptedSys::sink_at(const std::string& path) {
  const auto found = paths_.find(path);
  return found == paths_.end() ? nullptr : found->second;
}

void ScriptedSys::sleep(core::Duration for_how_long) {
  scheduler_.wait(
      "sleep", [] { return false; }, deadline_after(for_how_long));
}

void ScriptedSys::fail(std::string_view call, std::uint64_t nth, int error, std::uint64_t times) {
  const std::uint64_t first = calls(call) + nth;
  failures_[std::string(call)].push_back({first, first + times - 1, error});
}

void ScriptedSys::fail_nth(std::uint64_t nth, int error) {
  failures_at_.push_back({failable_calls_ + nth, failable_calls_ + nth, error});
}

void ScriptedSys::heal() {
  failures_.clear();
  failures_at_.clear();
}

std::uint64_t ScriptedSys::calls(std::string_view name) const {
  const auto found = counts_.find(name);
  return found == counts_.end() ? 0 : found->second;
}

/// Also discards scheduled failures, which refer to the counts.
void ScriptedSys::reset_calls() {
  counts_.clear();
  failable_calls_ = 0;
  heal();
}

std::string ScriptedSys::descriptor_fault() const {
  if (const std::size_t left = open_descriptors_but_files(); left != 1) {
    return std::to_string(left - 1) + " descriptors are left open";
  }
  return closed_twice_ != 0 ? "a descriptor was closed twice" : "";
}

// ---- what the calls share

/// Count the call and return its errno; 0: it does not fail.
int ScriptedSys::enter(std::string_view name) {
  scheduler_.give_way();
  auto count = counts_.find(name);
  if (count == counts_.end()) count = counts_.emplace(name, 0).first;
  const std::uint64_t nth = ++count->second;
  const std::uint64_t overall = ++failable_calls_;
  if (call_names_ != nullptr) call_names_->emplace_back(name);
  if (const auto planned = failures_.find(name); planned != failures_.end()) {
    for (const Failure& f : planned->second) {
      if (f.first <= nth && nth <= f.last) return f.error;
    }
  }
  for (const Failure& f : failures_at_) {
    if (f.first == overall) return f.error;
  }
  return 0;
}

/// The lowest free number, as POSIX requires; -1: none.
int ScriptedSys::open(std::shared_ptr<File> file) {
  if (files_.size() >= descriptors_max_) return -1;
  int fd = kFirstFd;
  for (const auto& [taken, unused] : files_) {
    if (taken != fd) break;
    ++fd;
  }
  ++file->holders;
  files_.emplace(fd, std::move(file));
  return fd;
}

ScriptedSys::File* ScriptedSys::find(int fd, Kind kind) const {
  const auto found = files_.find(fd);
  return found == files_.end() || found->second->kind != kind ? nullptr : found->second.get();
}

std::size_t ScriptedSys::portion(std::size_t asked) {
  return short_io_ && asked > 1 ? 1 + static_cast<std::size_t>(scheduler_.draw(asked)) : asked;
}

bool ScriptedSys::interrupted() {
  return interrupted_one_in_ != 0 && scheduler_.draw(interrupted_one_in_) == 0;
}

core::Instant ScriptedSys::deadline_after(core::Duration timeout) const {
  const core::Instant now = scheduler_.now();
  return timeout >= core::kNever - now ? core::kNever : now + timeout;
}

short ScriptedSys::socket_state(const Link& link) const {
  int state = 0;
  const bool over = link.client_ended || link.server_deaf;
  if (!link.to_server.empty() || over) state |= POLLIN;
  if (over) state |= POLLRDHUP;
  if (link.room == SIZE_MAX || link.to_client.size() + link.step <= link.room ||
      link.reset_by_client || link.server_ended) {
    state |= POLLOUT;
  }
  if (link.reset_by_client || (over && link.server_ended)) state |= POLLHUP;
  if (link.pending_error != 0) state |= POLLERR;
  return static_cast<short>(state);
}

short ScriptedSys::state_of(int fd) const {
  const auto found = files_.find(fd);
  if (found == files_.end()) return POLLNVAL;
  const File& file = *found->second;
  switch (file.kind) {
    case Kind::listener:
      return file.backlog.empty() ? 0 : POLLIN;
    case Kind::socket:
      return socket_state(*file.link);
    case Kind::pipe_read:
      return static_cast<short>((file.pipe->bytes.empty() ? 0 : POLLIN) |
                                (file.pipe->writers == 0 ? POLLHUP : 0));
    case Kind::pipe_write:
      return static_cast<short>((file.pipe->bytes.size() < file.pipe->capacity ? POLLOUT : 0) |
                                (file.pipe->readers == 0 ? POLLERR : 0));
    case Kind::epoll:
      return any_ready(file) ? POLLIN : 0;
    case Kind::regular:
      return POLLIN | POLLOUT;
    case Kind::sink:
      return static_cast<short>(file.sink->stuck ? 0 : POLLOUT);
    case Kind::datagram:
      return POLLOUT;
    case Kind::channel:
      return static_cast<short>(file.channel->to_worker.empty() && !file.channel->ended ? 0
                                                                                        : POLLIN);
  }
  return 0;
}

bool ScriptedSys::any_ready(const File& epoll) const {
  return std::any_of(epoll.watched.begin(), epoll.watched.end(), [&](const File::Watch& watch) {
    return (static_cast<unsigned>(state_of(watch.fd)) & (watch.events | POLLERR | POLLHUP)) != 0;
  });
}

// ---- sockets

/// A lost connection stays lost, for both sides.
Errno ScriptedSys::lost(int fd, int error) {
  const File* file = find(fd, Kind::socket);
  const bool final = error == ECONNRESET || error == EPIPE || error == ETIMEDOUT;
  if (final && file != nullptr) {
    Link& link = *file->link;
    link.reset_by_client = link.client_ended = link.reset_by_server = true;
  }
  return Errno{error};
}

Result<std::size_t> ScriptedSys::recv(int fd, std::span<std::byte> into) {
  if (const int error = enter("recv")) return lost(fd, error);
  const File* file = find(fd, Kind::socket);
  if (file == nullptr) return Errno{EBADF};
  Link& link = *file->link;
  if (!link.to_server.empty()) {
    const std::size_t n = copy_out(link.to_server, into.first(portion(into.size())));
    link.to_server.erase(0, n);
    link.heard_at = scheduler_.now();
    return n;
  }
  if (link.pending_error != 0) return Errno{std::exchange(link.pending_error, 0)};
  if (link.client_ended || link.server_deaf) return std::size_t{0};
  return Errno{EAGAIN};
}

Result<std::size_t> ScriptedSys::send_now(int fd, std::string_view bytes) {
  const File* file = find(fd, Kind::socket);
  if (file == nullptr) return Errno{EBADF};
  Link& link = *file->link;
  if (link.pending_error != 0) return Errno{std::exchange(link.pending_error, 0)};
  if (link.server_ended || link.reset_by_client) return Errno{EPIPE};
  if (link.client_gone) {  // these bytes are lost, and cause a reset
    link.reset_by_client = true;
    link.pending_error = ECONNRESET;
    return bytes.size();
  }
  const std::size_t room =
      link.room == SIZE_MAX ? bytes.size() : link.room - std::min(link.room, link.to_client.size());
  if (room < link.step && !bytes.empty() && link.room != SIZE_MAX) return Errno{EAGAIN};
  const std::size_t n = portion(std::min(room, bytes.size()));
  (link.room == SIZE_MAX ? link.received : link.to_client) += bytes.substr(0, n);
  link.told_at = scheduler_.now();
  return n;
}

Result<std::size_t> ScriptedSys::send(int fd, std::span<const std::byte> bytes, bool) {
  if (const int error = enter("send")) return lost(fd, error);
  if (find(fd, Kind::datagram) != nullptr) {
    datagrams.emplace_back(text_of(bytes));
    return bytes.size();
  }
  return send_now(fd, text_of(bytes));
}

Result<std::size_t> ScriptedSys::send_gathered(int fd, std::span<const iovec> pieces, bool) {
  if (const int error = enter("send_gathered")) return lost(fd, error);
  std::string all;
  for (const iovec& piece : pieces)
    all.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  return send_now(fd, all);
}

Result<std::size_t> ScriptedSys::sendfile(int out, int in, std::uint64_t offset,
                                          std::size_t bytes) {
  if (const int error = enter("sendfile")) return Errno{error};
  const File* file = find(in, Kind::regular);
  if (file == nullptr) return Errno{EBADF};
  if (offset >= file->content.size()) return std::size_t{0};
  return send_now(out,
                  std::string_view(file->content).substr(static_cast<std::size_t>(offset), bytes));
}

Result<driver::Accepted> ScriptedSys::accept(int listener) {
  if (const int error = enter("accept")) return Errno{error};
  File* queue = find(listener, Kind::listener);
  if (queue == nullptr) return Errno{EBADF};
  if (queue->backlog.empty()) return Errno{EAGAIN};
  auto file = std::make_shared<File>(Kind::socket);
  file->link = queue->backlog.front();
  driver::Accepted accepted;
  accepted.peer = address_of(*file->link, file->link->port);
  accepted.fd = open(std::move(file));
  if (accepted.fd < 0) return Errno{EMFILE};
  queue->backlog.pop_front();
  return accepted;
}

Result<driver::SocketAddress> ScriptedSys::getsockname(int fd) {
  if (const int error = enter("getsockname")) return Errno{error};
  const auto found = files_.find(fd);
  if (found == files_.end()) return Errno{EBADF};
  const File& file = *found->second;
  Link listening;
  listening.unix_socket = file.unix_socket;
  return address_of(file.link ? *file.link : listening, kServerPort);
}

Result<driver::SocketAddress> ScriptedSys::getpeername(int fd) {
  if (const int error = enter("getpeername")) return Errno{error};
  const File* file = find(fd, Kind::socket);
  if (file == nullptr) return Errno{EBADF};
  return address_of(*file->link, file->link->port);
}

int ScriptedSys::open_channel() {
  auto file = std::make_shared<File>(Kind::channel);
  file->channel = std::make_shared<scripted::Channel>();
  return open(std::move(file));
}

Result<driver::Message> ScriptedSys::receive_message(int fd, std::span<std::byte> into) {
  if (const int error = enter("receive_message")) return Errno{error};
  const File* file = find(fd, Kind::channel);
  if (file == nullptr) return Errno{EBADF};
  scripted::Channel& channel = *file->channel;
  if (channel.to_worker.empty()) {
    if (channel.ended) return driver::Message{};
    return Errno{EAGAIN};
  }
  scripted::Channel::Message message = std::move(channel.to_worker.front());
  channel.to_worker.pop_front();
  driver::Message received{copy_out(message.text, into), -1};
  if (message.attached) {
    received.attached = open(message.attached);
    --message.attached->holders;  // the reference of the message
  }
  return received;
}

Result<void> ScriptedSys::send_message(int fd, std::span<const std::byte> bytes, int attached) {
  if (const int error = enter("send_message")) return Errno{error};
  const File* file = find(fd, Kind::channel);
  if (file == nullptr) return Errno{EBADF};
  scripted::Channel& channel = *file->channel;
  if (channel.ended) return Errno{EPIPE};
  if (channel.from_worker.size() >= channel.room) return Errno{EAGAIN};
  scripted::Channel::Message message{{reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                                     nullptr};
  if (attached >= 0) {
    const auto found = files_.find(attached);
    if (found == files_.end()) return Errno{EBADF};
    message.attached = found->second;
    ++message.attached->holders;
  }
  channel.from_worker.push_back(std::move(message));
  return {};
}

Result<void> ScriptedSys::shutdown(int fd, int how) {
  if (const int error = enter("shutdown")) return Errno{error};
  const File* file = find(fd, Kind::socket);
  if (file == nullptr) return Errno{EBADF};
  if (file->link->reset_by_client) return Errno{ENOTCONN};
  if (how != SHUT_RD && !std::exchange(file->link->server_ended, true)) {
    file->link->ended_at = scheduler_.now();
  }
  if (how != SHUT_WR) file->link->server_deaf = true;
  return {};
}

Result<void> ScriptedSys::set_linger_zero(int fd) {
  if (const int error = enter("set_linger_zero")) return Errno{error};
  File* file = find(fd, Kind::socket);
  if (file == nullptr) return Errno{EBADF};
  file->linger_zero = true;
  return {};
}

Result<void> ScriptedSys::drop_new_connections(int listener) {
  if (const int error = enter("drop_new_connections")) return Errno{error};
  if (find(listener, Kind::listener) == nullptr) return Errno{EBADF};
  return {};
}

Result<void> ScriptedSys::set_nodelay(int fd) {
  if (const int error = enter("set_nodelay")) return Errno{error};
  const File* file = find(fd, Kind::socket);
  if (file == nullptr) return Errno{EBADF};
  if (file->link->unix_socket) return Errno{EOPNOTSUPP};
  return {};
}

Result<void> ScriptedSys::set_unsent_max(int fd, std::size_t) {
  if (const int error = enter("set_unsent_max")) return Errno{error};
  return files_.count(fd) != 0 ? Result<void>{} : Errno{EBADF};
}

Result<std::size_t> ScriptedSys::unacked_bytes(int fd) {
  if (const int error = enter("unacked_bytes")) return Errno{error};
  const File* file = find(fd, Kind::socket);
  if (file == nullptr) return Errno{EBADF};
  return file->link->unacked + file->link->to_client.size();
}

Result<std::size_t> ScriptedSys::backlog(int listener) {
  if (const int error = enter("backlog")) return Errno{error};
  const File* file = find(listener, Kind::listener);
  if (file == nullptr) return Errno{EBADF};
  return file->backlog.size();
}

// ---- any descriptor

void ScriptedSys::close(int fd) {
  ++counts_["close"];
  scheduler_.give_way();
  const auto found = files_.find(fd);
  if (found == files_.end()) {
    ++closed_twice_;
    return;
  }
  const std::shared_ptr<File> file = found->second;
  files_.erase(found);
  for (auto& [number, other] : files_) {
    closed_while_watched_ +=
        std::erase_if(other->watched, [&](const File::Watch& w) { return w.fd == fd; });
  }
  if (--file->holders > 0) return;
  if (file->temporary) temporary_bytes_ -= file->content.size();
  if (file->kind == Kind::pipe_read) --file->pipe->readers;
  if (file->kind == Kind::pipe_write) --file->pipe->writers;
  for (const auto& waiting : file->backlog)
    waiting->reset_by_server = waiting->server_closed = true;
  if (file->kind != Kind::socket) return;
  Link& link = *file->link;
  link.server_closed = true;
  if (!link.server_ended) link.ended_at = scheduler_.now();
  // Closing with unread bytes resets the connection, and bytes that the client has not read are
  // lost (RFC 1122 §4.2.2.13).
  if (file->linger_zero || !link.to_server.empty()) {
    link.reset_by_server = true;
    link.to_client.clear();
  } else {
    link.server_ended = true;
  }
}

Result<std::size_t> ScriptedSys::read(int fd, std::span<std::byte> into) {
  if (const int error = enter("read")) return Errno{error};
  const File* file = find(fd, Kind::pipe_read);
  if (file == nullptr) return Errno{EBADF};
  Pipe& pipe = *file->pipe;
  if (pipe.bytes.empty() && pipe.writers > 0) return Errno{EAGAIN};
  const std::size_t n = copy_out(pipe.bytes, into.first(portion(into.size())));
  pipe.bytes.erase(0, n);
  return n;
}

Result<std::size_t> ScriptedSys::write_sink(Sink& sink, std::string_view bytes) {
  scheduler_.wait(
      "write", [&] { return !sink.stuck || sink.broken; }, core::kNever);
  if (sink.broken) return Errno{EPIPE};
  if (sink.pace > core::Duration::zero())
    scheduler_.wait(
        "write", [] { return false; }, scheduler_.now() + sink.pace);
  const std::size_t n = portion(bytes.size());
  sink.writes.emplace_back(bytes.substr(0, n));
  return n;
}

Result<std::size_t> ScriptedSys::write_pipe(Pipe& pipe, std::string_view bytes) {
  if (pipe.readers == 0) return Errno{EPIPE};
  const std::size_t room = pipe.capacity - pipe.bytes.size();
  if (room == 0) return Errno{EAGAIN};
  const std::size_t n = portion(std::min(room, bytes.size()));
  pipe.bytes += bytes.substr(0, n);
  return n;
}

Result<std::size_t> ScriptedSys::write(int fd, std::span<const std::byte> bytes) {
  if (const int error = enter("write")) return Errno{error};
  if (const File* file = find(fd, Kind::sink)) {
    const auto sink = file->sink;  // keeps it alive during the wait
    return write_sink(*sink, text_of(bytes));
  }
  if (const File* file = find(fd, Kind::pipe_write)) return write_pipe(*file->pipe, text_of(bytes));
  return Errno{EBADF};
}

Result<std::size_t> ScriptedSys::pread(int fd, std::span<std::byte> into, std::uint64_t offset) {
  if (const int error = enter("pread")) return Errno{error};
  const File* file = find(fd, Kind::regular);
  if (file == nullptr) return Errno{EBADF};
  if (offset >= file->content.size()) return std::size_t{0};
  return copy_out(std::string_view(file->content).substr(static_cast<std::size_t>(offset)),
                  into.first(portion(into.size())));
}

Result<std::size_t> ScriptedSys::pwrite(int fd, std::span<const std::byte> bytes,
                                        std::uint64_t offset) {
  if (const int error = enter("pwrite")) return Errno{error};
  File* file = find(fd, Kind::regular);
  if (file == nullptr) return Errno{EBADF};
  const std::size_t wanted = portion(bytes.size());
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, disk_room_));
  if (n == 0 && wanted > 0) return Errno{ENOSPC};
  const std::size_t end = static_cast<std::size_t>(offset) + n;
  if (end > file->content.size()) {
    if (file->temporary) {
      temporary_bytes_ += end - file->content.size();
      temporary_bytes_most_ = std::max(temporary_bytes_most_, temporary_bytes_);
    }
    file->content.resize(end);
    disk_room_ -= disk_room_ == UINT64_MAX ? 0 : n;
  }
  file->content.replace(static_cast<std::size_t>(offset), n, text_of(bytes).substr(0, n));
  return n;
}

Result<int> ScriptedSys::duplicate(int fd) {
  if (const int error = enter("duplicate")) return Errno{error};
  const auto found = files_.find(fd);
  if (found == files_.end()) return Errno{EBADF};
  const int copy = open(found->second);
  if (copy < 0) return Errno{EMFILE};
  return copy;
}

Result<driver::PipeEnds> ScriptedSys::pipe() {
  if (const int error = enter("pipe")) return Errno{error};
  if (files_.size() + 2 > descriptors_max_) return Errno{EMFILE};
  auto reader = std::make_shared<File>(Kind::pipe_read);
  auto writer = std::make_shared<File>(Kind::pipe_write);
  reader->pipe = writer->pipe = std::make_shared<Pipe>();
  reader->pipe->readers = reader->pipe->writers = 1;
  const int read_end = open(std::move(reader));
  return driver::PipeEnds{read_end, open(std::move(writer))};
}

Result<driver::FileInfo> ScriptedSys::file_info(int fd) {
  if (const int error = enter("file_info")) return Errno{error};
  const auto found = files_.find(fd);
  if (found == files_.end()) return Errno{EBADF};
  return driver::FileInfo{found->second->content.size(), found->second->kind == Kind::regular};
}

Result<int> ScriptedSys::open_datagram(const driver::SocketAddress&) {
  if (const int error = enter("open_datagram")) return Errno{error};
  const int fd = open(std::make_shared<File>(Kind::datagram));
  if (fd < 0) return Errno{EMFILE};
  return fd;
}

Result<int> ScriptedSys::open_temporary(const std::string&) {
  if (const int error = enter("open_temporary")) return Errno{error};
  auto file = std::make_shared<File>(Kind::regular);
  file->temporary = true;
  const int fd = open(std::move(file));
  if (fd < 0) return Errno{EMFILE};
  return fd;
}

Result<int> ScriptedSys::open_append(const std::string& path) {
  if (const int error = enter("open_append")) return Errno{error};
  auto file = std::make_shared<File>(Kind::sink);
  std::shared_ptr<Sink>& sink = paths_[path];
  if (!sink) sink = std::make_shared<Sink>();
  file->sink = sink;
  const int fd = open(std::move(file));
  if (fd < 0) return Errno{EMFILE};
  sink->fd = fd;
  return fd;
}

// ---- waiting

#if IOTAX_LINUX
Result<int> ScriptedSys::epoll_create() {
  if (const int error = enter("epoll_create")) return Errno{error};
  const int fd = open(std::make_shared<File>(Kind::epoll));
  if (fd < 0) return Errno{EMFILE};
  return fd;
}

Result<void> ScriptedSys::epoll_ctl(int epoll, int operation, int fd, epoll_event event) {
  const int error = enter("epoll_ctl");
  if (error != 0 && operation != EPOLL_CTL_DEL) return Errno{error};  // removing needs no resources
  File* file = find(epoll, Kind::epoll);
  if (file == nullptr || files_.count(fd) == 0) return Errno{EBADF};
  auto& watched = file->watched;
  const auto found = std::find_if(watched.begin(), watched.end(),
                                  [&](const File::Watch& w) { return w.fd == fd; });
  if (operation == EPOLL_CTL_ADD) {
    if (found != watched.end()) return Errno{EEXIST};
    watched.push_back({fd, event.events, event.data.u64});
    return {};
  }
  if (found == watched.end()) return Errno{ENOENT};
  if (operation == EPOLL_CTL_MOD) {
    *found = {fd, event.events, event.data.u64};
  } else {
    watched.erase(found);
  }
  return {};
}

Result<std::size_t> ScriptedSys::epoll_wait(int epoll, std::span<epoll_event> into,
                                            core::Duration timeout) {
  static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR &&
                EPOLLHUP == POLLHUP && static_cast<int>(EPOLLRDHUP) == POLLRDHUP);
  if (const int error = enter("epoll_wait")) return Errno{error};
  const auto found = files_.find(epoll);
  if (found == files_.end() || found->second->kind != Kind::epoll) return Errno{EBADF};
  const std::shared_ptr<File> file = found->second;     // keeps it alive during the wait
  const bool waits = timeout > core::Duration::zero();  // a mere look is never interrupted
  if (waits && interrupted()) return std::size_t{0};
  const Waited waited = scheduler_.wait_in_call(
      "epoll_wait", [&] { return any_ready(*file); }, deadline_after(timeout));
  if (waits && waited == Waited::interrupted) return std::size_t{0};
  std::size_t given = 0;
  for (std::size_t left = file->watched.size(), at = 0; left > 0 && given < into.size(); --left) {
    const File::Watch watch = file->watched[at];
    const unsigned events =
        static_cast<unsigned>(state_of(watch.fd)) & (watch.events | POLLERR | POLLHUP);
    if (events == 0) {
      ++at;
      continue;
    }
    into[given].events = events;
    into[given].data.u64 = watch.data;
    ++given;
    file->watched.erase(file->watched.begin() + static_cast<std::ptrdiff_t>(at));
    file->watched.push_back(watch);
  }
  return given;
}
#endif

Result<std::size_t> ScriptedSys::poll(std::span<pollfd> fds, core::Duration timeout) {
  if (const int error = enter("poll")) return Errno{error};
  const auto look = [&] {
    std::size_t ready = 0;
    for (pollfd& p : fds) {
      const int seen = p.fd < 0 ? 0 : state_of(p.fd) & (p.events | POLLERR | POLLHUP | POLLNVAL);
      p.revents = static_cast<short>(seen);
      if (seen != 0) ++ready;
    }
    return ready;
  };
  const bool waits = timeout > core::Duration::zero();  // a mere look is never interrupted
  if (waits && interrupted()) return std::size_t{0};
  const Waited waited = scheduler_.wait_in_call(
      "poll", [&] { return look() > 0; }, deadline_after(timeout));
  if (waits && waited == Waited::interrupted) return std::size_t{0};
  return look();
}

// ---- time and the rest

core::Instant ScriptedSys::now() {
  ++counts_["now"];
  if (clock_step_ > core::Duration::zero()) scheduler_.advance(clock_step_);
  return time_.at(scheduler_.now());
}

core::Instant ScriptedSys::noticed_now() {
  (void)now();  // counts, and advances the clock
  return time_.noticed(scheduler_.now());
}

core::Duration ScriptedSys::unix_time() {
  ++counts_["unix_time"];
  return scheduler_.now().time_since_epoch() + unix_offset_;
}

std::optional<std::string> ScriptedSys::environment(const char* name) {
  const auto found = environment_.find(std::string_view(name));
  if (found == environment_.end()) return std::nullopt;
  return found->second;
}

}  // namespace iotax::support
