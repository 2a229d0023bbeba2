#include "core/proxy_header.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/check.h"
#include "core/crc32c.h"
#include "core/ip_address.h"

namespace iotax::core {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kLine = "PROXY ";
constexpr std::string_view kSignature = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::string_view kLineEnd = "\r\n";

// Version 2: offsets after the signature, and the fixed part.
constexpr std::size_t kCommandAt = 12, kFamilyAt = 13, kLengthAt = 14;
constexpr std::size_t kFixedBytes = 16;
constexpr std::size_t kTlvHeadBytes = 3;
constexpr std::size_t kUnknownFamily = SIZE_MAX;

constexpr std::uint8_t kTlvChecksum = 0x03, kTlvSsl = 0x20;
constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kSslBytesMin = 5;  // flags and the result of the verification
constexpr std::uint8_t kSslClientUsedTls = 0x01;

constexpr std::size_t kShownMax = 8;

std::uint8_t octet(char c) noexcept { return static_cast<unsigned char>(c); }

/// A port without leading zeros.
std::optional<std::uint16_t> parse_port(std::string_view text) noexcept {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return text.size() > 1 && text.front() == '0' ? std::nullopt : std::optional(port);
}

/// The address of the family, if `text` is its canonical form.
std::optional<std::string> canonical(std::string_view text, ProxyTransport family) {
  const bool is_v6 = text.find(':') != std::string_view::npos;
  const auto address = parse_ip(text);
  if (!address || is_v6 != (family == ProxyTransport::tcp6)) return std::nullopt;
  std::string shown = ip_text(*address);
  const bool is_mapped = is_v6 && shown.find(':') == std::string::npos;
  const std::string expected = is_mapped ? "::ffff:" + shown : shown;
  return text == expected ? std::optional(std::move(shown)) : std::nullopt;
}

/// Bytes of the two addresses with their ports.
constexpr std::size_t address_bytes(std::uint8_t family) noexcept {
  switch (family) {
    case 0x00:
      return 0;
    case 0x11:
      return 2 * 4 + 2 * 2;
    case 0x21:
      return 2 * 16 + 2 * 2;
    case 0x31:
      return 2 * 108;
    default:
      return kUnknownFamily;
  }
}

std::string binary_address(std::string_view bytes) {
  IpAddress address{};
  if (bytes.size() == 4) address[10] = address[11] = 0xFF;
  std::transform(bytes.begin(), bytes.end(),
                 address.end() - static_cast<std::ptrdiff_t>(bytes.size()), octet);
  return ip_text(address);
}

}  // namespace

std::optional<ProxyTlv> take_tlv(std::string_view& tlvs) noexcept {
  if (tlvs.size() < kTlvHeadBytes) return std::nullopt;
  const std::size_t size = std::size_t{octet(tlvs[1])} << 8U | octet(tlvs[2]);
  if (tlvs.size() - kTlvHeadBytes < size) return std::nullopt;
  const ProxyTlv taken{octet(tlvs[0]), tlvs.substr(kTlvHeadBytes, size)};
  tlvs.remove_prefix(kTlvHeadBytes + size);
  return taken;
}

std::string_view reason(ProxyFault fault) noexcept {
  switch (fault) {
    case ProxyFault::none:
      break;
    case ProxyFault::nothing:
      return "the connection ended before the header";
    case ProxyFault::cut_off:
      return "the connection ended inside the header";
    case ProxyFault::late:
      return "the header was not complete in time (--receive-timeout)";
    case ProxyFault::absent:
      return "the connection begins with other bytes";
    case ProxyFault::line_limit:
      return "version 1: the line is longer than 107 bytes";
    case ProxyFault::line_form:
      return "version 1: the line is not PROXY TCP4|TCP6 SRC DST SPORT DPORT, with single spaces "
             "and CR LF";
    case ProxyFault::line_family:
      return "version 1: the protocol is neither TCP4, TCP6 nor UNKNOWN";
    case ProxyFault::line_address:
      return "version 1: an address is not of its protocol, or not in its canonical form";
    case ProxyFault::line_port:
      return "version 1: a port is not a number from 0 to 65535 without leading zeros";
    case ProxyFault::version:
      return "the version is neither 1 nor 2";
    case ProxyFault::command:
      return "version 2: the command is neither PROXY nor LOCAL";
    case ProxyFault::family:
      return "version 2: the family is neither TCP over IPv4 or IPv6, UNIX stream nor UNSPEC";
    case ProxyFault::header_limit:
      return "version 2: the header is longer than 16 KiB";
    case ProxyFault::address_size:
      return "version 2: the header is shorter than its addresses";
    case ProxyFault::tlv_size:
      return "version 2: the TLVs do not fill the header";
    case ProxyFault::checksum:
      return "version 2: the CRC32C checksum is wrong";
  }
  return {};
}

