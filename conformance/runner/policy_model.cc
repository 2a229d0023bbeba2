// One function per part of a message; every line is judged whole. Numbers are the rules of
// http1-policy.
#include "runner/policy_model.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace iotax::conformance {
namespace {

using Text = std::string_view;
using Faults = std::set<int>;

constexpr std::array<Text, 34> kMethods{
    "DELETE",     "GET",      "HEAD",       "POST",     "PUT",    "CONNECT",   "OPTIONS",
    "TRACE",      "COPY",     "LOCK",       "MKCOL",    "MOVE",   "PROPFIND",  "PROPPATCH",
    "SEARCH",     "UNLOCK",   "BIND",       "REBIND",   "UNBIND", "ACL",       "REPORT",
    "MKACTIVITY", "CHECKOUT", "MERGE",      "M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE",
    "PATCH",      "PURGE",    "MKCALENDAR", "LINK",     "UNLINK", "QUERY"};

/// What an unfinished line may turn out to break.
const Faults kAnyFault{400, 405, 413, 414, 417, 421, 431, 501, 505};
/// Rule 39: EOF inside a message.
const Faults kCutOff{0, 400, 408};

bool one_of(char c, Text set) { return c != '\0' && set.find(c) != Text::npos; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool hex(char c) { return digit(c) || one_of(c, "abcdefABCDEF"); }
bool tchar(char c) { return digit(c) || letter(c) || one_of(c, "!#$%&'*+-.^_`|~"); }
bool unreserved(char c) { return digit(c) || letter(c) || one_of(c, "-._~"); }
bool control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7F'; }
bool visible(char c) {
  return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7F;
}

template <class Test>
bool every(Text text, Test test) {
  return std::all_of(text.begin(), text.end(), test);
}
bool token(Text text) { return !text.empty() && every(text, tchar); }

std::string lower(Text text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

Text without_blanks(Text text) {
  while (!text.empty() && one_of(text.front(), " \t")) text.remove_prefix(1);
  while (!text.empty() && one_of(text.back(), " \t")) text.remove_suffix(1);
  return text;
}

std::vector<Text> split(Text text, char at) {
  std::vector<Text> parts;
  for (;;) {
    const auto end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == Text::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// Nothing when it does not fit into 64 bits. `digits` are digits of the base.
std::optional<std::uint64_t> number(Text digits, unsigned base) {
  std::uint64_t value = 0;
  for (const char c : digits) {
    const auto digit_value =
        static_cast<unsigned>(Text("0123456789abcdef").find(lower(Text(&c, 1))));
    if (value > (UINT64_MAX - digit_value) / base) return std::nullopt;
    value = value * base + digit_value;
  }
  return value;
}

/// Each "%" stands before two hex digits.
bool percents(Text text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && (i + 2 >= text.size() || !hex(text[i + 1]) || !hex(text[i + 2])))
      return false;
  }
  return true;
}

std::string decoded_once(Text path) {
  std::string out;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '%') {
      out.push_back(static_cast<char>(*number(path.substr(i + 1, 2), 16)));
      i += 2;
    } else {
      out.push_back(path[i]);
    }
  }
  return out;
}

/// dec-octet "." dec-octet "." dec-octet "." dec-octet of RFC 3986 §3.2.2.
bool ipv4_address(Text text) {
  const auto parts = split(text, '.');
  return parts.size() == 4 && std::all_of(parts.begin(), parts.end(), [](Text part) {
           if (part.empty() || part.size() > 3 || !every(part, digit)) return false;
           return (part.size() == 1 || part.front() != '0') && *number(part, 10) <= 255;
         });
}

/// How many of the eight groups `text` is, of which an IPv4 address at its end is two; nothing when
/// one of them is not a group.
std::optional<std::size_t> ipv6_groups(Text text, bool may_end_in_ipv4) {
  if (text.empty()) return 0;
  const auto parts = split(text, ':');
  std::size_t groups = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    if (last && may_end_in_ipv4 && ipv4_address(parts[i])) {
      groups += 2;
    } else if (parts[i].empty() || parts[i].size() > 4 || !every(parts[i], hex)) {
      return std::nullopt;
    } else {
      groups += 1;
    }
  }
  return groups;
}

/// IPv6address of RFC 3986 §3.2.2: "::" stands once, for one group or more.
bool ipv6_address(Text text) {
  const auto gap = text.find("::");
  if (gap == Text::npos) return ipv6_groups(text, true) == std::size_t{8};
  const auto before = ipv6_groups(text.substr(0, gap), false);
  const auto behind = ipv6_groups(text.substr(gap + 2), true);
  return before && behind && *before + *behind <= 7;
}

