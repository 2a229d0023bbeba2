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


@pytest.mark.parametrize(("flag", "taken"), [("-fPIC", True), ("-fno-pic", False)])
def test_an_archive_that_no_shared_object_can_be_made_of_is_passed_over(
    tmp_path: Path, flag: str, taken: bool
) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler
    system, upstream = tmp_path / "system", tmp_path / "upstream"
    for directory in (system / "include", system / "lib", upstream / "include", upstream / "src"):
        directory.mkdir(parents=True)
    for directory in (system, upstream):
        (directory / "include/llhttp.h").write_text(HEADER)
    (tmp_path / "llhttp.c").write_text(SOURCE)
    (upstream / "src/llhttp.c").write_text(SOURCE)
    for name in ("api.c", "http.c"):
        (upstream / "src" / name).write_text("extern int nothing;\n")
    made = [compiler, flag, "-O2", "-c", f"-I{system}/include", "llhttp.c", "-o", "llhttp.o"]
    subprocess.run(made, cwd=tmp_path, check=True)
    subprocess.run(["ar", "rcs", system / "lib/libllhttp.a", "llhttp.o"], cwd=tmp_path, check=True)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    (tmp_path / "user.c").write_text(USER)

    configured = subprocess.run(
        [
            *("cmake", "-G", "Ninja", "-B", "build", f"-DCMAKE_PREFIX_PATH={system}"),
            *(f"-DFETCHCONTENT_SOURCE_DIR_LLHTTP={upstream}", "."),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    built = subprocess.run(
        ["cmake", "--build", "build"], cwd=tmp_path, capture_output=True, text=True
    )

    archive = f"{system}/lib/libllhttp.a"
    source = archive if taken else str(upstream)
    assert f"iotax: llhttp from {source}" in configured.stdout, configured.stdout
    passed_over = f"iotax: {archive} is passed over, it cannot be linked into a shared object: "
    assert (passed_over in configured.stdout) == (not taken)
    assert taken or "relocation" in configured.stdout.partition(passed_over)[2].splitlines()[0]
    assert built.returncode == 0, built.stdout
