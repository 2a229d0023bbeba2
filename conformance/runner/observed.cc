// The environ of the reference application, and the comparison with a case. It must not know how
// the run was made.
#include "runner/observed.h"

#include <algorithm>
#include <sstream>

#include "runner/answers.h"

namespace iotax::conformance {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decoded(std::string_view path) {
  std::string out;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const int high = path[i] == '%' && i + 2 < path.size() ? hex_value(path[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(path[i + 2]) : -1;
    if (low >= 0) {
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out.push_back(path[i]);
    }
  }
  return out;
}

std::string environ_key(std::string_view name) {
  std::string key;
  for (const char c : name) {
    key.push_back(c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c));
  }
  return key == "CONTENT_TYPE" || key == "CONTENT_LENGTH" ? key : "HTTP_" + key;
}

bool matches(const WantedAnswer& wanted, int status) {
  if (wanted.served) return status >= 200 && status < 300;
  return std::find(wanted.statuses.begin(), wanted.statuses.end(), status) != wanted.statuses.end();
}

std::string in_words(const WantedAnswer& wanted) {
  if (wanted.served) return "a 2xx of the application";
  std::string out = "one of";
  for (const int status : wanted.statuses) out += " " + std::to_string(status);
  return out;
}

std::string request_objection(const WantedRequest& wanted, const SeenRequest& seen) {
  const auto differs = [](std::string_view what, std::string_view expected, std::string_view came) {
    return std::string(what) + " is \"" + escaped(came, 200) + "\", expected \"" +
           escaped(expected, 200) + "\"";
  };
  if (wanted.method != seen.method) return differs("method", wanted.method, seen.method);
  if (wanted.path_info != seen.path_info)
    return differs("path_info", wanted.path_info, seen.path_info);
  if (wanted.query != seen.query) return differs("query", wanted.query, seen.query);
  if (wanted.body != seen.body) return differs("body", wanted.body, seen.body);
  for (const auto& [key, value] : wanted.environ) {
    const auto found = seen.environ.find(key);
    if (!value && found != seen.environ.end()) return key + " is in environ: " + found->second;
    if (value && found == seen.environ.end()) return key + " is not in environ";
    if (value && found->second != *value) return differs(key, *value, found->second);
  }
  return {};
}

std::string requests_objection(const std::vector<WantedRequest>& wanted,
                               const std::vector<SeenRequest>& seen) {
  if (wanted.size() != seen.size()) {
    return "the application completed " + std::to_string(seen.size()) + " requests, expected " +
           std::to_string(wanted.size());
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto found = request_objection(wanted[i], seen[i]);
    if (!found.empty()) return "request " + std::to_string(i + 1) + ": " + found;
  }
  return {};
}

std::string answers_objection(const Expectation& expect, const Answers& answers, bool closed) {
  const auto& finals = answers.finals;
  if (finals.empty() && matches(expect.first, 0)) {
    return closed ? std::string() : std::string("neither a response nor a close");
  }
  if (finals.size() != expect.answers.size()) {
    return std::to_string(finals.size()) + " responses, expected " +
           std::to_string(expect.answers.size());
  }
  for (std::size_t i = 0; i < finals.size(); ++i) {
    const auto which = "response " + std::to_string(i + 1) + ": ";
    if (!finals[i].complete) return which + "is truncated";
    if (!matches(expect.answers[i], finals[i].status)) {
      return which + std::to_string(finals[i].status) + ", expected " + in_words(expect.answers[i]);
    }
  }
  for (const auto& [name, part] : expect.fields) {
    const auto* value = finals.empty() ? nullptr : finals.front().field(name);
    if (value == nullptr || value->find(part) == std::string::npos) {
      return "response 1: no field " + name + " with \"" + part + "\"";
    }
  }
  return {};
}

std::string objection(const Expectation& expect, const Observed& observed) {
  if (expect.pending) {
    if (!observed.output.empty() || observed.closed) return "responded or closed, expected to wait";
    return requests_objection(expect.requests, observed.requests);
  }
  const Answers answers = read_answers(observed.output, observed.methods, observed.closed);
  if (!answers.error.empty()) return "output: " + answers.error;
  auto found = answers_objection(expect, answers, observed.closed);
  if (!found.empty()) return found;
  const bool hundred =
      std::find(answers.interims.begin(), answers.interims.end(), 100) != answers.interims.end();
  if (expect.interim == Interim::required && !hundred) return "no 100 (Continue)";
  if (expect.interim == Interim::forbidden && hundred) return "a 100 (Continue)";
  if (expect.close && *expect.close != observed.closed) {
    return observed.closed ? "closed, expected to stay open" : "stays open, expected to close";
  }
  const bool served =
      expect.first.served || (!answers.finals.empty() && answers.finals.front().status / 100 == 2);
  return requests_objection(served ? expect.requests : std::vector<WantedRequest>(),
                            observed.requests);
}

}  // namespace

