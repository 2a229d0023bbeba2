#include "bridge/wsgi/forwarded.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "bridge/capi/interned.h"
#include "bridge/capi/ref.h"
#include "bridge/capi/text.h"
#include "core/forwarded_field.h"
#include "core/text.h"

namespace iotax::bridge {
namespace {

constexpr std::size_t kHostBytesMax = 255 + 6;
constexpr std::size_t kPrefixBytesMax = 1024;
constexpr unsigned kMappedBits = 96;  // length of the prefix of an IPv4-mapped address

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Iterates over the members of a comma-separated field from right to left.
class FromTheRight {
 public:
  explicit FromTheRight(std::string_view list) noexcept : rest_(list), more_(!list.empty()) {}
  std::optional<std::string_view> next() noexcept {
    if (!more_) return std::nullopt;
    const std::size_t comma = rest_.rfind(',');
    more_ = comma != std::string_view::npos;
    const std::string_view member = more_ ? rest_.substr(comma + 1) : rest_;
    if (more_) rest_ = rest_.substr(0, comma);
    return trimmed(member);
  }

 private:
  std::string_view rest_;
  bool more_;
};

/// Member number `hop` from the right, or the leftmost if there are fewer.
std::string_view member_at(std::string_view list, unsigned hop) noexcept {
  FromTheRight members{list};
  std::string_view chosen;
  for (unsigned i = 0; i <= hop; ++i) {
    const auto member = members.next();
    if (!member) break;
    chosen = *member;
  }
  return chosen;
}

/// Five digits at most, as in Host.
bool is_port(std::string_view text, unsigned least) noexcept {
  constexpr std::size_t kDigitsMax = 5;
  if (text.size() > kDigitsMax) return false;
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port >= least && port <= 65535;
}

/// Extract the address from "[v6]", "[v6]:port" and "v4:port", which some proxies write.
std::string_view without_port(std::string_view text) noexcept {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return {};
    const std::string_view after = text.substr(end + 1);
    if (!after.empty() && !(after.front() == ':' && is_port(after.substr(1), 0))) return {};
    const std::string_view address = text.substr(1, end - 1);
    return core::is_ipv6(address) ? address : std::string_view{};
  }
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos && colon == text.rfind(':') &&
      is_port(text.substr(colon + 1), 0))
    return text.substr(0, colon);
  return text;
}

bool is_one_of(char c, std::string_view set) noexcept {
  return set.find(c) != std::string_view::npos;
}

bool is_alnum(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/// host[:port] of RFC 3986 §3.2.2, without percent-encoding, which proxies do not need.
bool is_host(std::string_view text) noexcept {
  if (text.empty() || text.size() > kHostBytesMax) return false;
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || !core::is_ipv6(text.substr(1, end - 1))) return false;
    host = text.substr(0, end + 1);
    port = text.substr(end + 1);
  } else {
    host = text.substr(0, text.find(':'));
    port = text.substr(host.size());
    if (host.empty() || !std::all_of(host.begin(), host.end(),
                                     [](char c) { return is_alnum(c) || is_one_of(c, "-._~"); }))
      return false;
  }
  return port.empty() || (port.front() == ':' && is_port(port.substr(1), 1));
}

bool is_hex(char c) noexcept { return is_one_of(c, "0123456789abcdefABCDEF"); }

/// Characters that the decoded prefix must not bring into SCRIPT_NAME. Frameworks build URLs from
/// it: "//host" would be another authority, and browsers treat "\" as "/".
bool is_forbidden(char c) noexcept {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '\\';
}

/// The value for SCRIPT_NAME. Checked after decoding, as the application sees it.
std::optional<std::string> prefix_of(std::string_view text) {
  if (text.size() > kPrefixBytesMax) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!is_alnum(text[i]) && !is_one_of(text[i], "/-._~!$&'()*+,;=:@%")) return std::nullopt;
    if (text[i] == '%' && (text.size() - i < 3 || !is_hex(text[i + 1]) || !is_hex(text[i + 2])))
      return std::nullopt;
  }
  std::string prefix = percent_decoded(text);
  if (!prefix.starts_with('/') || prefix.find("//") != std::string::npos ||
      std::any_of(prefix.begin(), prefix.end(), is_forbidden))
    return std::nullopt;
  if (prefix.ends_with('/')) prefix.pop_back();
  return prefix;
}

