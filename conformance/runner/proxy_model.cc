// Addresses are read and written by the system's functions; every header is judged whole.
#include "runner/proxy_model.h"

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <regex>

namespace iotax::conformance {
namespace {

unsigned number(std::string_view bytes) {
  unsigned value = 0;
  for (const char c : bytes) value = value * 256 + static_cast<unsigned char>(c);
  return value;
}

std::string written(int family, const void* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(family, address, text.data(), text.size());
  const auto* const octets = static_cast<const unsigned char*>(address);
  if (family == AF_INET6 && std::string_view(text.data()).find('.') != std::string_view::npos &&
      octets[10] == 0) {
    // The C library writes the obsolete ::/96 as ::1.2.3.4, RFC 5952 does not.
    const unsigned high = octets[12] * 256U + octets[13], low = octets[14] * 256U + octets[15];
    std::snprintf(text.data(), text.size(), "::%x:%x", high, low);
  }
  return text.data();
}

std::string without_mapping(std::string text) {
  return text.find('.') != std::string::npos && text.starts_with("::ffff:") ? text.substr(7) : text;
}

/// Empty: not the canonical form of an address of the family.
std::string address_of(int family, const std::string& text) {
  std::array<unsigned char, 16> address{};
  if (inet_pton(family, text.c_str(), address.data()) != 1) return {};
  return written(family, address.data()) == text ? without_mapping(text) : std::string{};
}

ProxyVerdict judge_line(std::string_view bytes, MeantProxyHeader& header) {
  const std::string_view part = bytes.substr(0, 107);
  const auto end = part.find('\n');
  if (end == std::string_view::npos)
    return part.size() == 107 ? ProxyVerdict::fault : ProxyVerdict::unfinished;
  const std::string line(part.substr(0, end + 1));
  header.bytes = line.size();
  header.version = 1;
  static const std::regex unknown("PROXY UNKNOWN( [^\r\n]*)?\r\n");
  if (std::regex_match(line, unknown)) {
    header.transport = "LOCAL";
    return ProxyVerdict::header;
  }
  static const std::regex form(
      "PROXY (TCP[46]) ([0-9a-f.:]+) ([0-9a-f.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n");
  std::smatch found;
  if (!std::regex_match(line, found, form)) return ProxyVerdict::fault;
  const int family = found[1] == "TCP4" ? AF_INET : AF_INET6;
  header.transport = found[1];
  header.source = address_of(family, found[2]);
  header.destination = address_of(family, found[3]);
  header.source_port = static_cast<unsigned>(std::stoul(found[4]));
  header.destination_port = static_cast<unsigned>(std::stoul(found[5]));
  const bool right = !header.source.empty() && !header.destination.empty() &&
                     header.source_port < 65536 && header.destination_port < 65536;
  return right ? ProxyVerdict::header : ProxyVerdict::fault;
}

/// Bit by bit, most significant last.
unsigned checksum(std::string_view bytes) {
  std::uint32_t rest = 0xFFFFFFFF;
  for (const char c : bytes) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      const bool one = (((static_cast<unsigned char>(c) >> bit) ^ rest) & 1U) != 0;
      rest = (rest >> 1U) ^ (one ? 0x82F63B78U : 0U);
    }
  }
  return ~rest;
}

ProxyVerdict judge_binary(std::string_view bytes, MeantProxyHeader& header) {
  struct Family {
    unsigned code;
    const char* name;
    std::size_t addresses;
  };
  static constexpr std::array<Family, 4> kFamilies{
      Family{0, "LOCAL", 0}, {0x11, "TCP4", 12}, {0x21, "TCP6", 36}, {0x31, "UNIX", 216}};
  if (bytes.size() <= 12) return ProxyVerdict::unfinished;
  const unsigned command = number(bytes.substr(12, 1));
  if (command != 0x20 && command != 0x21) return ProxyVerdict::fault;
  if (bytes.size() == 13) return ProxyVerdict::unfinished;
  const Family* family = nullptr;
  for (const Family& one : kFamilies) {
    if (one.code == number(bytes.substr(13, 1))) family = &one;
  }
  if (family == nullptr) return ProxyVerdict::fault;
  if (bytes.size() < 16) return ProxyVerdict::unfinished;
  const std::size_t length = number(bytes.substr(14, 2));
  if (length < family->addresses || length > 16384 - 16) return ProxyVerdict::fault;
  if (bytes.size() < 16 + length) return ProxyVerdict::unfinished;

  header.bytes = 16 + length;
  header.version = 2;
  header.transport = command == 0x20 ? "LOCAL" : family->name;
  const bool local = header.transport == "LOCAL";
  const std::string_view body = bytes.substr(16, length);
  if (!local && family->addresses < 216) {
    const std::size_t size = (family->addresses - 4) / 2;
    const int of_system = size == 4 ? AF_INET : AF_INET6;
    header.source = without_mapping(written(of_system, body.data()));
    header.destination = without_mapping(written(of_system, body.data() + size));
    header.source_port = number(body.substr(2 * size, 2));
    header.destination_port = number(body.substr(2 * size + 2, 2));
  }
  std::size_t ssl = 0, sums = 0;
  for (std::string_view rest = body.substr(family->addresses); !rest.empty();) {
    if (rest.size() < 3 || rest.size() < 3 + number(rest.substr(1, 2))) return ProxyVerdict::fault;
    const unsigned type = number(rest.substr(0, 1));
    const std::string_view value = rest.substr(3, number(rest.substr(1, 2)));
    rest.remove_prefix(3 + value.size());
    header.tlvs.emplace_back(type, value);
    if (type == 0x20) {
      if (value.size() < 5) return ProxyVerdict::fault;
      if (++ssl == 1) header.tls = !local && (number(value.substr(0, 1)) & 1U) != 0;
    }
    if (type == 3) {
      if (++sums > 1 || value.size() != 4) return ProxyVerdict::fault;
      std::string blank(bytes.substr(0, header.bytes));
      blank.replace(static_cast<std::size_t>(value.data() - bytes.data()), 4, 4, '\0');
      if (checksum(blank) != number(value)) return ProxyVerdict::fault;
    }
  }
  return ProxyVerdict::header;
}

}  // namespace

ProxyVerdict proxy_header_of(std::string_view bytes, MeantProxyHeader& header) {
  header = {};
  const std::string_view line = "PROXY ";
  const std::string_view signature("\r\n\r\n\0\r\nQUIT\n", 12);
  if (bytes.substr(0, line.size()) == line.substr(0, bytes.size()))
    return bytes.size() < line.size() ? ProxyVerdict::unfinished : judge_line(bytes, header);
  if (bytes.substr(0, signature.size()) == signature.substr(0, bytes.size()))
    return judge_binary(bytes, header);
  return ProxyVerdict::fault;
}

}  // namespace iotax::conformance
