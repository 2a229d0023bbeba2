#include "bridge/wsgi/environ.h"

#include <algorithm>
#include <cstring>

#include "bridge/capi/interned.h"
#include "bridge/wsgi/file_wrapper.h"
#include "bridge/wsgi/input.h"
#include "core/text.h"
#include "driver/log/escape.h"

namespace iotax::bridge {
namespace {

constexpr std::size_t kFrequentBytesMax = 512;  // longer values are not cached for the next request

struct KnownField {
  std::string_view name;
  FieldKind kind;
};

constexpr KnownField kKnownFields[] = {
    {"host", FieldKind::frequent},
    {"user-agent", FieldKind::frequent},
    {"accept", FieldKind::frequent},
    {"accept-encoding", FieldKind::frequent},
    {"accept-language", FieldKind::frequent},
    {"connection", FieldKind::frequent},
    {"cookie", FieldKind::cookie},
    {"forwarded", FieldKind::forwarded},
    {"x-forwarded-for", FieldKind::forwarded},
    {"x-forwarded-proto", FieldKind::forwarded},
    {"x-forwarded-host", FieldKind::forwarded},
    {"x-forwarded-port", FieldKind::forwarded},
    {"x-forwarded-prefix", FieldKind::forwarded},
};

char upper(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c & ~0x20) : c; }

FieldKind kind_of(std::string_view name) noexcept {
  for (const KnownField& known : kKnownFields) {
    if (core::same_token(name, known.name)) return known.kind;
  }
  return FieldKind::plain;
}

/// RFC 3875 §4.1.18; Content-Type and Content-Length have their own variables (S-ENV-15).
Ref key_of(std::string_view name) {
  std::string key = "HTTP_";
  for (const char c : name) key += c == '-' ? '_' : upper(c);
  if (key == "HTTP_CONTENT_TYPE") return Ref::borrow(interned().content_type);
  if (key == "HTTP_CONTENT_LENGTH") return Ref::borrow(interned().content_length);
  Ref made = Ref::steal(ascii(key));
  if (made && PyObject_Hash(made.get()) == -1) return {};
  return made;
}

/// S-ENV-16, S-ENV-17: join the values of a repeated field in order.
[[gnu::cold]] bool join(PyObject* env, PyObject* key, PyObject* value, FieldKind kind) {
  PyObject* const before = PyDict_GetItemWithError(env, key);
  if (before == nullptr) return false;
  const Ref joined = Ref::steal(
      PyUnicode_FromFormat(kind == FieldKind::cookie ? "%U; %U" : "%U, %U", before, value));
  return joined && PyDict_SetItem(env, key, joined.get()) == 0;
}

Ref value_of(FieldKeys::Entry& entry, std::string_view text) {
  if (entry.kind != FieldKind::frequent) return Ref::steal(latin1(text));
  std::string_view last;
  if (entry.last_value && latin1_view(entry.last_value.get(), last) && core::same_text(last, text))
    return Ref::borrow(entry.last_value.get());
  Ref made = Ref::steal(latin1(text));
  if (made && text.size() <= kFrequentBytesMax) entry.last_value = Ref::borrow(made.get());
  return made;
}

bool set(PyObject* env, PyObject* key, const Ref& value) noexcept {
  return value && PyDict_SetItem(env, key, value.get()) == 0;
}

/// RFC 3875 §4.1.14: put an IPv6 address in brackets, so that it can be part of a URL.
std::string in_brackets(const std::string& host) {
  return host.find(':') == std::string::npos ? host : '[' + host + ']';
}

}  // namespace

FieldKeys::Entry* FieldKeys::find(std::string_view name) noexcept {
  if (name.size() > kNameBytesMax) [[unlikely]] {
    return fill(long_name_, name);
  }
  Entry& entry = entries_[short_hash(name) % kEntries];
  if (core::same_text({entry.name.data(), entry.name_bytes}, name) && entry.key) [[likely]] {
    return &entry;
  }
  return fill(entry, name);
}