std::string_view scheme_of(std::string_view text) noexcept {
  const auto equals = [text](std::string_view scheme) {
    return text.size() == scheme.size() &&
           std::equal(text.begin(), text.end(), scheme.begin(),
                      [](char a, char b) { return (a | 0x20) == b; });
  };
  if (equals("https")) return "https";
  return equals("http") ? "http" : "";
}

/// The address of a node (RFC 7239 §6); another text if it is unknown or obfuscated.
std::string_view address_of(std::string_view node) noexcept {
  const std::size_t port = node.rfind(":_");
  if (port != std::string_view::npos) node = node.substr(0, port);       // obfuscated
  return core::is_ipv6(node) ? std::string_view{} : without_port(node);  // it needs brackets
}

using Elements = std::vector<core::ForwardedElement>;

/// The addresses of X-Forwarded-For from right to left.
class ChainOfList {
 public:
  explicit ChainOfList(std::string_view list) noexcept : members_(list) {}
  std::optional<std::string_view> next() noexcept {
    const auto member = members_.next();
    return member ? std::optional(without_port(*member)) : std::nullopt;
  }

 private:
  FromTheRight members_;
};

/// Those of Forwarded.
class ChainOfElements {
 public:
  explicit ChainOfElements(const Elements& elements) noexcept
      : at_(elements.rbegin()), end_(elements.rend()) {}
  std::optional<std::string_view> next() noexcept {
    if (at_ == end_) return std::nullopt;
    return address_of((at_++)->for_);
  }

 private:
  Elements::const_reverse_iterator at_, end_;
};

/// The client's address, and the number of trusted hops to the right of it.
template <class Chain>
std::string_view client_of(Chain chain, const TrustedPeers& trusted, unsigned& hop) noexcept {
  std::string_view client;
  hop = 0;
  for (unsigned i = 0;; ++i) {
    const auto member = chain.next();
    if (!member) break;
    const std::string_view address = *member;
    if (!core::parse_ip(address))
      break;  // "unknown" and the like: addresses to the left cannot be trusted
    client = address;
    hop = i;
    if (!trusted.contains_hop(address)) break;
  }
  return client;
}

std::string_view value_of(PyObject* environ, const char* key) noexcept {
  PyObject* const value =
      PyDict_GetItemString(environ, key);  // cannot fail: environ was just created
  std::string_view text;
  return value != nullptr && latin1_view(value, text) ? text : std::string_view{};
}

bool set(PyObject* environ, PyObject* key, std::string_view value) {
  const Ref text = Ref::steal(latin1(value));
  return text && PyDict_SetItem(environ, key, text.get()) == 0;
}

}  // namespace

bool TrustedPeers::add(std::string_view entry) {
  if (entry == "*") return everybody_ = true;
  if (entry == "unix") return unix_ = true;
  const std::size_t slash = entry.find('/');
  const std::string_view text = entry.substr(0, slash);
  const auto base = core::parse_ip(text);
  if (!base) return false;
  const unsigned shift = text.find(':') == std::string_view::npos ? kMappedBits : 0;
  Network network{*base, 128};
  if (slash != std::string_view::npos) {
    const std::string_view bits = entry.substr(slash + 1);
    const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), network.bits);
    if (error != std::errc{} || end != bits.data() + bits.size() || network.bits + shift > 128)
      return false;
    network.bits += shift;
  }
  networks_.push_back(network);
  return true;
}

bool TrustedPeers::contains_hop(std::string_view text) const noexcept {
  if (networks_.empty()) return false;
  const auto address = core::parse_ip(text);
  if (!address) return false;
  return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
    const std::size_t whole = network.bits / 8;
    if (std::memcmp(network.base.data(), address->data(), whole) != 0) return false;
    const unsigned rest = network.bits % 8;
    return rest == 0 || (network.base[whole] ^ (*address)[whole]) >> (8 - rest) == 0;
  });
}

bool TrustedPeers::contains(const driver::Peer& peer) const noexcept {
  if (everybody_) return true;
  return peer.unix_socket ? unix_ : contains_hop(peer.remote_addr);
}