/// Rule 20: host[:port]. RFC 3986 §3.2.2.
bool host_and_port(Text text) {
  std::size_t host_bytes = 0;
  if (!text.empty() && text.front() == '[') {
    const auto end = text.find(']');
    if (end == Text::npos) return false;
    const Text inside = text.substr(1, end - 1);
    const auto dot = inside.find('.');
    const bool future = lower(inside.substr(0, 1)) == "v" && dot != Text::npos && dot > 1 &&
                        every(inside.substr(1, dot - 1), hex) && dot + 1 < inside.size() &&
                        every(inside.substr(dot + 1),
                              [](char c) { return unreserved(c) || one_of(c, "!$&'()*+;=:"); });
    if (!future && !ipv6_address(inside)) return false;
    host_bytes = end + 1;
  } else {
    host_bytes = std::min(text.find(':'), text.size());
    const Text name = text.substr(0, host_bytes);
    const bool octets =
        every(name, [](char c) { return unreserved(c) || one_of(c, "!$&'()*+;=%"); });
    if (name.empty() || !octets || !percents(name)) return false;
  }
  if (host_bytes == text.size()) return true;
  if (text[host_bytes] != ':') return false;
  const Text port = text.substr(host_bytes + 1);
  return port.size() <= 5 && every(port, digit) && *number(port, 10) <= 65535;
}

struct Target {
  Text path, query, authority;
  bool asterisk = false;
};

/// Rules 7 to 13.
Faults judge_target(Text target, Text method, Target& parts) {
  Faults faults;
  if (target == "*") {
    parts.asterisk = true;
    parts.path = target;
    if (method != "OPTIONS") faults.insert(400);
    return faults;
  }
  Text rest = target;
  if (target.empty() || target.front() != '/') {
    const auto colon = target.find("://");
    if (colon == Text::npos) return {400};
    const std::string scheme = lower(target.substr(0, colon));
    if (scheme == "https") faults.insert(421);
    if (scheme != "http" && scheme != "https") faults.insert(400);
    rest = target.substr(colon + 3);
    const auto end = std::min(rest.find_first_of("/?#"), rest.size());
    parts.authority = rest.substr(0, end);
    rest.remove_prefix(end);
    if (!host_and_port(parts.authority)) faults.insert(400);  // also user information
  }
  const auto mark = rest.find('?');
  parts.path = rest.substr(0, mark);
  if (mark != Text::npos) parts.query = rest.substr(mark + 1);
  const bool path =
      every(parts.path, [](char c) { return unreserved(c) || one_of(c, "!$&'()*+,;=:@/%[]|^"); });
  if (!path || !percents(parts.path) || parts.path.find("%00") != Text::npos) faults.insert(400);
  if (!every(parts.query, [](char c) { return visible(c) && c != '#'; })) faults.insert(400);
  return faults;
}

struct RequestLine {
  Text method, version;
  Target target;
};

/// Rules 3 to 6, 41.
Faults judge_request_line(Text line, RequestLine& parts) {
  for (const Text begin : {"PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN"}) {
    if (line.substr(0, begin.size()) == begin) return {400};
  }
  Faults faults;
  const auto words = split(line, ' ');
  if (words.size() != 3) faults.insert(400);
  parts.method = words.front();
  parts.version = words.back();
  if (!token(parts.method)) {
    faults.insert(400);
  } else if (std::find(kMethods.begin(), kMethods.end(), parts.method) == kMethods.end()) {
    faults.insert(501);
  }
  if (parts.method == "CONNECT" || parts.method == "TRACE") faults.insert(405);
  const bool form = parts.version.size() == 8 && parts.version.substr(0, 5) == "HTTP/" &&
                    digit(parts.version[5]) && parts.version[6] == '.' && digit(parts.version[7]);
  if (!form) {
    faults.insert(400);
  } else if (parts.version != "HTTP/1.0" && parts.version != "HTTP/1.1") {
    faults.insert(505);
  }
  if (words.size() != 3) return faults;
  if (parts.method != "CONNECT") {
    faults.merge(judge_target(words[1], parts.method, parts.target));
  } else if (!host_and_port(words[1])) {  // its form of target, RFC 9112 §3.2.3
    faults.insert(400);
  }
  return faults;
}

