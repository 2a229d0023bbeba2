// Every rule about order, as two half-machines: what the peer sends, and what we say. They meet
// only in settle(). No other file keeps a flag that changes what may come next.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iotax::core {

enum class Peer : std::uint8_t {
  idle,     // between requests: nothing of the next one has arrived
  head,     // inside a head
  body,     // inside the content (also when its length is 0)
  done,     // the request is complete
  closed,   // complete, and the peer has ended its side
  refused,  // broke a rule or a deadline, or ended inside a message: nothing more is looked at
};
enum class Saw : std::uint8_t { begin, head, data, end, next, eof, fault };

enum class Us : std::uint8_t {
  idle,      // nothing to answer
  owed,      // a request waits for its answer
  held,      // the answer's head is known but not its framing: nothing of it is out
  open,      // the head is out
  answered,  // the answer is complete
  last,      // nothing more will be said
  broken,    // a close-delimited answer broke off: only a reset can show that
};
enum class Did : std::uint8_t {
  take,
  inform,
  hold,
  head,
  data,
  finish,
  answer,
  refuse,
  abort,
  reset,
  next,
  close
};

struct PeerRow {
  Peer from;
  Saw saw;
  Peer to;
};
struct UsRow {
  Us from;
  Did did;
  Us to;
};

inline constexpr std::array kPeerRows{
    PeerRow{Peer::idle, Saw::begin, Peer::head},
    PeerRow{Peer::idle, Saw::eof, Peer::closed},
    PeerRow{Peer::idle, Saw::fault, Peer::refused},
    PeerRow{Peer::head, Saw::head, Peer::body},  // RFC 9112 §2.1
    PeerRow{Peer::head, Saw::fault, Peer::refused},
    PeerRow{Peer::body, Saw::data, Peer::body},  // RFC 9112 §6
    PeerRow{Peer::body, Saw::end, Peer::done},
    PeerRow{Peer::body, Saw::fault, Peer::refused},
    PeerRow{Peer::done, Saw::next, Peer::idle},   // RFC 9112 §9.3.2
    PeerRow{Peer::done, Saw::eof, Peer::closed},  // RFC 9112 §9.6, a half-close: still answered
};

inline constexpr std::array kUsRows{
    UsRow{Us::idle, Did::take, Us::owed},
    UsRow{Us::idle, Did::refuse, Us::last},
    UsRow{Us::idle, Did::close, Us::last},
    UsRow{Us::owed, Did::inform, Us::owed},  // RFC 9110 §15.2
    UsRow{Us::owed, Did::hold, Us::held},
    UsRow{Us::owed, Did::head, Us::open},
    UsRow{Us::owed, Did::answer, Us::answered},
    UsRow{Us::owed, Did::refuse, Us::last},
    UsRow{Us::owed, Did::abort, Us::last},
    UsRow{Us::held, Did::head, Us::open},
    UsRow{Us::held, Did::refuse, Us::last},
    UsRow{Us::held, Did::abort, Us::last},
    UsRow{Us::open, Did::data, Us::open},
    UsRow{Us::open, Did::finish, Us::answered},
    UsRow{Us::open, Did::abort, Us::last},  // the missing end shows: RFC 9112 §8
    UsRow{Us::open, Did::reset, Us::broken},
    UsRow{Us::answered, Did::next, Us::idle},
    UsRow{Us::answered, Did::close, Us::last},
};

inline constexpr std::size_t kPeers = 6, kSaws = 7, kUses = 7, kDids = 12;

namespace detail {

inline constexpr std::uint8_t kNoRow = 0xFF;

template <std::size_t From, std::size_t Input, class Rows, class Column>
constexpr auto tabulate(const Rows& rows, Column column) noexcept {
  std::array<std::array<std::uint8_t, Input>, From> table{};
  for (auto& line : table) line.fill(kNoRow);
  for (const auto& row : rows)
    table[static_cast<std::size_t>(row.from)][static_cast<std::size_t>(column(row))] =
        static_cast<std::uint8_t>(row.to);
  return table;
}

inline constexpr auto kPeerTable =
    tabulate<kPeers, kSaws>(kPeerRows, [](const PeerRow& row) { return row.saw; });
inline constexpr auto kUsTable =
    tabulate<kUses, kDids>(kUsRows, [](const UsRow& row) { return row.did; });

}  // namespace detail

constexpr bool allowed(Peer from, Saw saw) noexcept {
  return detail::kPeerTable[static_cast<std::size_t>(from)][static_cast<std::size_t>(saw)] !=
         detail::kNoRow;
}
constexpr bool allowed(Us from, Did did) noexcept {
  return detail::kUsTable[static_cast<std::size_t>(from)][static_cast<std::size_t>(did)] !=
         detail::kNoRow;
}

/// Names the pair and ends the process: an order that is no row is our own fault.
[[noreturn]] void refuse_order(Peer from, Saw saw) noexcept;
[[noreturn]] void refuse_order(Us from, Did did) noexcept;

inline Peer next(Peer from, Saw saw) noexcept {
  const std::uint8_t to =
      detail::kPeerTable[static_cast<std::size_t>(from)][static_cast<std::size_t>(saw)];
  if (to == detail::kNoRow) [[unlikely]]
    refuse_order(from, saw);
  return static_cast<Peer>(to);
}
inline Us next(Us from, Did did) noexcept {
  const std::uint8_t to =
      detail::kUsTable[static_cast<std::size_t>(from)][static_cast<std::size_t>(did)];
  if (to == detail::kNoRow) [[unlikely]]
    refuse_order(from, did);
  return static_cast<Us>(to);
}

/// What follows from both halves together.
enum class Settled : std::uint8_t {
  wait,   // for the peer or for the application
  drain,  // the answer is complete but the content is not: read it away, within a bound (rule 36)
  next,   // both are done and the connection persists: the next request
  close,  // say nothing more
};

/// `persists`: neither side has asked for close, and no bound on the connection is reached.
constexpr Settled settle(Peer peer, Us us, bool persists) noexcept {
  if (us == Us::last || us == Us::broken) return Settled::wait;
  if (us == Us::answered) {
    if (!persists || peer == Peer::closed || peer == Peer::refused) return Settled::close;
    if (peer == Peer::done) return Settled::next;
    return Settled::drain;
  }
  if (us == Us::idle && (peer == Peer::closed || (peer == Peer::idle && !persists)))
    return Settled::close;
  return Settled::wait;
}

static_assert(!allowed(Peer::body, Saw::eof), "a cut-off body is a fault, never an end");
static_assert(!allowed(Peer::refused, Saw::data), "nothing is looked at after a refusal");

[[nodiscard]] std::string_view name_of(Peer peer) noexcept;
[[nodiscard]] std::string_view name_of(Saw saw) noexcept;
[[nodiscard]] std::string_view name_of(Us us) noexcept;
[[nodiscard]] std::string_view name_of(Did did) noexcept;

}  // namespace iotax::core
