#include "bridge/wsgi/file_wrapper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge/capi/interned.h"
#include "bridge/capi/ref.h"
#include "bridge/capi/static_type.h"
#include "driver/os/sys.h"

namespace iotax::bridge {
namespace {

constexpr Py_ssize_t kBlockBytes = 64 * 1024;

struct FileWrapper {
  PyObject_HEAD PyObject* file;
  PyObject* block_bytes;  // int
};

FileWrapper& wrapper_of(PyObject* self) noexcept { return *reinterpret_cast<FileWrapper*>(self); }

/// io's file types. Compared by exact type, so that a subclass with its own read() is iterated.
struct IoTypes {
  PyObject* file_io = nullptr;
  PyObject* buffered_reader = nullptr;
  PyObject* buffered_random = nullptr;
};
IoTypes io_types;

PyObject* new_wrapper(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  if (kwargs != nullptr && PyDict_GET_SIZE(kwargs) != 0) {
    PyErr_SetString(
        PyExc_TypeError,
        "wsgi.file_wrapper takes positional arguments only: file_wrapper(file, block_size)");
    return nullptr;
  }
  PyObject* file = nullptr;
  Py_ssize_t block = kBlockBytes;
  if (!PyArg_ParseTuple(args, "O|n:wsgi.file_wrapper", &file, &block)) return nullptr;
  const Ref block_bytes = Ref::steal(PyLong_FromSsize_t(block > 0 ? block : kBlockBytes));
  if (!block_bytes) return nullptr;
  PyObject* const self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  wrapper_of(self).file = Py_NewRef(file);
  wrapper_of(self).block_bytes = Py_NewRef(block_bytes.get());
  return self;
}

/// The file, referenced for a call that may take long. Empty with an exception if the garbage
/// collector has cleared the wrapper.
Ref file_of(const FileWrapper& wrapper) {
  if (wrapper.file == nullptr)
    PyErr_SetString(PyExc_ValueError, "wsgi.file_wrapper: its file was released");
  return Ref::borrow(wrapper.file);
}

PyObject* next_block(PyObject* self) {
  const FileWrapper& wrapper = wrapper_of(self);
  const Ref file = file_of(wrapper);
  if (!file) return nullptr;
  PyObject* const block =
      PyObject_CallMethodOneArg(file.get(), interned().read, wrapper.block_bytes);
  if (block == nullptr) return nullptr;
  const int more = PyObject_IsTrue(block);
  if (more > 0) return block;
  Py_DECREF(block);
  return nullptr;  // at the end, or an exception from the block's truth value
}

/// S-FW-05. Uses a close attribute set on the instance, as Django sets it.
PyObject* close_file(PyObject* self, PyObject* /*none*/) {
  const Ref file = file_of(wrapper_of(self));
  if (!file) return nullptr;
  const Ref close = Ref::steal(PyObject_GetAttr(file.get(), interned().close));
  if (!close) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return nullptr;
    PyErr_Clear();
    Py_RETURN_NONE;
  }
  return PyObject_CallNoArgs(close.get());
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(wrapper_of(self).file);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(wrapper_of(self).file);
  return 0;
}

void free_wrapper(PyObject* self) {
  PyObject_GC_UnTrack(self);
  Py_CLEAR(wrapper_of(self).file);
  Py_CLEAR(wrapper_of(self).block_bytes);
  Py_TYPE(self)->tp_free(self);
}

PyMethodDef methods[] = {
    {"close", close_file, METH_NOARGS, "close(): close the file, if it can be closed"},
    {nullptr, nullptr, 0, nullptr},
};

PyTypeObject wrapper_type = [] {
  PyTypeObject type = static_type("iotax.file_wrapper",
                                  "file_wrapper(file, block_size=65536): its blocks; a plain file "
                                  "is sent by the server itself.",
                                  sizeof(FileWrapper), free_wrapper);
  type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE;
  type.tp_new = new_wrapper;
  type.tp_traverse = traverse;
  type.tp_clear = clear;
  type.tp_iter = PyObject_SelfIter;
  type.tp_iternext = next_block;
  type.tp_methods = methods;
  return type;
}();

bool has_type(PyObject* object, PyObject* type) noexcept {
  return reinterpret_cast<PyObject*>(Py_TYPE(object)) == type;
}

/// Whether it is a plain file of io, unbuffered or buffered, with its original read().
bool is_plain(PyObject* file) {
  if (!has_type(file, io_types.file_io)) {
    if (!has_type(file, io_types.buffered_reader) && !has_type(file, io_types.buffered_random))
      return false;
    const Ref raw = Ref::steal(PyObject_GetAttrString(file, "raw"));
    if (!raw || !has_type(raw.get(), io_types.file_io)) return false;
  }
  const Ref attributes = Ref::steal(PyObject_GenericGetDict(file, nullptr));
  return attributes && PyDict_Contains(attributes.get(), interned().read) == 0;
}

/// The non-negative result of a method without arguments; nothing if it raises or returns something
/// else.
std::optional<std::int64_t> number_from(PyObject* object, const char* method) {
  const Ref result = Ref::steal(PyObject_CallMethod(object, method, nullptr));
  if (!result || !PyLong_Check(result.get())) return std::nullopt;
  const std::int64_t number = PyLong_AsLongLong(result.get());
  if (number < 0) return std::nullopt;
  return number;
}

/// Whether the file contains the bytes that stat() reports. Files that the kernel generates when
/// read (/proc, /sys, cgroups, some FUSE file systems) report 0 or one page, whatever they contain,
/// and no blocks. A regular file without blocks (a single hole, or stored in the inode) has its
/// last byte.
bool has_its_size(int descriptor, const struct stat& info) {
  if (info.st_blocks != 0) return true;
  char last = 0;
  ssize_t got = 0;
  Py_BEGIN_ALLOW_THREADS;  // a FUSE file system may block
  got = ::pread(descriptor, &last, 1, info.st_size - 1);
  Py_END_ALLOW_THREADS;
  return got == 1;
}

std::optional<FilePart> part_of(PyObject* file) {
  if (!is_plain(file)) return std::nullopt;
  if (has_type(file, io_types.buffered_random)) {
    const Ref flushed = Ref::steal(PyObject_CallMethod(file, "flush", nullptr));
    if (!flushed) return std::nullopt;
  }
  // Get the descriptor last, and keep the GIL until it is duplicated: another thread may close the
  // file, and its number may then belong to another request's file.
  const auto position = number_from(file, "tell");
  const auto fd = number_from(file, "fileno");
  if (!fd || !position) return std::nullopt;
  const auto copy = driver::Sys{}.duplicate_file(static_cast<int>(*fd));
  if (!copy) return std::nullopt;
  FilePart part{.file = driver::UniqueFd{*copy}};
  struct stat info {};
  if (::fstat(part.file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  const int mode = ::fcntl(part.file.get(), F_GETFL);
  if (mode < 0 || (mode & O_ACCMODE) == O_WRONLY) return std::nullopt;
  // Use read() for a file that seems to be at its end: its reported size may be 0. Do not read from
  // it here, since some such files (/proc/kmsg) return each byte only once.
  if (info.st_size <= *position || !has_its_size(part.file.get(), info)) return std::nullopt;
  part.offset = static_cast<std::uint64_t>(*position);
  part.length = static_cast<std::uint64_t>(info.st_size - *position);
  return part;
}

}  // namespace

bool init_file_wrapper_type() {
  if (PyType_Ready(&wrapper_type) != 0) return false;
  if (io_types.buffered_random != nullptr) return true;
  const Ref io = Ref::steal(PyImport_ImportModule("io"));
  if (!io) return false;
  io_types.file_io = PyObject_GetAttrString(io.get(), "FileIO");
  io_types.buffered_reader = PyObject_GetAttrString(io.get(), "BufferedReader");
  io_types.buffered_random = PyObject_GetAttrString(io.get(), "BufferedRandom");
  return io_types.file_io != nullptr && io_types.buffered_reader != nullptr &&
         io_types.buffered_random != nullptr;
}

PyObject* file_wrapper() noexcept { return reinterpret_cast<PyObject*>(&wrapper_type); }

bool is_file_wrapper(PyObject* object) noexcept { return Py_IS_TYPE(object, &wrapper_type); }

std::optional<FilePart> file_part(PyObject* wrapper) {
  const Ref file = file_of(wrapper_of(wrapper));
  std::optional<FilePart> part = file ? part_of(file.get()) : std::nullopt;
  PyErr_Clear();
  return part;
}

}  // namespace iotax::bridge
