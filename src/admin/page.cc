#include "admin/page.h"

#include <array>
#include <span>

#include "admin/json.h"

namespace iotax::admin {
namespace {

constexpr std::string_view kStyle = R"css(
:root { color-scheme: light dark; --line: #8884; --dim: #777; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0; }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
th, td { text-align: right; white-space: nowrap; }
th { font-weight: 500; color: var(--dim); }
th:first-child, td:first-child, .text { text-align: left; }
td.line { white-space: normal; overflow-wrap: anywhere; min-width: 14rem; }
.wide { overflow-x: auto; }
#lost { color: #c33; }
@media (prefers-color-scheme: dark) { #lost { color: #f77; } :root { --dim: #aaa; } }
)css";

constexpr std::string_view kScript = R"js(
"use strict";
const row = (cells) => {
  const tr = document.createElement("tr");
  for (const [text, name] of cells) {
    const td = document.createElement("td");
    td.textContent = text;
    if (name) td.className = name;
    tr.append(td);
  }
  return tr;
};
const put = (id, text) => { document.getElementById(id).textContent = text; };
const size = (bytes) => (bytes / 1048576).toFixed(1) + " MiB";
const seconds = (value) => value.toFixed(1) + " s";
const show = (s) => {
  put("state", s.state);
  put("live", s.live ? "live" : "not live");
  put("uptime", seconds(s.uptime));
  for (const [name, value] of Object.entries(s.totals)) put(name, value);
  document.getElementById("workers").replaceChildren(...s.workers.map((w) => row([
    [w.number], [w.pid], [w.state, "text"], [seconds(w.age)], [w.threads_busy], [w.threads_idle],
    [w.threads_lost], [w.queued], [w.connections], [w.requests], [size(w.memory)]])));
  document.getElementById("running").replaceChildren(...s.workers.flatMap((w) =>
    w.running.map((r) => row([[w.number], [r.line ?? "", "text line"], [r.id ?? "", "text"],
      [seconds(r.age)]]))));
};
const turn = async () => {
  try {
    show(await (await fetch("/status", { cache: "no-store" })).json());
    put("lost", "");
  } catch {
    put("lost", "The server does not respond.");
  }
  setTimeout(turn, 1000);
};
setTimeout(turn, 1000);
)js";

void append_html(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '"') {
      out += "&quot;";
    } else {
      out += c;
    }
  }
}

/// As the script shows it.
std::string tenths(core::Duration value) {
  std::string text = seconds_text(value);
  text.resize(text.size() - 2);
  return text + " s";
}
std::string mebibytes(std::uint64_t bytes) {
  const std::uint64_t in_tenths = (bytes * 10 + (1 << 19)) >> 20;
  return std::to_string(in_tenths / 10) + "." + std::to_string(in_tenths % 10) + " MiB";
}

/// A column of a table. `cls`: the class of its cells; text stands on the left, numbers do not.
struct Column {
  std::string_view name;
  std::string_view cls = {};
};
constexpr std::array<Column, 11> kWorker{{{"number"},
                                          {"pid"},
                                          {"state", "text"},
                                          {"age"},
                                          {"busy"},
                                          {"idle"},
                                          {"lost"},
                                          {"queued"},
                                          {"connections"},
                                          {"requests"},
                                          {"memory"}}};
constexpr std::array<Column, 4> kRunning{
    {{"worker"}, {"request", "text line"}, {"id", "text"}, {"age"}}};

void begin_cell(std::string& out, std::string_view tag, std::string_view cls) {
  out.append("<").append(tag);
  if (!cls.empty()) out.append(" class=\"").append(cls).append("\"");
  out += '>';
}
void cell(std::string& out, std::string_view text, std::string_view cls = {}) {
  begin_cell(out, "td", cls);
  append_html(out, text);
  out += "</td>";
}
void cell(std::string& out, std::uint64_t value) { cell(out, std::to_string(value)); }

void head_row(std::string& out, std::span<const Column> columns, std::string_view body) {
  out += "<div class=\"wide\"><table><thead><tr>";
  for (const Column& column : columns) {
    begin_cell(out, "th", column.cls);
    out.append(column.name).append("</th>");
  }
  out.append("</tr></thead><tbody id=\"").append(body).append("\">\n");
}

void total(std::string& out, std::string_view id, std::string_view name, std::uint64_t value) {
  out.append("<tr><td>").append(name).append("</td><td id=\"").append(id).append("\">");
  out.append(std::to_string(value)).append("</td></tr>\n");
}

}  // namespace

// The hashes of kStyle and kScript; a test computes them again.
const std::string_view kPagePolicy =
    "default-src 'none'; style-src 'sha256-Qt8MTLzbcvVyy7zwJULcWL2DE5x3yMzpc48wnKrjH84='; "
    "script-src 'sha256-OxWNq0Op9oW0rxmjJDLH3Mgxep8Eu1tFCcH0Zk7XHTU='; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::string page_of(const Snapshot& server, const About& about, const Health& health) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>iotax</title>\n<style>";
  out.append(kStyle).append("</style>\n</head>\n<body>\n<h1>iotax ");
  append_html(out, about.build.version);
  out.append("</h1>\n<p><span id=\"state\">");
  append_html(out, state_of(health));
  out.append("</span>, <span id=\"live\">");
  out.append(health.not_live.empty() ? "live" : "not live").append("</span>, up for ");
  out.append("<span id=\"uptime\">").append(tenths(server.unix_time - server.started));
  out.append("</span>, process ").append(std::to_string(server.process_id)).append("</p>\n<p>");
  for (const std::string& listener : about.listeners) {
    append_html(out, listener);
    out += ' ';
  }
  out.append("</p>\n<p id=\"lost\" role=\"status\"></p>\n<h2>Workers</h2>\n");
  head_row(out, kWorker, "workers");
  for (const WorkerSnapshot& worker : server.workers) {
    out += "<tr>";
    cell(out, worker.number);
    cell(out, worker.process_id);
    cell(out, word_of(worker.state), "text");
    cell(out, tenths(server.unix_time - worker.started));
    for (const std::uint64_t value : {worker.threads_busy, worker.threads_idle, worker.threads_lost,
                                      worker.queued, worker.connections, worker.requests}) {
      cell(out, value);
    }
    cell(out, mebibytes(worker.resident_bytes));
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n<h2>Running requests</h2>\n";
  head_row(out, kRunning, "running");
  for (const WorkerSnapshot& worker : server.workers) {
    for (const RunningRequest& running : worker.running) {
      out += "<tr>";
      cell(out, worker.number);
      cell(out, about.shows_requests ? running.line : "", "text line");
      cell(out, about.shows_requests ? running.id : "", "text");
      cell(out, tenths(running.age));
      out += "</tr>\n";
    }
  }
  out += "</tbody></table></div>\n<h2>Since the start</h2>\n<table><tbody>\n";
  using driver::CounterIndex;
  total(out, "requests", "requests", server.requests());
  total(out, "rejected", "responses of the server itself", server.rejected());
  total(out, "connections_accepted", "connections", server.accepted);
  total(out, "received_bytes", "bytes received", server.counts[CounterIndex::kReceivedBytes]);
  total(out, "sent_bytes", "bytes sent", server.counts[CounterIndex::kSentBytes]);
  total(out, "worker_starts", "workers started", server.starts);
  out += "</tbody></table>\n<script>";
  out.append(kScript).append("</script>\n</body>\n</html>\n");
  return out;
}

}  // namespace iotax::admin