FieldKeys::Entry* FieldKeys::fill(Entry& entry, std::string_view name) noexcept {
  entry.key = key_of(name);
  entry.last_value.reset();
  entry.kind = kind_of(name);
  const std::size_t kept = std::min(name.size(), kNameBytesMax);
  entry.name_bytes = static_cast<std::uint8_t>(kept);
  std::memcpy(entry.name.data(), name.data(), kept);
  return entry.key ? &entry : nullptr;
}

bool Environ::prepare(const Gil& /*gil*/, const EnvironObjects& objects) {
  const InternedStrings& name = interned();
  const Ref made = Ref::steal(template_ ? Py_NewRef(template_.get()) : PyDict_New());
  const Ref version = Ref::steal(Py_BuildValue("(ii)", 1, 0));
  const Ref software = Ref::steal(PyUnicode_FromFormat("iotax/%s", options_.version.c_str()));
  const Ref gateway = Ref::steal(PyUnicode_FromString("CGI/1.1"));
  if (!made || !version || !software || !gateway) return false;
  const std::pair<PyObject*, PyObject*> items[] = {
      {name.request_method, name.get},
      {name.script_name, name.empty},
      {name.path_info, name.slash},
      {name.query_string, name.empty},
      {name.request_uri, name.slash},
      {name.raw_uri, name.slash},
      {name.server_name, name.empty},
      {name.server_port, name.empty},
      {name.server_protocol, name.http_1_1},
      {name.server_software, software.get()},
      {name.gateway_interface, gateway.get()},
      {name.remote_addr, name.empty},
      {name.remote_port, name.empty},
      {name.wsgi_version, version.get()},
      {name.wsgi_url_scheme, name.http},
      {name.wsgi_input, objects.input},
      {name.wsgi_input_terminated, Py_True},
      {name.wsgi_errors, objects.errors},
      {name.wsgi_multithread, options_.multithread ? Py_True : Py_False},
      {name.wsgi_multiprocess, options_.multiprocess ? Py_True : Py_False},
      {name.wsgi_run_once, Py_False},
      {name.wsgi_file_wrapper, file_wrapper()},
      {name.wsgi_early_hints, objects.early_hints},
      {name.client_disconnected, objects.client_disconnected},
      {name.request_id, name.empty},
  };
  // With more than 21 keys the dict has a table of 64 slots, which PyDict_Copy() keeps.
  static_assert(sizeof(items) / sizeof(items[0]) > 21 && sizeof(items) / sizeof(items[0]) < 32);
  for (const auto& [key, value] : items) {
    if (PyDict_SetItem(made.get(), key, value) != 0) return false;
  }
  template_ = Ref::borrow(made.get());
  follows_ = false;
  return true;
}

/// The template has the addresses of the last connection: behind a proxy, and within one
/// connection, nothing changes.
bool Environ::follow_connection(const driver::Peer& peer) {
  const InternedStrings& name = interned();
  if (!follows_ || !core::same_text(peer.remote_addr, remote_addr_)) {
    if (!set(template_.get(), name.remote_addr, tables_.addresses.get(peer.remote_addr)))
      return false;
    remote_addr_ = peer.remote_addr;
  }
  if (!follows_ || !core::same_text(peer.local_addr, local_addr_) ||
      !core::same_text(peer.local_port, local_port_)) {
    // A Unix socket has neither; a URL needs both (S-ENV-11, S-ENV-12, beyond 3.9).
    std::string host = options_.server_name;
    const bool unix_socket = peer.local_addr.empty();
    if (host.empty()) host = unix_socket ? "localhost" : peer.local_addr;
    const std::string_view port =
        unix_socket ? std::string_view{"80"} : std::string_view{peer.local_port};
    if (!set(template_.get(), name.server_name, Ref::steal(latin1(in_brackets(host)))))
      return false;
    if (!set(template_.get(), name.server_port, Ref::steal(latin1(port)))) return false;
    local_addr_ = peer.local_addr;
    local_port_ = peer.local_port;
  }
  return follows_ = true;
}

