#include "core/proxy_header.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/ip_address.h"

namespace iotax::core {
namespace {

using Found = ProxyReader::Found;
using namespace std::string_literals;

constexpr std::string_view kLine = "PROXY TCP4 192.0.2.1 192.0.2.2 5555 80\r\n";
const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

Found receive(ProxyReader& reader, std::string_view bytes) {
  std::size_t used = 0;
  return reader.receive(bytes, used);
}

TEST(ProxyReader, LeavesWhatFollowsTheHeader) {
  ProxyReader reader(Instant{}, Duration::zero());
  std::size_t used = 0;
  ASSERT_EQ(reader.receive(std::string(kLine) + "GET / HTTP/1.1\r\n", used), Found::header);
  EXPECT_EQ(used, kLine.size());
  EXPECT_EQ(reader.header().source, "192.0.2.1");
  EXPECT_EQ(reader.header().source_port, 5555);
}

TEST(ProxyReader, HasOneDeadlineFromTheAccept) {
  const Instant start = Instant{} + std::chrono::seconds{100};
  ProxyReader reader(start, std::chrono::seconds{10});
  EXPECT_EQ(reader.deadline(), start + std::chrono::seconds{10});
  EXPECT_EQ(receive(reader, kLine.substr(0, 20)), Found::nothing_yet);
  EXPECT_EQ(reader.deadline(), start + std::chrono::seconds{10}) << "bytes do not extend it";
  EXPECT_EQ(reader.on_time(reader.deadline() - Duration{1}), Found::nothing_yet);
  EXPECT_EQ(reader.on_time(reader.deadline()), Found::fault);
  EXPECT_EQ(reader.fault(), ProxyFault::late);
}

TEST(ProxyReader, HasNoDeadlineWithoutATimeout) {
  EXPECT_EQ(ProxyReader(Instant{}, Duration::zero()).deadline(), kNever);
}

TEST(ProxyReader, ShowsTheFirstBytesOfAConnectionWithoutAHeader) {
  ProxyReader whole(Instant{}, Duration::zero());
  EXPECT_EQ(receive(whole, "GET / HTTP/1.1\r\n"), Found::fault);
  EXPECT_EQ(whole.fault(), ProxyFault::absent);
  EXPECT_EQ(whole.beginning(), "GET / HT");
  ProxyReader one_byte(Instant{}, Duration::zero());
  EXPECT_EQ(receive(one_byte, "G"), Found::fault);
  EXPECT_EQ(one_byte.beginning(), "G");
  ProxyReader post(Instant{}, Duration::zero());
  EXPECT_EQ(receive(post, "P"), Found::nothing_yet);
  EXPECT_EQ(receive(post, "OST /abc"), Found::fault);
  EXPECT_EQ(post.beginning(), "POST /ab");
}

TEST(ProxyReader, BuffersNoMoreThanTheHeader) {
  ProxyReader reader(Instant{}, Duration::zero());
  const std::string request(100'000, 'x');
  EXPECT_EQ(receive(reader, std::string(kLine) + request), Found::header);
  EXPECT_LE(reader.buffered_bytes(), 2 * kProxyLineBytesMax);
  ProxyReader line(Instant{}, Duration::zero());
  EXPECT_EQ(receive(line, "PROXY " + request), Found::fault);
  EXPECT_LE(line.buffered_bytes(), 2 * kProxyLineBytesMax);
  ProxyReader binary(Instant{}, Duration::zero());
  EXPECT_EQ(receive(binary, kSignature + "\x21\x11\xff\xff"s + request), Found::fault);
  EXPECT_LE(binary.buffered_bytes(), 2 * kProxyLineBytesMax);
}

TEST(ProxyReader, EveryFaultHasAReasonOfItsOwn) {
  std::set<std::string_view> reasons;
  for (int n = static_cast<int>(ProxyFault::none) + 1; n < kProxyFaults; ++n) {
    const std::string_view text = reason(static_cast<ProxyFault>(n));
    EXPECT_FALSE(text.empty()) << n;
    EXPECT_TRUE(reasons.insert(text).second) << text;
  }
  EXPECT_TRUE(reason(ProxyFault::none).empty());
}

TEST(TakeTlv, TakesCompleteOnes) {
  const std::string two = "\x01\x00\x02h2\xea\x00\x00"s;
  std::string_view rest = two;
  const auto alpn = take_tlv(rest);
  ASSERT_TRUE(alpn);
  EXPECT_EQ(alpn->type, 1);
  EXPECT_EQ(alpn->value, "h2");
  const auto empty = take_tlv(rest);
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->type, 0xEA);
  EXPECT_EQ(empty->value, "");
  EXPECT_FALSE(take_tlv(rest));
  for (const std::string& cut : {"\x01"s, "\x01\x00"s, "\x01\x00\x02h"s}) {
    rest = cut;
    EXPECT_FALSE(take_tlv(rest));
    EXPECT_EQ(rest, cut) << "nothing is taken";
  }
}

TEST(IpText, IsCanonical) {
  for (const char* const text :
       {"0.0.0.0", "255.255.255.255", "192.0.2.1", "::", "::1", "1::", "2001:db8::1",
        "2001:db8:0:1:1:1:1:1", "2001:0:0:1::1", "1::2:0:0:3:4", "::fffe:0:1", "1:2:3:4:5:6:7:8",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::2:3:4:5:6:7:8"}) {
    const auto address = parse_ip(text);
    ASSERT_TRUE(address) << text;
    if (std::string_view(text) == "::2:3:4:5:6:7:8") {
      EXPECT_EQ(ip_text(*address), "0:2:3:4:5:6:7:8") << "one group is not shortened";
    } else {
      EXPECT_EQ(ip_text(*address), text);
    }
  }
  EXPECT_EQ(ip_text(parse_ip("::ffff:192.0.2.1").value()), "192.0.2.1");
  EXPECT_EQ(ip_text(parse_ip("2001:DB8:0:0:0:0:0:1").value()), "2001:db8::1");
}

}  // namespace
}  // namespace iotax::core
