// Floors B0 and B: the extension module iotax_floors. Everything runs in one thread, which releases
// the GIL only to wait.
// B0 is floor A1 with one call of app(environ, start_response), whose arguments are created once;
// it drops the result and sends the constant response. B creates a complete environ for each
// request and builds the response from status, headers and body: the cost of WSGI itself. An
// application error ends the server.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "floors/request.h"
#include "floors/serve.h"

namespace {

using iotax::bench::Answers;
using iotax::bench::Field;
using iotax::bench::Then;

struct Release {
  void operator()(PyObject* object) const noexcept { Py_DECREF(object); }
};
using Ref = std::unique_ptr<PyObject, Release>;  // owns one reference

Ref latin1(std::string_view text) {
  return Ref{PyUnicode_DecodeLatin1(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr)};
}

Ref interned(const char* text) { return Ref{PyUnicode_InternFromString(text)}; }

// ---- start_response: stores two references, as cheaply as a callable can

struct StartResponse {
  PyObject_HEAD vectorcallfunc vectorcall;
  PyObject* status;
  PyObject* headers;
};

PyObject* start_response(PyObject* self, PyObject* const* args, std::size_t flags,
                         PyObject* names) {
  if (PyVectorcall_NARGS(flags) < 2 || names != nullptr) {
    PyErr_SetString(PyExc_TypeError, "start_response(status, headers)");
    return nullptr;
  }
  auto* me = reinterpret_cast<StartResponse*>(self);
  Py_XSETREF(me->status, Py_NewRef(args[0]));
  Py_XSETREF(me->headers, Py_NewRef(args[1]));
  Py_RETURN_NONE;
}

void start_response_dealloc(PyObject* self) {
  auto* me = reinterpret_cast<StartResponse*>(self);
  Py_XDECREF(me->status);
  Py_XDECREF(me->headers);
  PyObject_Free(self);
}

PyTypeObject start_response_type = [] {
  PyTypeObject type{};
  Py_SET_REFCNT(&type, 1);
  type.tp_name = "iotax_floors.StartResponse";
  type.tp_basicsize = sizeof(StartResponse);
  type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL;
  type.tp_vectorcall_offset = offsetof(StartResponse, vectorcall);
  type.tp_call = PyVectorcall_Call;
  type.tp_dealloc = start_response_dealloc;
  return type;
}();

Ref make_start_response() {
  StartResponse* made = PyObject_New(StartResponse, &start_response_type);
  if (made == nullptr) return nullptr;
  made->vectorcall = start_response;
  made->status = nullptr;
  made->headers = nullptr;
  return Ref{reinterpret_cast<PyObject*>(made)};
}

// ---- shared by both floors; one server per process

struct Shared {
  PyObject* app = nullptr;   // borrowed from the caller of serve_*()
  PyObject* base = nullptr;  // the part of environ that is the same for every request; borrowed too
};
Shared shared;

Ref call(PyObject* environ, PyObject* start) {
  PyObject* arguments[3] = {nullptr, environ, start};
  return Ref{
      PyObject_Vectorcall(shared.app, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr)};
}

class SessionB0 {
 public:
  using Parser = iotax::bench::Requests<SessionB0, Answers>;

  Then receive(std::string_view bytes, Answers& answers) {
    return parser_.receive(bytes, answers) ? Then::keep : Then::close;
  }
  bool complete(const Parser&, Answers& answers) {
    static PyObject* const start = make_start_response().release();
    if (start == nullptr || !call(shared.base, start)) return false;
    answers.append(iotax::bench::kAnswer);
    return true;
  }

 private:
  Parser parser_{*this};
};

/// The keys and values that are created once, for the life of the process: nothing frees them after
/// Python is finalized.
struct Names {
  PyObject* request_method = interned("REQUEST_METHOD").release();
  PyObject* path_info = interned("PATH_INFO").release();
  PyObject* query_string = interned("QUERY_STRING").release();
  PyObject* remote_addr = interned("REMOTE_ADDR").release();
  PyObject* get = interned("GET").release();
  PyObject* empty = interned("").release();
  PyObject* loopback = interned("127.0.0.1").release();
};

class SessionB {
 public:
  using Parser = iotax::bench::Requests<SessionB, Answers>;

  Then receive(std::string_view bytes, Answers& answers) {
    return parser_.receive(bytes, answers) ? Then::keep : Then::close;
  }

  bool complete(const Parser& request, Answers& answers) {
    const Ref environ = make_environ(request);
    const Ref start = make_start_response();
    if (!environ || !start) return false;
    const Ref result = call(environ.get(), start.get());
    return result &&
           serialize(*reinterpret_cast<StartResponse*>(start.get()), result.get(), answers);
  }