bool Environ::set_target(PyObject* env, const core::Head& head, RequestTexts& texts) {
  const InternedStrings& name = interned();
  if (!core::same_text(head.method, "GET")) [[unlikely]] {
    texts.method = tables_.methods.get(head.method);
    if (!set(env, name.request_method, texts.method)) return false;
  }
  if (core::same_text(head.target, "/")) return true;
  texts.target = Ref::steal(latin1(head.target));
  if (!set(env, name.request_uri, texts.target) || !set(env, name.raw_uri, texts.target))
    return false;
  if (!head.query.empty() && !set(env, name.query_string, Ref::steal(latin1(head.query))))
    return false;
  if (head.path.find('%') != std::string_view::npos) {
    return set(env, name.path_info,
               Ref::steal(latin1(percent_decoded(head.path))));  // decoded once (S-ENV-06)
  }
  if (head.path.size() == head.target.size()) return set(env, name.path_info, texts.target);
  return set(env, name.path_info, Ref::steal(latin1(head.path)));
}

bool Environ::set_fields(PyObject* env, const core::Head& head, bool& forwarded) {
  for (const core::Field& field : head.fields) {
    FieldKeys::Entry* const entry = tables_.fields.find(field.name);
    if (entry == nullptr) return false;
    const Ref value = value_of(*entry, field.value);
    if (!value) return false;
    const Py_ssize_t keys = PyDict_GET_SIZE(env);
    if (PyDict_SetDefault(env, entry->key.get(), value.get()) == nullptr) return false;
    if (PyDict_GET_SIZE(env) == keys) [[unlikely]] {
      if (!join(env, entry->key.get(), value.get(), entry->kind)) return false;
    }
    if (entry->kind == FieldKind::forwarded) [[unlikely]]
      forwarded = true;
  }
  return true;
}

[[gnu::cold]] void Environ::warn_of_prefix(const driver::Peer& peer, std::string_view prefix) {
  tables_.warned_of_prefix = true;
  std::string text = "X-Forwarded-Prefix \"";
  driver::append_escaped(text, prefix.substr(0, driver::kShownBytesMax));
  text += "\" from " + (peer.unix_socket ? "unix" : peer.remote_addr) +
          " is ignored: when decoded, it must begin with \"/\" and not contain \"//\", \"\\\" or "
          "control "
          "character (--forwarded-headers)";
  log_.server(driver::Level::warning, text);
}

[[gnu::cold]] void Environ::warn_of_proxy(const driver::Peer& peer) {
  tables_.warned_of_proxy = true;
  const std::string from = peer.unix_socket ? "unix" : peer.remote_addr;
  log_.server(driver::Level::warning,
              "X-Forwarded-Proto from " + from +
                  " was not used: if that is your proxy, start with --forwarded-allow-ips " + from);
}

