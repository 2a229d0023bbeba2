// Exchange over a session: what the application's side of one request may do, done by the thread
// that runs it. It translates; waiting and the lead are the Worker's business.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "driver/application.h"
#include "driver/date.h"
#include "driver/session.h"

namespace iotax::driver {

template <class Worker>
class SessionExchange final : public Exchange {
 public:
  using Session = typename Worker::Session;

  SessionExchange(Worker& worker, unsigned thread) noexcept : worker_(worker), thread_(thread) {}

  void begin(Session& s) noexcept {
    s_ = &s;
    open_ = true;
  }
  /// Whether the application's side has ended the answer.
  [[nodiscard]] bool ended() const noexcept { return !open_; }

  [[nodiscard]] const core::Head& head() const noexcept override { return s_->machine.head(); }
  [[nodiscard]] const Peer& peer() const noexcept override { return s_->peer; }
  [[nodiscard]] std::string_view request_id() const noexcept override { return s_->id.view(); }

  [[nodiscard]] std::optional<std::uint64_t> body_bytes() const noexcept override {
    if (!s_->streaming) return s_->body ? s_->body->size() : 0;
    if (head().content == core::Content::length) return head().content_bytes;
    return std::nullopt;
  }

  [[nodiscard]] std::optional<std::span<const std::byte>> body_in_memory() const noexcept override {
    if (s_->streaming) return std::nullopt;
    if (!s_->body) return std::span<const std::byte>{};
    return s_->body->in_memory();
  }

  BodyRead read_body(std::span<std::byte> into) override {
    return worker_.read_body(thread_, *s_, into);
  }

  void inform(int status, const core::AnswerFields& fields) override {
    s_->machine.inform(head().id, status, fields);
    (void)deliver();
  }

  void respond(core::ResponseHead& head) override {
    if (head.date.empty()) head.date = worker_.intake().date(date_);
    if (head.server.empty()) head.server = worker_.config().server_header;
    s_->status = core::code_of(head.status);
    if (worker_.stopping()) s_->machine.close_soon();
    s_->machine.respond(this->head().id, head);
  }

  Sent body(std::span<const std::byte> block) override {
    if (gone()) return Sent::gone;
    const core::Outcome outcome = s_->machine.body(head().id, block);
    s_->answer_bytes += block.size();
    if (block.size() > core::kCopyBytesMax && deliver() == Sent::gone) return Sent::gone;
    return sent(outcome);
  }

  Sent body_file(UniqueFd file, std::uint64_t offset, std::uint64_t length) override {
    if (gone()) return Sent::gone;
    s_->file = std::move(file);
    s_->file_offset = offset;
    s_->answer_bytes += length;
    return sent(s_->machine.body_file(head().id, length));
  }

  Sent deliver() override { return worker_.deliver(thread_, *s_); }

  Sent finish() override {
    worker_.log_access(*s_);
    open_ = false;
    return sent(s_->machine.finish(head().id));
  }

  void fail(int status, std::string_view sentence) override {
    open_ = false;
    worker_.intake().answer(*s_, status, sentence, {}, false);
  }

  void abort() override {
    worker_.log_access(*s_);
    open_ = false;
    s_->machine.abort(head().id);
  }

  [[nodiscard]] bool gone() const noexcept override {
    return s_->gone.load(std::memory_order_relaxed);
  }

 private:
  static Sent sent(core::Outcome outcome) noexcept {
    switch (outcome) {
      case core::Outcome::ok:
        return Sent::ok;
      case core::Outcome::over_length:
        return Sent::over_length;
      case core::Outcome::short_length:
        return Sent::short_length;
      case core::Outcome::complete:
        return Sent::complete;
    }
    return Sent::ok;
  }

  Worker& worker_;
  unsigned thread_;
  Session* s_ = nullptr;
  bool open_ = false;
  DateCache date_;  // of the thread's own answers
};

}  // namespace iotax::driver
