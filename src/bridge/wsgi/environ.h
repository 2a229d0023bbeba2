// environ: converts a request to the dict that the application gets (PEP 3333, "environ Variables";
// RFC 3875). It decides names and values; core has already validated the request.
#pragma once

#include <Python.h>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bridge/capi/gil.h"
#include "bridge/capi/ref.h"
#include "bridge/capi/text.h"
#include "bridge/wsgi/forwarded.h"
#include "bridge/wsgi/request.h"
#include "driver/application.h"
#include "driver/log/log.h"

namespace iotax::bridge {

struct EnvironOptions {
  bool multithread = false;
  bool multiprocess = false;
  std::string server_name;  // "": the local address of the connection
  std::string version;      // of iotax
  TrustedPeers trusted;
  TrustedPeers proxy_peers;  // who may send a PROXY header
  BelievedFields believed;
  /// Keys that the access log shows, each with its index in driver::AccessFormat::collected().
  std::vector<std::pair<std::size_t, std::string>> logged;
};

/// How environ treats a header, apart from its key.
enum class FieldKind : std::uint8_t {
  plain,
  frequent,   // its value often repeats: the last str made of it is cached
  cookie,     // repeats are joined with "; " (RFC 6265 §5.4)
  forwarded,  // Forwarded, X-Forwarded-For, -Proto, -Host, -Port, -Prefix
};

/// Keys of headers by their spelling in the request. Direct-mapped, so its size is limited whatever
/// names clients send.
class FieldKeys {
 public:
  static constexpr std::size_t kEntries = 256;
  static constexpr std::size_t kNameBytesMax = 48;  // longer names get a new key each time

  struct Entry {
    Ref key;         // "HTTP_USER_AGENT"
    Ref last_value;  // of FieldKind::frequent
    FieldKind kind = FieldKind::plain;
    std::uint8_t name_bytes = 0;
    std::array<char, kNameBytesMax> name{};
  };

  /// The entry of `name`. Null with an exception if memory runs out. Valid until the next call.
  [[nodiscard]] Entry* find(std::string_view name) noexcept;

 private:
  [[nodiscard]] Entry* fill(Entry& entry, std::string_view name) noexcept;

  std::array<Entry, kEntries> entries_;
  Entry long_name_;
};

/// Tables that the threads of a worker share. Accessed with the GIL held.
struct EnvironTables {
  FieldKeys fields;
  Memo<64> methods;
  Memo<16> addresses;
  Memo<256> ports;
  bool warned_of_proxy = false;
  bool warned_of_prefix = false;
};

/// The callables and streams in environ that belong to one application thread. Borrowed for the
/// call.
struct EnvironObjects {
  PyObject* input = nullptr;
  PyObject* errors = nullptr;
  PyObject* early_hints = nullptr;
  PyObject* client_disconnected = nullptr;
};

/// Creates environs for one application thread from a template: a dict with a value for every key
/// that is always present and with 64 slots, so that a copy need not grow for the headers of a
/// browser or the keys of a framework.
class Environ {
 public:
  /// `options`, `tables` and `log` are borrowed and must outlive the object.
  Environ(const EnvironOptions& options, EnvironTables& tables, driver::Log& log) noexcept
      : options_(options), tables_(tables), log_(log) {}

  /// Create the template, or replace its objects. false: a Python exception is set.
  [[nodiscard]] bool prepare(const Gil& gil, const EnvironObjects& objects);
  /// A new dict for the request. Empty with an exception if memory runs out.
  [[nodiscard]] Ref make(const Gil& gil, const driver::Exchange& exchange, RequestTexts& texts);

 private:
  [[nodiscard]] bool follow_connection(const driver::Peer& peer);
  [[nodiscard]] bool set_target(PyObject* env, const core::Head& head, RequestTexts& texts);
  [[nodiscard]] bool set_fields(PyObject* env, const core::Head& head, bool& forwarded);
  [[nodiscard]] bool set_rare(const Gil& gil, PyObject* env, const driver::Exchange& exchange,
                              bool forwarded);
  [[nodiscard]] bool set_proxy_header(PyObject* env, const core::ProxyHeader& header);
  void warn_of_proxy(const driver::Peer& peer);
  void warn_of_prefix(const driver::Peer& peer, std::string_view prefix);

  const EnvironOptions& options_;
  EnvironTables& tables_;
  driver::Log& log_;
  Ref template_;
  // The connection whose addresses are in the template, if any.
  bool follows_ = false;
  std::string remote_addr_;
  std::string local_addr_;
  std::string local_port_;
};

}  // namespace iotax::bridge