/// Rules 14, 16, 17. `name` and `value` are set when there are none.
Faults judge_field_line(Text line, Text& name, Text& value) {
  const auto colon = line.find(':');
  if (colon == Text::npos || !token(line.substr(0, colon))) return {400};
  name = line.substr(0, colon);
  value = without_blanks(line.substr(colon + 1));
  if (!every(value, [](char c) { return c == '\t' || !control(c); })) return {400};
  return {};
}

/// Rule 27, after the size.
bool extensions(Text text) {
  const auto take_token = [&text] {
    const Text before = text;
    while (!text.empty() && tchar(text.front())) text.remove_prefix(1);
    return text.size() < before.size();
  };
  const auto take_quoted = [&text] {
    for (text.remove_prefix(1); !text.empty() && text.front() != '"'; text.remove_prefix(1)) {
      if (text.front() == '\\') text.remove_prefix(1);
      if (text.empty() || (control(text.front()) && text.front() != '\t')) return false;
    }
    if (text.empty()) return false;
    text.remove_prefix(1);
    return true;
  };
  while (!text.empty()) {
    if (text.front() != ';') return false;
    text.remove_prefix(1);
    if (!take_token()) return false;
    if (text.empty() || text.front() != '=') continue;
    text.remove_prefix(1);
    const bool quoted = !text.empty() && text.front() == '"';
    if (!(quoted ? take_quoted() : take_token())) return false;
  }
  return true;
}

/// What a head says, field by field.
struct Head {
  RequestLine line;
  std::size_t fields = 0;
  std::vector<std::pair<Text, Text>> kept;
  std::optional<Text> host;
  std::optional<Text> length;
  std::optional<Text> coding;
  bool content_type = false, authorization = false;
  bool close = false, keep_alive = false;
  bool expects = false, other_expectation = false;
};

/// Rules 15, 18 to 23, 31, 32, 35.
Faults judge_field(Text name, Text value, Head& head) {
  Faults faults;
  const std::string known = lower(name);
  const auto once = [&faults](std::optional<Text>& seen, Text now) {
    if (seen) faults.insert(400);
    seen = now;
  };
  if (known == "host") {
    once(head.host, value);
    if (!host_and_port(value)) faults.insert(400);
  } else if (known == "content-length") {
    once(head.length, value);
    if (value.empty() || !every(value, digit) || (value.size() > 1 && value.front() == '0'))
      faults.insert(400);
    else if (!number(value, 10))
      faults.insert({400, 413});
  } else if (known == "transfer-encoding") {
    if (head.coding) faults.insert(501);
    once(head.coding, value);
    if (!token(value)) faults.insert(400);
    if (token(value) && lower(value) != "chunked") faults.insert(501);
  } else if (known == "content-type" || known == "authorization") {
    bool& seen = known == "content-type" ? head.content_type : head.authorization;
    if (seen) faults.insert(400);
    seen = true;
  } else if (known == "expect") {
    (lower(value) == "100-continue" ? head.expects : head.other_expectation) = true;
  } else if (known == "connection") {
    for (const Text member : split(value, ',')) {
      const std::string option = lower(without_blanks(member));
      head.close = head.close || option == "close";
      head.keep_alive = head.keep_alive || option == "keep-alive";
    }
  }
  if (head.length && head.coding) faults.insert(400);
  const bool dropped = name.find('_') != Text::npos || known == "proxy" || known == "trailer" ||
                       known == "transfer-encoding";
  if (!dropped) head.kept.emplace_back(name, value);
  return faults;
}

/// Rules that need all fields: 12, 20, 24, 35, and the limit of the body.
Faults judge_head(const Head& head, const core::Limits& limits) {
  Faults faults;
  const Text authority = head.line.target.authority;
  if (head.line.version == "HTTP/1.1" && !head.host) faults.insert(400);
  if (!authority.empty() && head.host && lower(authority) != lower(*head.host)) faults.insert(400);
  if (head.line.version == "HTTP/1.0" && head.coding) faults.insert(400);
  if (head.other_expectation) faults.insert(417);
  if (head.length && limits.body_bytes_max != 0 &&
      *number(*head.length, 10) > limits.body_bytes_max)
    faults.insert(413);
  return faults;
}

