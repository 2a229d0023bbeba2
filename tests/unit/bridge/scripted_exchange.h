// An Exchange under a script: hands out a request that a test describes, counts the answer as the
// machine would, and records every call. It leaves and enters the interpreter where the driver may.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "driver/application.h"

namespace iotax::bridge::testing {

namespace py = pybind11;

/// A request as a dict; absent keys have the defaults of a GET of "/" from 127.0.0.1:
/// method, target, path, query, authority, id: bytes. headers: list of (bytes, bytes). version:
/// "1.0" or "1.1". body: bytes in memory. pieces: list of bytes, of callables that give bytes, and
/// of BodyError names (str), read as they come. chunked: bool. size_known: bool (of pieces). unix:
/// bool. peer: (remote_addr, remote_port, local_addr, local_port). gone: callable without
/// arguments, or absent. gone_after: number of bytes of the response after which the client has
/// disconnected.
class ScriptedExchange final : public driver::Exchange {
 public:
  /// Records into `events`, or nothing if it is None.
  ScriptedExchange(const py::dict& request, py::object events, driver::Application& application,
                   unsigned thread);

  [[nodiscard]] const core::Head& head() const noexcept override { return head_; }
  [[nodiscard]] const driver::Peer& peer() const noexcept override { return peer_; }
  [[nodiscard]] std::string_view request_id() const noexcept override { return id_; }
  [[nodiscard]] std::optional<std::uint64_t> body_bytes() const noexcept override;
  [[nodiscard]] std::optional<std::span<const std::byte>> body_in_memory() const noexcept override;
  [[nodiscard]] bool body_is_stored() const noexcept override { return !streamed_; }
  driver::BodyRead read_body(std::span<std::byte> into) override;
  void seek_body(std::uint64_t offset) override { stored_at_ = offset; }
  void inform(int status, const core::ResponseFields& fields) override;
  void respond(core::ResponseHead& head) override;
  driver::Sent body(std::span<const std::byte> block) override;
  driver::Sent body_file(driver::UniqueFd file, std::uint64_t offset,
                         std::uint64_t length) override;
  driver::Sent deliver() override;
  driver::Sent finish() override;
  void fail(int status, std::string_view sentence) override;
  void abort() override;
  void collect(std::size_t index, std::string_view value) override;
  void failed_with(std::string_view exception) override;
  [[nodiscard]] bool gone() const noexcept override;

  /// How often finish(), fail() or abort() was called: 1 after a request.
  [[nodiscard]] int ends() const noexcept { return ends_; }

 private:
  /// What `event()` makes, for who wants to know.
  template <class Event>
  void record(Event event) {
    if (!events_.is_none()) events_.cast<py::list>().append(event());
  }
  void step_out_and_in();
  [[nodiscard]] driver::Sent count(std::uint64_t bytes);

  driver::Application& application_;
  unsigned thread_;
  py::object events_;
  py::object gone_call_;
  std::vector<std::string> texts_;
  std::vector<core::Field> fields_;
  core::Head head_;
  driver::Peer peer_;
  std::string id_;
  std::string body_;
  std::deque<py::object> pieces_;
  std::string piece_;
  bool stored_ = false;  // body_ is not in memory
  std::uint64_t stored_at_ = 0;
  bool streamed_ = false;
  bool size_known_ = true;
  std::optional<std::uint64_t> gone_after_;
  std::optional<std::uint64_t> declared_;
  std::uint64_t sent_ = 0;
  int ends_ = 0;
};

}  // namespace iotax::bridge::testing
