#include "bridge/capi/interned.h"

namespace iotax::bridge {
namespace {

struct Entry {
  PyObject* InternedStrings::*member;
  const char* text;
};

constexpr Entry kEntries[] = {
    {&InternedStrings::request_method, "REQUEST_METHOD"},
    {&InternedStrings::script_name, "SCRIPT_NAME"},
    {&InternedStrings::path_info, "PATH_INFO"},
    {&InternedStrings::query_string, "QUERY_STRING"},
    {&InternedStrings::content_length, "CONTENT_LENGTH"},
    {&InternedStrings::content_type, "CONTENT_TYPE"},
    {&InternedStrings::server_name, "SERVER_NAME"},
    {&InternedStrings::server_port, "SERVER_PORT"},
    {&InternedStrings::server_protocol, "SERVER_PROTOCOL"},
    {&InternedStrings::server_software, "SERVER_SOFTWARE"},
    {&InternedStrings::gateway_interface, "GATEWAY_INTERFACE"},
    {&InternedStrings::remote_addr, "REMOTE_ADDR"},
    {&InternedStrings::remote_port, "REMOTE_PORT"},
    {&InternedStrings::request_uri, "REQUEST_URI"},
    {&InternedStrings::raw_uri, "RAW_URI"},
    {&InternedStrings::http_host, "HTTP_HOST"},
    {&InternedStrings::wsgi_version, "wsgi.version"},
    {&InternedStrings::wsgi_url_scheme, "wsgi.url_scheme"},
    {&InternedStrings::wsgi_input, "wsgi.input"},
    {&InternedStrings::wsgi_input_terminated, "wsgi.input_terminated"},
    {&InternedStrings::wsgi_errors, "wsgi.errors"},
    {&InternedStrings::wsgi_multithread, "wsgi.multithread"},
    {&InternedStrings::wsgi_multiprocess, "wsgi.multiprocess"},
    {&InternedStrings::wsgi_run_once, "wsgi.run_once"},
    {&InternedStrings::wsgi_file_wrapper, "wsgi.file_wrapper"},
    {&InternedStrings::wsgi_early_hints, "wsgi.early_hints"},
    {&InternedStrings::request_id, "iotax.request_id"},
    {&InternedStrings::client_disconnected, "iotax.client_disconnected"},
    {&InternedStrings::proxy_protocol, "PROXY_PROTOCOL"},
    {&InternedStrings::proxy_addr, "PROXY_ADDR"},
    {&InternedStrings::proxy_port, "PROXY_PORT"},
    {&InternedStrings::proxy_tlvs, "iotax.proxy_tlvs"},
    {&InternedStrings::empty, ""},
    {&InternedStrings::slash, "/"},
    {&InternedStrings::get, "GET"},
    {&InternedStrings::http_1_0, "HTTP/1.0"},
    {&InternedStrings::http_1_1, "HTTP/1.1"},
    {&InternedStrings::http, "http"},
    {&InternedStrings::https, "https"},
    {&InternedStrings::close, "close"},
    {&InternedStrings::read, "read"},
    {&InternedStrings::exc_info, "exc_info"},
};

static_assert(sizeof(InternedStrings) == sizeof(kEntries) / sizeof(Entry) * sizeof(PyObject*),
              "every name has an entry");

InternedStrings all_interned{};

}  // namespace

bool init_names() {
  for (const Entry& entry : kEntries) {
    PyObject*& name = all_interned.*entry.member;
    if (name != nullptr) continue;
    name = PyUnicode_InternFromString(entry.text);
    if (name == nullptr) return false;
    if (PyObject_Hash(name) == -1) return false;  // caches the hash for PyDict_SetItem()
  }
  return true;
}

const InternedStrings& interned() noexcept { return all_interned; }

}  // namespace iotax::bridge