 private:
  static Ref make_environ(const Parser& request) {
    static const Names names;
    Ref environ{PyDict_Copy(shared.base)};
    if (!environ) return nullptr;
    const auto set = [&environ](PyObject* key, PyObject* value) {
      return key != nullptr && value != nullptr && PyDict_SetItem(environ.get(), key, value) == 0;
    };
    const std::string_view target = request.target();
    const auto mark = target.find('?');
    const Ref path = latin1(target.substr(0, mark));
    const Ref query =
        mark == target.npos ? Ref{Py_NewRef(names.empty)} : latin1(target.substr(mark + 1));
    const Ref method = request.method() == HTTP_GET
                           ? Ref{Py_NewRef(names.get)}
                           : interned(llhttp_method_name(request.method()));
    if (!set(names.request_method, method.get()) || !set(names.path_info, path.get()) ||
        !set(names.query_string, query.get()) || !set(names.remote_addr, names.loopback)) {
      return nullptr;
    }
    for (const Field& field : request) {
      const Ref value = latin1(field.value);
      if (!set(key_of(field.name), value.get())) return nullptr;
    }
    return environ;
  }

  /// HTTP_NAME for a header name as received; each spelling is created once.
  static PyObject* key_of(std::string_view name) {
    struct Key {
      std::string wire;
      PyObject* key;  // for the life of the process
    };
    static std::vector<Key> known;
    for (const Key& key : known) {
      if (key.wire == name) return key.key;
    }
    std::string text = "HTTP_";
    for (const char c : name) {
      const bool lower = c >= 'a' && c <= 'z';
      text += c == '-' ? '_' : lower ? static_cast<char>(c - 'a' + 'A') : c;
    }
    known.push_back({std::string{name}, interned(text.c_str()).release()});
    return known.back().key;
  }

  static bool append(PyObject* text, Answers& answers) {
    Py_ssize_t size = 0;
    const char* bytes = PyUnicode_AsUTF8AndSize(text, &size);
    if (bytes == nullptr) return false;
    answers.append({bytes, static_cast<std::size_t>(size)});
    return true;
  }

  /// Write one status line, the application's headers, and the only block of a list. Anything else
  /// raises TypeError.
  static bool serialize(const StartResponse& start, PyObject* result, Answers& answers) {
    if (start.headers == nullptr || !PyList_Check(start.headers) || !PyList_Check(result) ||
        PyList_GET_SIZE(result) != 1 || !PyBytes_Check(PyList_GET_ITEM(result, 0))) {
      PyErr_SetString(PyExc_TypeError, "floor B serves a list with one block of bytes");
      return false;
    }
    answers.append("HTTP/1.1 ");
    if (!append(start.status, answers)) return false;
    answers.append(iotax::bench::kHeadAfterStatus);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(start.headers); ++i) {
      PyObject* header = PyList_GET_ITEM(start.headers, i);
      if (!PyTuple_Check(header) || PyTuple_GET_SIZE(header) != 2) {
        PyErr_SetString(PyExc_TypeError, "a header is a tuple of two str");
        return false;
      }
      if (!append(PyTuple_GET_ITEM(header, 0), answers)) return false;
      answers.append(": ");
      if (!append(PyTuple_GET_ITEM(header, 1), answers)) return false;
      answers.append("\r\n");
    }
    answers.append("\r\n");
    PyObject* block = PyList_GET_ITEM(result, 0);
    answers.append({PyBytes_AS_STRING(block), static_cast<std::size_t>(PyBytes_GET_SIZE(block))});
    return true;
  }

  Parser parser_{*this};
};

// ---- the module

/// Wait for events. Polls with the GIL held first and releases it only to wait. Below 0: a Python
/// error is set.
int wait_for_events(int epoll, epoll_event* into, int room) {
  if (PyErr_Occurred() != nullptr) return -1;
  int count = ::epoll_wait(epoll, into, room, 0);
  if (count == 0) {
    Py_BEGIN_ALLOW_THREADS count = ::epoll_wait(epoll, into, room, -1);
    Py_END_ALLOW_THREADS
  }
  if (count < 0 && PyErr_CheckSignals() == 0) return 0;  // interrupted, and no handler raised
  return count;
}

template <class Session>
PyObject* serve(PyObject*, PyObject* arguments) {
  unsigned short wanted = 0;
  if (PyArg_ParseTuple(arguments, "OO!H", &shared.app, &PyDict_Type, &shared.base, &wanted) == 0)
    return nullptr;
  const auto [listener, port] = iotax::bench::listen_on(wanted);
  if (listener) {
    iotax::bench::announce(port);
    if (iotax::bench::serve<Session>(listener, wait_for_events)) return nullptr;
  }
  return PyErr_SetFromErrno(PyExc_OSError);
}

PyMethodDef functions[] = {{"serve_b0", serve<SessionB0>, METH_VARARGS,
                            "serve_b0(app, environ, port): floor B0; ends with an exception"},
                           {"serve_b", serve<SessionB>, METH_VARARGS,
                            "serve_b(app, environ, port): floor B; ends with an exception"},
                           {nullptr, nullptr, 0, nullptr}};

PyModuleDef module = [] {
  PyModuleDef made{};
  Py_SET_REFCNT(&made, 1);
  made.m_name = "iotax_floors";
  made.m_size = -1;
  made.m_methods = functions;
  return made;
}();

}  // namespace

PyMODINIT_FUNC PyInit_iotax_floors() {
  if (PyType_Ready(&start_response_type) < 0) return nullptr;
  return PyModule_Create(&module);
}
