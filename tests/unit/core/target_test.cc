// Target forms, Host and methods: one line of expectation per text.
#include "core/target.h"

#include <gtest/gtest.h>

namespace iotax::core {
namespace {

struct TargetCase {
  std::string_view text;
  std::string_view method;
  Fault fault;
  std::string_view path = {}, query = {}, authority = {};
};

TEST(Target, IsSplitOrRejected) {
  const TargetCase cases[]{
      {"/", "GET", Fault::none, "/"},
      {"/a?b?c", "GET", Fault::none, "/a", "b?c"},
      {"//a/../b", "GET", Fault::none, "//a/../b"},
      {"/%41%2f", "GET", Fault::none, "/%41%2f"},
      {"/?%zz\"<\\{", "GET", Fault::none, "/", "%zz\"<\\{"},
      {"/%", "GET", Fault::path_percent},
      {"/%4", "GET", Fault::path_percent},
      {"/%4g", "GET", Fault::path_percent},
      {"/%00", "GET", Fault::path_nul},
      {"/a#b", "GET", Fault::target_fragment},
      {"/a?b#c", "GET", Fault::target_fragment},
      {"/a\"", "GET", Fault::path_octet},
      {"/a\x80", "GET", Fault::path_octet},
      {"/?\x80", "GET", Fault::target_octet},
      {"*", "OPTIONS", Fault::none, "*"},
      {"*", "GET", Fault::target_asterisk},
      {"*?a", "OPTIONS", Fault::target_asterisk},
      {"", "GET", Fault::target_form},
      {"a", "GET", Fault::target_form},
      {"a:80", "GET", Fault::target_form},
      {"http://h", "GET", Fault::none, "", "", "h"},
      {"HTTP://h:1/p?q", "GET", Fault::none, "/p", "q", "h:1"},
      {"http://h?q", "GET", Fault::none, "", "q", "h"},
      {"http://[::1]/", "GET", Fault::none, "/", "", "[::1]"},
      {"http:/h", "GET", Fault::target_form},
      {"https://h/", "GET", Fault::target_https},
      {"ftp://h/", "GET", Fault::target_scheme},
      {"http://u@h/", "GET", Fault::target_userinfo},
      {"http:///p", "GET", Fault::target_host},
      {"http://h#f", "GET", Fault::target_fragment},
  };
  for (const TargetCase& one : cases) {
    Target parts;
    EXPECT_EQ(parse_target(one.text, one.method, parts), one.fault) << one.text;
    if (one.fault != Fault::none) continue;
    EXPECT_EQ(parts.path, one.path) << one.text;
    EXPECT_EQ(parts.query, one.query) << one.text;
    EXPECT_EQ(parts.authority, one.authority) << one.text;
    EXPECT_EQ(parts.asterisk, one.text == "*") << one.text;
  }
}

TEST(Host, IsHostAndPort) {
  for (const std::string_view good :
       {"a", "a.b", "a:", "a:0", "a:65535", "1.2.3.4:80", "[::1]", "[::1]:80", "[v1.a]", "a%20b",
        "a_b~", "[::]", "[1:2:3:4:5:6:7::]", "[::ffff:1.2.3.4]", "[1:2:3:4:5:6:1.2.3.4]",
        "[ABCD::]"})
    EXPECT_TRUE(is_host(good)) << good;
  for (const std::string_view bad :
       {"",   ":80",  "a:65536", "a:000080", "a:b", "a:1:2", "a,b",  "a b",   "a/b",   "a@b", "[",
        "[]", "[::1", "[a]",     "[::1]x",   "::1", "a%2",   "a%zz", "[v.a]", "[v1.]", "\x80"})
    EXPECT_FALSE(is_host(bad)) << bad;
  for (const std::string_view bad :
       {"[2001db8::7]", "[::12345]", "[::1::]", "[1::2::3]", "[1:2:3:4:5:6:7]", "[:::]", "[:]",
        "[1:2:3:4:5:6:7:8::]", "[1:2:3:4:5:6:7:]", "[1.2.3.4]", "[::ffff:1.2.3]", "[::01.2.3.4]",
        "[::1.2.3.4:5]", "[fe80::1%25eth0]", "[fe80::1%eth0]"})
    EXPECT_FALSE(is_host(bad)) << bad;
}

TEST(Methods, AreCaseSensitive) {
  for (const std::string_view good : {"GET", "HEAD", "M-SEARCH", "QUERY", "CONNECT", "TRACE"})
    EXPECT_TRUE(is_known_method(good));
  for (const std::string_view bad : {"", "get", "GETX", "GE", "SOURCE", "PRI", "DESCRIBE"})
    EXPECT_FALSE(is_known_method(bad)) << bad;
}

}  // namespace
}  // namespace iotax::core