ProxyReader::Found ProxyReader::receive(std::string_view bytes, std::size_t& used) {
  used = 0;
  Found found = Found::nothing_yet;
  while (used < bytes.size() && found == Found::nothing_yet) {
    const std::size_t wanted = wanted_of(bytes.substr(used));
    IOTAX_CHECK(wanted != 0);
    seen_.append(bytes.substr(used, wanted));
    used += wanted;
    found = judge();
  }
  if (found == Found::fault && seen_.size() < kShownMax)
    seen_.append(bytes.substr(used, kShownMax - seen_.size()));
  return found;
}

ProxyReader::Found ProxyReader::receive_eof() noexcept {
  return fail(seen_.empty() ? ProxyFault::nothing : ProxyFault::cut_off);
}

ProxyReader::Found ProxyReader::on_time(Instant now) noexcept {
  return now >= deadline_ ? fail(ProxyFault::late) : Found::nothing_yet;
}

std::string_view ProxyReader::beginning() const noexcept {
  return std::string_view(seen_).substr(0, kShownMax);
}

/// How many of the next bytes may belong to the header, at least one.
std::size_t ProxyReader::wanted_of(std::string_view bytes) const noexcept {
  if ((seen_.empty() ? bytes.front() : seen_.front()) == kLine.front()) {
    const std::size_t end = bytes.find('\n');
    return std::min(end == std::string_view::npos ? bytes.size() : end + 1,
                    kProxyLineBytesMax - seen_.size());
  }
  const std::size_t known =
      seen_.size() < kFixedBytes ? kFixedBytes : kFixedBytes + number_at(kLengthAt);
  return std::min(bytes.size(), known - seen_.size());
}

ProxyReader::Found ProxyReader::judge() {
  const bool is_line = seen_.front() == kLine.front();
  const std::string_view begin = is_line ? kLine : kSignature;
  const std::size_t both = std::min(begin.size(), seen_.size());
  if (std::string_view(seen_).substr(0, both) != begin.substr(0, both))
    return fail(ProxyFault::absent);
  if (seen_.size() <= begin.size()) return Found::nothing_yet;
  return is_line ? judge_line() : judge_binary();
}

ProxyReader::Found ProxyReader::judge_line() {
  std::string_view line = seen_;
  if (!line.ends_with('\n')) {
    return line.size() == kProxyLineBytesMax ? fail(ProxyFault::line_limit) : Found::nothing_yet;
  }
  line.remove_prefix(kLine.size());
  if (!line.ends_with(kLineEnd) || line.find('\r') + kLineEnd.size() != line.size())
    return fail(ProxyFault::line_form);
  line.remove_suffix(kLineEnd.size());
  std::array<std::string_view, 5> parts;
  std::size_t count = 0;
  for (bool more = true; more; ++count) {
    const std::size_t space = std::min(line.find(' '), line.size());
    if (count == 0 && line.substr(0, space) == "UNKNOWN") return Found::header;
    if (count == parts.size()) return fail(ProxyFault::line_form);
    parts[count] = line.substr(0, space);
    more = space < line.size();
    line.remove_prefix(more ? space + 1 : space);
  }
  if (count != parts.size() ||
      std::any_of(parts.begin(), parts.end(), [](std::string_view part) { return part.empty(); }))
    return fail(ProxyFault::line_form);
  if (parts[0] != "TCP4" && parts[0] != "TCP6") return fail(ProxyFault::line_family);
  header_.transport = parts[0] == "TCP4" ? ProxyTransport::tcp4 : ProxyTransport::tcp6;
  auto source = canonical(parts[1], header_.transport);
  auto destination = canonical(parts[2], header_.transport);
  if (!source || !destination) return fail(ProxyFault::line_address);
  const auto source_port = parse_port(parts[3]);
  const auto destination_port = parse_port(parts[4]);
  if (!source_port || !destination_port) return fail(ProxyFault::line_port);
  header_.source = *std::move(source);
  header_.destination = *std::move(destination);
  header_.source_port = *source_port;
  header_.destination_port = *destination_port;
  return Found::header;
}