SeenRequest seen_request(const core::Head& head) {
  SeenRequest request;
  request.method = head.method;
  request.path_info = percent_decoded(head.path);
  request.query = head.query;
  auto& environ = request.environ;
  for (const core::Field& field : head.fields) {
    const auto key = environ_key(field.name);
    const auto [entry, first] = environ.emplace(key, field.value);
    if (!first) entry->second.append(key == "HTTP_COOKIE" ? "; " : ", ").append(field.value);
  }
  if (!head.authority.empty()) environ["HTTP_HOST"] = head.authority;
  environ["REQUEST_METHOD"] = head.method;
  environ["SERVER_PROTOCOL"] = head.version == core::Version::http_1_1 ? "HTTP/1.1" : "HTTP/1.0";
  environ["wsgi.url_scheme"] = "http";
  return request;
}

void complete(SeenRequest& request, std::string body, core::Content content) {
  if (content == core::Content::chunked)
    request.environ["CONTENT_LENGTH"] = std::to_string(body.size());
  request.body = std::move(body);
}

std::optional<std::string> objection(const Case& subject, const Observed& observed) {
  if (!observed.violations.empty()) return "the interface: " + observed.violations.front();
  std::string all;
  for (const auto& expect : subject.expectations) {
    const auto found = objection(expect, observed);
    if (found.empty()) return std::nullopt;
    all += (all.empty() ? "" : "\n  or: ") + found;
  }
  return all;
}

std::string difference(const Observed& whole, const Observed& cut) {
  if (whole.requests != cut.requests)
    return "the requests differ from those of the input in one piece";
  if (whole.closed != cut.closed) return "the close differs from that of the input in one piece";
  if (whole.fault != cut.fault)
    return "the fault differs from that of the input in one piece: " + whole.fault;
  const auto octets = [](const Observed& run) {
    return read_answers(run.output, run.methods, run.closed).final_octets;
  };
  if (octets(whole) != octets(cut))
    return "the responses differ from those of the input in one piece";
  return {};
}

std::string describe(const Observed& observed) {
  std::ostringstream out;
  for (const auto& request : observed.requests) {
    out << "  request   " << escaped(request.method) << ' ' << escaped(request.path_info, 200)
        << " ?" << escaped(request.query, 200) << " body \"" << escaped(request.body, 200)
        << "\"\n";
    for (const auto& [key, value] : request.environ) {
      out << "            " << key << ": " << escaped(value, 200) << '\n';
    }
  }
  out << "  output    " << (observed.output.empty() ? "(nothing)" : escaped(observed.output))
      << '\n'
      << "  connection " << (observed.closed ? "closed" : "open") << '\n';
  if (!observed.fault.empty()) out << "  rejection " << observed.fault << '\n';
  for (const auto& violation : observed.violations) out << "  violation " << violation << '\n';
  return out.str();
}

}  // namespace iotax::conformance
