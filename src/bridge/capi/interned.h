// The str objects that every request needs: keys of environ and constant values. Created once per
// process and never released.
#pragma once

#include <Python.h>

namespace iotax::bridge {

struct InternedStrings {
  // environ, in the order of PEP 3333 and RFC 3875
  PyObject* request_method;
  PyObject* script_name;
  PyObject* path_info;
  PyObject* query_string;
  PyObject* content_length;
  PyObject* content_type;
  PyObject* server_name;
  PyObject* server_port;
  PyObject* server_protocol;
  PyObject* server_software;
  PyObject* gateway_interface;
  PyObject* remote_addr;
  PyObject* remote_port;
  PyObject* request_uri;
  PyObject* raw_uri;
  PyObject* http_host;
  PyObject* wsgi_version;
  PyObject* wsgi_url_scheme;
  PyObject* wsgi_input;
  PyObject* wsgi_input_terminated;
  PyObject* wsgi_errors;
  PyObject* wsgi_multithread;
  PyObject* wsgi_multiprocess;
  PyObject* wsgi_run_once;
  PyObject* wsgi_file_wrapper;
  PyObject* wsgi_early_hints;
  PyObject* request_id;
  PyObject* client_disconnected;
  PyObject* proxy_protocol;
  PyObject* proxy_addr;
  PyObject* proxy_port;
  PyObject* proxy_tlvs;
  // values
  PyObject* empty;
  PyObject* slash;
  PyObject* get;
  PyObject* http_1_0;
  PyObject* http_1_1;
  PyObject* http;
  PyObject* https;
  // attributes
  PyObject* close;
  PyObject* read;
  PyObject* exc_info;
};

/// Create the strings of interned(). false: a Python exception is set.
[[nodiscard]] bool init_names();
[[nodiscard]] const InternedStrings& interned() noexcept;

}  // namespace iotax::bridge
