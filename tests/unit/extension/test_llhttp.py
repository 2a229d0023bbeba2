"""Which llhttp the build takes, over small stand-ins for the real one."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HEADER = """
#define LLHTTP_VERSION_MAJOR 9
#define LLHTTP_VERSION_MINOR 3
typedef struct { int state; } llhttp_t;
typedef struct { int on; } llhttp_settings_t;
#define HTTP_REQUEST 1
void llhttp_settings_init(llhttp_settings_t*);
void llhttp_init(llhttp_t*, int, const llhttp_settings_t*);
int llhttp_execute(llhttp_t*, const char*, unsigned long);
"""
SOURCE = """
#include <llhttp.h>
static int count;
int* llhttp_table[] = {&count, &count};
void llhttp_settings_init(llhttp_settings_t* s) { s->on = **llhttp_table; }
void llhttp_init(llhttp_t* p, int n, const llhttp_settings_t* s) { p->state = n + s->on; }
int llhttp_execute(llhttp_t* p, const char* d, unsigned long n) {
  return *llhttp_table[p->state + (n ? d[0] : 0) & 1];
}
"""
PROJECT = f"""
cmake_minimum_required(VERSION 3.25)
project(user VERSION 1 LANGUAGES C CXX)
set(IOTAX_LLHTTP_FETCH_PACKAGE OFF)
include("{ROOT}/cmake/Llhttp.cmake")
add_library(user MODULE user.c)
target_link_libraries(user PRIVATE iotax_llhttp)
"""
USER = """
#include <llhttp.h>
int user(const char* d) { llhttp_t p; llhttp_settings_t s; llhttp_settings_init(&s);
  llhttp_init(&p, HTTP_REQUEST, &s); return llhttp_execute(&p, d, 1); }
"""


def make_project(top: Path, flag: str) -> Path:
    """A project that uses llhttp, and an installed archive made with `flag`: its prefix."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler
    system = top / "system"
    for name in ("include", "lib"):
        (system / name).mkdir(parents=True)
    (system / "include/llhttp.h").write_text(HEADER)
    (top / "llhttp.c").write_text(SOURCE)
    (top / "CMakeLists.txt").write_text(PROJECT)
    (top / "user.c").write_text(USER)
    made = [compiler, flag, "-O2", "-c", f"-I{system}/include", "llhttp.c", "-o", "llhttp.o"]
    subprocess.run(made, cwd=top, check=True)
    subprocess.run(["ar", "rcs", system / "lib/libllhttp.a", "llhttp.o"], cwd=top, check=True)
    return system


def write_release(directory: Path) -> Path:
    """The files of a release, of which one has all the code."""
    for name in ("include", "src"):
        (directory / name).mkdir(parents=True)
    (directory / "include/llhttp.h").write_text(HEADER)
    (directory / "src/llhttp.c").write_text(SOURCE)
    for name in ("api.c", "http.c"):
        (directory / "src" / name).write_text("extern int nothing;\n")
    return directory


def build(top: Path, system: Path, *definitions: str) -> str:
    """Configure and compile the project. Returns what CMake printed when it configured."""
    command = ["cmake", "-G", "Ninja", "-B", "build", f"-DCMAKE_PREFIX_PATH={system}"]
    configured = subprocess.run(
        [*command, *definitions, "."], cwd=top, capture_output=True, text=True, check=True
    )
    built = subprocess.run(["cmake", "--build", "build"], cwd=top, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout
    return configured.stdout


@pytest.mark.parametrize(("flag", "taken"), [("-fPIC", True), ("-fno-pic", False)])
def test_an_archive_that_no_shared_object_can_be_made_of_is_passed_over(
    tmp_path: Path, flag: str, taken: bool
) -> None:
    system = make_project(tmp_path, flag)
    upstream = write_release(tmp_path / "upstream")

    said = build(tmp_path, system, f"-DFETCHCONTENT_SOURCE_DIR_LLHTTP={upstream}")

    archive = f"{system}/lib/libllhttp.a"
    source = archive if taken else str(upstream)
    assert f"iotax: llhttp from {source}" in said, said
    passed_over = f"iotax: {archive} is passed over, it cannot be linked into a shared object: "
    assert (passed_over in said) == (not taken)
    assert taken or "relocation" in said.partition(passed_over)[2].splitlines()[0]


@pytest.mark.parametrize(("flag", "taken"), [("-fPIC", True), ("-fno-pic", False)])
def test_carried_files_are_compiled_where_no_archive_is_usable(
    tmp_path: Path, flag: str, taken: bool
) -> None:
    system = make_project(tmp_path, flag)
    carried = write_release(tmp_path / "third_party" / "llhttp")

    said = build(tmp_path, system)

    source = f"{system}/lib/libllhttp.a" if taken else str(carried)
    assert f"iotax: llhttp from {source}" in said, said


def test_changed_files_of_llhttp_do_not_enter_a_source_distribution(tmp_path: Path) -> None:
    (tmp_path / "cmake").mkdir()
    for name in ("CarryLlhttp.cmake", "LlhttpRelease.cmake"):
        shutil.copy(ROOT / "cmake" / name, tmp_path / "cmake")
    carried = write_release(tmp_path / "third_party" / "llhttp")
    (carried / "LICENSE").write_text("changed")

    done = subprocess.run(
        ["cmake", "-P", "cmake/CarryLlhttp.cmake"], cwd=tmp_path, capture_output=True, text=True
    )

    assert done.returncode != 0
    assert "LICENSE is not that of llhttp" in " ".join(done.stderr.split())