/// A number of two bytes in network order.
std::size_t ProxyReader::number_at(std::size_t at) const noexcept {
  return std::size_t{octet(seen_[at])} << 8U | octet(seen_[at + 1]);
}

ProxyReader::Found ProxyReader::judge_binary() {
  constexpr std::uint8_t kVersion2 = 0x20, kCommandLocal = 0x20, kCommandProxy = 0x21;
  const std::uint8_t command = octet(seen_[kCommandAt]);
  if ((command & 0xF0U) != kVersion2) return fail(ProxyFault::version);
  if (command != kCommandLocal && command != kCommandProxy) return fail(ProxyFault::command);
  if (seen_.size() <= kFamilyAt) return Found::nothing_yet;
  const std::uint8_t family = octet(seen_[kFamilyAt]);
  const std::size_t addresses = address_bytes(family);
  if (addresses == kUnknownFamily) return fail(ProxyFault::family);
  if (seen_.size() < kFixedBytes) return Found::nothing_yet;
  const std::size_t length = number_at(kLengthAt);
  if (kFixedBytes + length > kProxyHeaderBytesMax) return fail(ProxyFault::header_limit);
  if (length < addresses) return fail(ProxyFault::address_size);
  if (seen_.size() < kFixedBytes + length) return Found::nothing_yet;

  header_.version = 2;
  const std::string_view all = seen_;
  const auto set_addresses = [&](std::size_t bytes) {
    header_.source = binary_address(all.substr(kFixedBytes, bytes));
    header_.destination = binary_address(all.substr(kFixedBytes + bytes, bytes));
    header_.source_port = static_cast<std::uint16_t>(number_at(kFixedBytes + 2 * bytes));
    header_.destination_port = static_cast<std::uint16_t>(number_at(kFixedBytes + 2 * bytes + 2));
  };
  if (command == kCommandProxy) {
    if (family == 0x11) {
      header_.transport = ProxyTransport::tcp4;
      set_addresses(4);
    } else if (family == 0x21) {
      header_.transport = ProxyTransport::tcp6;
      set_addresses(16);
    } else if (family == 0x31) {
      header_.transport = ProxyTransport::unix_stream;
    }
  }
  return judge_tlvs(kFixedBytes + addresses);
}

ProxyReader::Found ProxyReader::judge_tlvs(std::size_t begin) {
  std::string_view rest = std::string_view(seen_).substr(begin);
  header_.tlvs = rest;
  std::optional<bool> used_tls;
  bool has_checksum = false;
  while (!rest.empty()) {
    const auto tlv = take_tlv(rest);
    if (!tlv) return fail(ProxyFault::tlv_size);
    if (tlv->type == kTlvSsl) {
      if (tlv->value.size() < kSslBytesMin) return fail(ProxyFault::tlv_size);
      if (!used_tls) used_tls = (octet(tlv->value[0]) & kSslClientUsedTls) != 0;
    } else if (tlv->type == kTlvChecksum) {
      // A second one would be part of what the first one covers: no sender can mean that.
      if (tlv->value.size() != kChecksumBytes || has_checksum) return fail(ProxyFault::checksum);
      has_checksum = true;
      if (!checksum_holds(static_cast<std::size_t>(tlv->value.data() - seen_.data())))
        return fail(ProxyFault::checksum);
    }
  }
  header_.client_used_tls = used_tls.value_or(false) && header_.transport != ProxyTransport::local;
  return Found::header;
}

/// Whether the checksum at `value_at` is that of the header with zeros in its place.
bool ProxyReader::checksum_holds(std::size_t value_at) const noexcept {
  const std::string_view all = seen_;
  std::uint32_t sum = crc32c(all.substr(0, value_at));
  sum = crc32c(std::string_view("\0\0\0\0", kChecksumBytes), sum);
  sum = crc32c(all.substr(value_at + kChecksumBytes), sum);
  return sum == (number_at(value_at) << 16U | number_at(value_at + 2));
}

}  // namespace iotax::core
