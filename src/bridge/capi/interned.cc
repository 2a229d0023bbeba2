#include "bridge/capi/interned.h"

namespace iotax::bridge {
namespace {

struct Entry {
  PyObject* Names::*member;
  const char* text;
};

constexpr Entry kEntries[] = {
    {&Names::request_method, "REQUEST_METHOD"},
    {&Names::script_name, "SCRIPT_NAME"},
    {&Names::path_info, "PATH_INFO"},
    {&Names::query_string, "QUERY_STRING"},
    {&Names::content_length, "CONTENT_LENGTH"},
    {&Names::content_type, "CONTENT_TYPE"},
    {&Names::server_name, "SERVER_NAME"},
    {&Names::server_port, "SERVER_PORT"},
    {&Names::server_protocol, "SERVER_PROTOCOL"},
    {&Names::server_software, "SERVER_SOFTWARE"},
    {&Names::gateway_interface, "GATEWAY_INTERFACE"},
    {&Names::remote_addr, "REMOTE_ADDR"},
    {&Names::remote_port, "REMOTE_PORT"},
    {&Names::request_uri, "REQUEST_URI"},
    {&Names::raw_uri, "RAW_URI"},
    {&Names::http_host, "HTTP_HOST"},
    {&Names::wsgi_version, "wsgi.version"},
    {&Names::wsgi_url_scheme, "wsgi.url_scheme"},
    {&Names::wsgi_input, "wsgi.input"},
    {&Names::wsgi_input_terminated, "wsgi.input_terminated"},
    {&Names::wsgi_errors, "wsgi.errors"},
    {&Names::wsgi_multithread, "wsgi.multithread"},
    {&Names::wsgi_multiprocess, "wsgi.multiprocess"},
    {&Names::wsgi_run_once, "wsgi.run_once"},
    {&Names::wsgi_file_wrapper, "wsgi.file_wrapper"},
    {&Names::wsgi_early_hints, "wsgi.early_hints"},
    {&Names::request_id, "iotax.request_id"},
    {&Names::client_disconnected, "iotax.client_disconnected"},
    {&Names::empty, ""},
    {&Names::slash, "/"},
    {&Names::get, "GET"},
    {&Names::http_1_0, "HTTP/1.0"},
    {&Names::http_1_1, "HTTP/1.1"},
    {&Names::http, "http"},
    {&Names::https, "https"},
    {&Names::close, "close"},
    {&Names::read, "read"},
    {&Names::exc_info, "exc_info"},
};

static_assert(sizeof(Names) == sizeof(kEntries) / sizeof(Entry) * sizeof(PyObject*),
              "every name has an entry");

Names all_names{};

}  // namespace

bool init_names() {
  for (const Entry& entry : kEntries) {
    PyObject*& name = all_names.*entry.member;
    if (name != nullptr) continue;
    name = PyUnicode_InternFromString(entry.text);
    if (name == nullptr) return false;
    if (PyObject_Hash(name) == -1) return false;  // caches the hash for PyDict_SetItem()
  }
  return true;
}

const Names& names() noexcept { return all_names; }

}  // namespace iotax::bridge