/// PROXY_PROTOCOL, PROXY_ADDR and PROXY_PORT as gunicorn has them, and the TLVs.
[[gnu::cold]] bool Environ::set_proxy_header(PyObject* env, const core::ProxyHeader& header) {
  const InternedStrings& name = interned();
  static constexpr std::array kWords{"LOCAL", "TCP4", "TCP6", "UNIX"};
  static_assert(static_cast<int>(core::ProxyTransport::unix_stream) + 1 == kWords.size());
  const auto word = kWords[static_cast<std::size_t>(header.transport)];
  if (!set(env, name.proxy_protocol, Ref::steal(ascii(word)))) return false;
  if (!header.destination.empty()) {
    const std::string port = std::to_string(header.destination_port);
    if (!set(env, name.proxy_addr, Ref::steal(ascii(header.destination))) ||
        !set(env, name.proxy_port, Ref::steal(ascii(port))))
      return false;
  }
  if (header.client_used_tls && PyDict_SetItem(env, name.wsgi_url_scheme, name.https) != 0)
    return false;
  if (header.version == 1) return true;
  const Ref list = Ref::steal(PyList_New(0));
  std::string_view rest = header.tlvs;
  while (const auto tlv = core::take_tlv(rest)) {
    const Ref value = Ref::steal(
        PyBytes_FromStringAndSize(tlv->value.data(), static_cast<Py_ssize_t>(tlv->value.size())));
    const Ref item =
        Ref::steal(value ? Py_BuildValue("(iO)", int{tlv->type}, value.get()) : nullptr);
    if (!list || !item || PyList_Append(list.get(), item.get()) != 0) return false;
  }
  return list && set(env, name.proxy_tlvs, Ref::steal(PyList_AsTuple(list.get())));
}

/// Set variables that few requests need.
[[gnu::cold]] bool Environ::set_rare(const Gil& gil, PyObject* env,
                                     const driver::Exchange& exchange, bool forwarded) {
  const InternedStrings& name = interned();
  const core::Head& head = exchange.head();
  const driver::Peer& peer = exchange.peer();
  if (head.version == core::Version::http_1_0 &&
      PyDict_SetItem(env, name.server_protocol, name.http_1_0) != 0)
    return false;
  if (peer.unix_socket && PyDict_DelItem(env, name.remote_port) != 0) return false;  // S-ENV-22
  if (peer.proxy && !set_proxy_header(env, peer.proxy->header)) return false;
  // RFC 9112 §3.2.2: the authority of an absolute-form target replaces Host.
  if (!head.target.starts_with('/') && !head.authority.empty() &&
      !set(env, name.http_host, Ref::steal(latin1(head.authority)))) {
    return false;
  }
  if (head.content == core::Content::chunked) {
    // Decoded and complete: its size is known (beyond 1.2). A body that is read as it arrives has
    // no known size.
    if (const auto bytes = exchange.body_bytes();
        bytes && !set(env, name.content_length, Ref::steal(ascii(std::to_string(*bytes))))) {
      return false;
    }
  }
  if (!forwarded) return true;
  const ForwardedFields fields = forwarded_fields(gil, env);
  if (options_.trusted.contains(peer)) {
    const Forwarding forwarding = resolve(fields, options_.trusted, options_.believed);
    if (!forwarding.bad_prefix.empty() && !tables_.warned_of_prefix)
      warn_of_prefix(peer, forwarding.bad_prefix);
    return apply_forwarding(gil, env, forwarding);
  }
  if (!fields.proto.empty() && !tables_.warned_of_proxy) warn_of_proxy(peer);
  return true;
}

Ref Environ::make(const Gil& gil, const driver::Exchange& exchange, RequestTexts& texts) {
  const InternedStrings& name = interned();
  const core::Head& head = exchange.head();
  const driver::Peer& peer = exchange.peer();
  if (!follow_connection(peer)) return {};
  Ref env = Ref::steal(PyDict_Copy(template_.get()));
  if (!env) return {};
  texts.id = Ref::steal(ascii(exchange.request_id()));
  if (!set(env.get(), name.request_id, texts.id)) return {};
  if (!set(env.get(), name.remote_port, tables_.ports.get(peer.remote_port))) return {};
  if (!set_target(env.get(), head, texts)) return {};
  bool forwarded = false;
  if (!set_fields(env.get(), head, forwarded)) return {};
  const bool rare = forwarded || head.version != core::Version::http_1_1 || peer.unix_socket ||
                    peer.proxy || !head.target.starts_with('/') ||
                    head.content == core::Content::chunked;
  if (rare && !set_rare(gil, env.get(), exchange, forwarded)) return {};
  return env;
}

}  // namespace iotax::bridge