SeenRequest seen(const Head& head, std::string body) {
  SeenRequest request;
  const Target& target = head.line.target;
  request.method = head.line.method;
  request.path_info = target.path.empty() ? "/" : decoded_once(target.path);
  request.query = target.query;
  request.body = std::move(body);
  auto& environ = request.environ;
  for (const auto& [name, value] : head.kept) {
    std::string key;
    for (const char c : name) {
      key.push_back(c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c);
    }
    if (key != "CONTENT_TYPE" && key != "CONTENT_LENGTH") key.insert(0, "HTTP_");
    const auto [entry, first] = environ.emplace(key, value);
    if (!first) entry->second.append(key == "HTTP_COOKIE" ? "; " : ", ").append(value);
  }
  if (!target.authority.empty()) environ["HTTP_HOST"] = target.authority;
  if (head.coding) environ["CONTENT_LENGTH"] = std::to_string(request.body.size());
  environ["REQUEST_METHOD"] = request.method;
  environ["SERVER_PROTOCOL"] = head.line.version;
  environ["wsgi.url_scheme"] = "http";
  return request;
}

/// Reads messages off the front until one is unfinished, rejected, or the last.
class Transcript {
 public:
  Transcript(Text bytes, bool eof, const core::Limits& limits)
      : rest_(bytes), eof_(eof), limits_(limits) {}

  Meaning read() {
    while (message()) {
    }
    return std::move(meaning_);
  }

 private:
  struct Line {
    Text text;      // without its line end
    Faults faults;  // rule 1
    Text with_end;
  };

  /// Nothing when the line is unfinished.
  std::optional<Line> take_line() {
    const auto feed = rest_.find('\n');
    if (feed == Text::npos) return std::nullopt;
    Line line{rest_.substr(0, feed), {}, rest_.substr(0, feed + 1)};
    rest_.remove_prefix(feed + 1);
    if (!line.text.empty() && line.text.back() == '\r') {
      line.text.remove_suffix(1);
    } else {
      line.faults.insert(400);
    }
    if (line.text.find('\r') != Text::npos) line.faults.insert(400);
    return line;
  }

  bool end(Ending ending, Faults refusals = {}) {
    meaning_.ending = ending;
    meaning_.refusals = std::move(refusals);
    return false;
  }
  bool refuse(Faults faults) { return end(Ending::refused, std::move(faults)); }
  /// The bytes end inside a line. `over`: it is longer already than it may become.
  bool unfinished_line(bool over) {
    if (!eof_) return end(over ? Ending::refused : Ending::undecided, kAnyFault);
    Faults faults = kAnyFault;
    faults.insert(kCutOff.begin(), kCutOff.end());
    return refuse(std::move(faults));
  }
  /// The bytes end between the lines of a message, or in a counted body.
  bool unfinished() { return eof_ ? refuse(kCutOff) : end(Ending::open); }

  /// False: nothing after it is looked at.
  bool message() {
    if (rest_ == "\r") return unfinished();
    if (rest_.substr(0, 2) == "\r\n") {  // rule 2
      rest_.remove_prefix(2);
      if (rest_ == "\r" || rest_ == "\r\n") return unfinished();  // or of a PROXY header, rule 41
    }
    if (rest_.empty()) return end(eof_ ? Ending::closed : Ending::open);
    if (rest_.front() == '\r' || rest_.front() == '\n') return refuse({400});
    Head head;
    if (!take_head(head)) return false;
    std::string body;
    if (!take_content(head, body)) return false;
    answer(head, std::move(body));
    return meaning_.ending == Ending::open;
  }

  bool take_head(Head& head) {
    std::size_t head_bytes = 0;
    for (bool first = true;; first = false) {
      const std::size_t limit =
          first ? limits_.request_line_bytes_max : limits_.field_line_bytes_max;
      const Text before = rest_;
      const auto line = take_line();
      if (!line) {
        const bool over =
            before.size() > limit + 1 || head_bytes + before.size() >= limits_.head_bytes_max;
        return before.empty() ? unfinished() : unfinished_line(over);
      }
      head_bytes += line->with_end.size();
      const bool last = !first && line->text.empty();
      Faults faults = line->faults;
      if (line->text.size() > limit) faults.insert(first ? 414 : 431);
      if (head_bytes + (last ? 0 : 1) > limits_.head_bytes_max) faults.insert(431);
      if (first) {
        faults.merge(judge_request_line(line->text, head.line));
      } else if (!last) {
        Text name, value;
        faults.merge(judge_field_line(line->text, name, value));
        if (++head.fields > limits_.fields_max) faults.insert(431);
        if (!name.empty()) faults.merge(judge_field(name, value, head));
      } else {
        faults.merge(judge_head(head, limits_));
      }
      if (!faults.empty()) {
        if (!first && !rest_.empty() && one_of(rest_.front(), " \t"))
          faults.insert(400);  // rule 17
        if (rest_.empty() && !last && !eof_) return end(Ending::undecided, faults);
        if (rest_.empty() && !last) faults.insert(kCutOff.begin(), kCutOff.end());
        return refuse(std::move(faults));
      }
      if (last) return true;
    }
  }