bool BelievedFields::add(std::string_view name) noexcept {
  if (name == "for") return for_ = true;
  if (name == "proto") return proto = true;
  if (name == "host") return host = true;
  if (name == "port") return port = true;
  if (name == "prefix") return prefix = true;
  if (name == "forwarded") return forwarded = true;
  return false;
}

Forwarding resolve(ForwardedFields fields, const TrustedPeers& trusted,
                   const BelievedFields& believed) {
  if (!believed.port) fields.port = {};
  if (!believed.prefix) fields.prefix = {};
  Forwarding found;
  unsigned hop = 0;
  std::string_view proto;
  std::string_view host;
  if (believed.forwarded) {
    Elements elements;
    if (!core::parse_forwarded(fields.forwarded, elements)) elements.clear();  // client_origin()
    if (believed.for_) found.address = client_of(ChainOfElements(elements), trusted, hop);
    if (!elements.empty()) {
      proto = elements[elements.size() - 1 - hop].proto;
      host = elements[elements.size() - 1 - hop].host;
    }
  } else {
    if (believed.for_) found.address = client_of(ChainOfList(fields.for_), trusted, hop);
    proto = member_at(fields.proto, hop);
    host = member_at(fields.host, hop);
  }
  if (believed.proto) found.scheme = scheme_of(proto);
  if (believed.host && is_host(host)) found.host = host;
  if (const auto port = member_at(fields.port, hop); is_port(port, 1)) found.port = port;
  if (const auto prefix = member_at(fields.prefix, hop); !prefix.empty()) {
    found.prefix = prefix_of(prefix);
    if (!found.prefix) found.bad_prefix = prefix;
  }
  return found;
}

driver::ClientOrigin client_origin(std::span<const core::Field> fields, const TrustedPeers& trusted,
                                   const BelievedFields& believed) {
  unsigned hop = 0;
  if (believed.forwarded) {
    Elements elements;
    for (const core::Field& field : fields) {
      // Line by line: a quote that one line opens must not end in the next.
      if (core::is_forwarded(field.name) && !core::parse_forwarded(field.value, elements))
        return {{}, "Forwarded: not a list of name=value pairs as in RFC 7239"};
    }
    if (!believed.for_) return {};
    return {std::string(client_of(ChainOfElements(elements), trusted, hop)), {}};
  }
  if (!believed.for_) return {};
  std::string chain;
  for (const core::Field& field : fields) {
    if (!core::same_token(field.name, "x-forwarded-for")) continue;
    if (!chain.empty()) chain += ", ";
    chain += field.value;
  }
  return {std::string(client_of(ChainOfList(chain), trusted, hop)), {}};
}

ForwardedFields forwarded_fields(const Gil& /*gil*/, PyObject* environ) {
  return {.for_ = value_of(environ, "HTTP_X_FORWARDED_FOR"),
          .proto = value_of(environ, "HTTP_X_FORWARDED_PROTO"),
          .host = value_of(environ, "HTTP_X_FORWARDED_HOST"),
          .port = value_of(environ, "HTTP_X_FORWARDED_PORT"),
          .prefix = value_of(environ, "HTTP_X_FORWARDED_PREFIX"),
          .forwarded = value_of(environ, "HTTP_FORWARDED")};
}

bool apply_forwarding(const Gil& /*gil*/, PyObject* environ, const Forwarding& forwarding) {
  const InternedStrings& name = interned();
  if (!forwarding.scheme.empty()) {
    PyObject* const scheme = forwarding.scheme == "https" ? name.https : name.http;
    if (PyDict_SetItem(environ, name.wsgi_url_scheme, scheme) != 0) return false;
  }
  if (!forwarding.address.empty()) {
    if (!set(environ, name.remote_addr, forwarding.address)) return false;
    // The known port is the proxy's (S-ENV-22: a variable without a value is omitted).
    if (PyDict_Contains(environ, name.remote_port) == 1 &&
        PyDict_DelItem(environ, name.remote_port) != 0)
      return false;
  }
  if (!forwarding.host.empty() && !set(environ, name.http_host, forwarding.host)) return false;
  if (!forwarding.port.empty() && !set(environ, name.server_port, forwarding.port)) return false;
  return !forwarding.prefix || set(environ, name.script_name, *forwarding.prefix);
}

}  // namespace iotax::bridge
