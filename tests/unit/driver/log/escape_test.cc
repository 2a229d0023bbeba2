// Escaping for text lines and for JSON.
#include "driver/log/escape.h"

#include <gtest/gtest.h>

#include <string>

namespace iotax::driver {
namespace {

std::string json(std::string_view bytes, std::size_t bytes_max = 1000) {
  std::string out(bytes.size() * kEscapedBytesMax, '!');
  const char* const end = write_json_escaped(out.data(), bytes, bytes_max);
  out.resize(static_cast<std::size_t>(end - out.data()));
  return out + (bytes.empty() ? "" : " cut");
}

std::string every_byte() {
  std::string every;
  for (int c = 0; c < 256; ++c) every += static_cast<char>(c);
  return every;
}

TEST(AppendEscaped, LeavesNothingButPrintableAscii) {
  std::string line = "kept: ";
  append_escaped(line, every_byte());
  EXPECT_EQ(line.substr(0, 14), "kept: \\x00\\x01");
  EXPECT_NE(line.find(" !\\x22#$"), std::string::npos);
  EXPECT_NE(line.find("}~\\x7f\\x80"), std::string::npos);
  EXPECT_EQ(line.size(), 6U + 93U + 4U * (256U - 93U)) << "95 printable ones less two";
}

TEST(AppendEscaped, FindsEachByteAtEachPlaceOfAWord) {
  for (int c = 0; c < 256; ++c) {
    const bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
    for (std::size_t at = 0; at < 17; ++at) {
      std::string bytes(17, 'a');
      bytes[at] = static_cast<char>(c);
      std::string line;
      append_escaped(line, bytes);
      EXPECT_EQ(line.size(), plain ? 17U : 20U) << c << " at " << at;
      EXPECT_EQ(line.substr(0, at), bytes.substr(0, at));
      EXPECT_EQ(line.substr(line.size() - 16 + at), bytes.substr(at + 1));
    }
  }
}

TEST(IsPlain, FindsEachByteAtEachPlaceInTextsOfEachSize) {
  for (std::size_t size = 0; size < 18; ++size) {
    EXPECT_TRUE(is_plain(std::string(size, 'a')));
    for (int c = 0; c < 256; ++c) {
      const bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
      for (std::size_t at = 0; at < size; ++at) {
        std::string text(size, 'a');
        text[at] = static_cast<char>(c);
        EXPECT_EQ(is_plain(text), plain) << c << " at " << at << " of " << size;
      }
    }
  }
}

TEST(JsonEscaped, WritesAsciiOnly) {
  EXPECT_EQ(json("plain"), "plain");
  EXPECT_EQ(json("\"\\\n\x1b\x7f"), R"(\"\\\n\u001b\u007f)");
  EXPECT_EQ(json("\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"), R"(\u00fc\u20ac\ud83d\ude00)");
  EXPECT_EQ(json({"\0", 1}), R"(\u0000)");
}

TEST(JsonEscaped, ReplacesEachByteThatIsNotUtf8) {
  EXPECT_EQ(json("\xff"), R"(\ufffd)");
  EXPECT_EQ(json("a\xc3"), R"(a\ufffd)") << "cut off";
  EXPECT_EQ(json("\xc3(a"), R"(\ufffd(a)");
  EXPECT_EQ(json("\xc0\xaf"), R"(\ufffd\ufffd)") << "overlong";
  EXPECT_EQ(json("\xe0\x80\xaf"), R"(\ufffd\ufffd\ufffd)");
  EXPECT_EQ(json("\xf0\x80\x80\xaf"), R"(\ufffd\ufffd\ufffd\ufffd)");
  EXPECT_EQ(json("\xed\xb2\x80"), R"(\ufffd\ufffd\ufffd)") << "a lone surrogate";
  EXPECT_EQ(json("\xf4\x90\x80\x80"), R"(\ufffd\ufffd\ufffd\ufffd)") << "above U+10FFFF";
}

TEST(JsonEscaped, CutsBetweenCharacters) {
  EXPECT_EQ(json("abc", 3), "abc");
  EXPECT_EQ(json("abc", 2), "ab cut");
  EXPECT_EQ(json("a\"", 2), "a cut");
  EXPECT_EQ(json("a\"", 3), "a\\\"");
  EXPECT_EQ(json("\xc3\xbc", 5), " cut");
  EXPECT_EQ(json("\xf0\x9f\x98\x80", 11), " cut") << "no half of a surrogate pair";
  EXPECT_EQ(json("\xf0\x9f\x98\x80", 12), R"(\ud83d\ude00)");
  EXPECT_EQ(json("", 0), "");
}

}  // namespace
}  // namespace iotax::driver