  bool take_content(const Head& head, std::string& body) {
    const std::uint64_t length = head.length ? *number(*head.length, 10) : 0;
    if (rest_.empty() && (head.coding || length != 0) && head.expects &&
        head.line.version == "HTTP/1.1")
      meaning_.continue_due = true;  // rule 33
    if (head.coding) return take_chunks(body);
    if (rest_.size() < length) return unfinished();
    body = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return true;
  }

  /// Rules 26 to 28.
  bool take_chunks(std::string& body) {
    std::size_t extension_bytes = 0;
    for (;;) {
      const Text before = rest_;
      const auto line = take_line();
      if (!line)
        return before.empty() ? unfinished()
                              : unfinished_line(before.size() >= limits_.chunk_line_bytes_max);
      Faults faults = line->faults;
      if (line->with_end.size() > limits_.chunk_line_bytes_max) faults.insert(400);
      const auto digits = static_cast<std::size_t>(
          std::find_if_not(line->text.begin(), line->text.end(), hex) - line->text.begin());
      const Text behind = line->text.substr(digits);
      extension_bytes += behind.size();
      if (digits == 0 || digits > 16 || !extensions(behind) ||
          extension_bytes > limits_.chunk_extension_bytes_max)
        faults.insert(400);
      if (!faults.empty()) return refuse(std::move(faults));
      const std::uint64_t size = *number(line->text.substr(0, digits), 16);
      if (limits_.body_bytes_max != 0 &&
          (size > limits_.body_bytes_max || body.size() + size > limits_.body_bytes_max))
        return refuse({413});
      if (size == 0) return take_trailers();
      body += rest_.substr(0, size);
      if (rest_.size() <= size) return unfinished();
      rest_.remove_prefix(size);
      if (rest_ == "\r") return unfinished();
      if (rest_.substr(0, 2) != "\r\n") return refuse({400});
      rest_.remove_prefix(2);
    }
  }

  /// Rule 29.
  bool take_trailers() {
    std::size_t bytes = 0;
    std::size_t count = 0;
    for (;;) {
      const Text before = rest_;
      const auto line = take_line();
      if (!line) {
        const bool over = bytes + before.size() >= limits_.trailer_bytes_max;
        return before.empty() && !over ? unfinished() : unfinished_line(over);
      }
      bytes += line->with_end.size();
      Faults faults = line->faults;
      const bool last = line->text.empty();
      if (bytes + (last ? 0 : 1) > limits_.trailer_bytes_max) faults.insert(431);
      if (!last) {
        Text name, value;
        faults.merge(judge_field_line(line->text, name, value));
        const std::string known = lower(name);
        if (known == "host" || known == "content-length" || known == "transfer-encoding")
          faults.insert(400);
        if (++count > limits_.trailers_max) faults.insert(431);
      }
      if (!faults.empty()) {
        if (!rest_.empty() && one_of(rest_.front(), " \t")) faults.insert(400);  // rule 17
        if (rest_.empty() && !eof_) return end(Ending::undecided, faults);
        if (rest_.empty()) faults.insert(kCutOff.begin(), kCutOff.end());
        return refuse(std::move(faults));
      }
      if (last) return true;
    }
  }

  /// Rules 13, 31, 32, and the number of requests on a connection.
  void answer(const Head& head, std::string body) {
    const bool old = head.line.version == "HTTP/1.0";
    const bool persists = !head.close && (!old || head.keep_alive) &&
                          (limits_.keep_alive_requests == 0 ||
                           meaning_.answers.size() + 1 < limits_.keep_alive_requests);
    MeantAnswer answer{head.line.target.asterisk ? 204 : 200, {}};
    if (!persists) answer.connection = "close";
    if (persists && old) answer.connection = "keep-alive";
    meaning_.answers.push_back(answer);
    if (head.line.target.path == "/noread") body.clear();
    if (!head.line.target.asterisk) meaning_.requests.push_back(seen(head, std::move(body)));
    if (!persists) end(Ending::closed);
  }

  Text rest_;
  bool eof_;
  const core::Limits& limits_;
  Meaning meaning_;
};

}  // namespace

Meaning meaning_of(std::string_view bytes, bool eof, const core::Limits& limits) {
  return Transcript(bytes, eof, limits).read();
}

}  // namespace iotax::conformance
