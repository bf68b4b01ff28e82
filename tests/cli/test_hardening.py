"""What the compiler and the linker guard in the program that reads hostile bytes, asked of the file itself (readelf).

A flag in a build file is a wish; whether a guard is in the program shows in what it was linked with: the stack
protector and FORTIFY call functions of libc's, the rest are notes and headers (ELF gABI, x86-64 psABI 1.0 for CET).
"""

import os
import pathlib
import platform
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LUNETTE = os.environ.get("LUNETTE", str(ROOT / "build" / "lunette"))

pytestmark = [
    pytest.mark.skipif(platform.system() != "Linux", reason="ELF is Linux's"),
    pytest.mark.skipif(not shutil.which("readelf"), reason="readelf is not installed"),
    pytest.mark.skipif(os.environ.get("LUNETTE_SANITIZE", "0") not in ("0", "OFF", ""), reason="a sanitizer's build has guards of its own"),
]


def readelf(option):
    return subprocess.run(["readelf", "-W", option, LUNETTE], capture_output=True, text=True, check=True).stdout


def test_is_loaded_anywhere():
    assert re.search(r"Type:\s+DYN", readelf("-h"))
    assert "PIE" in readelf("-d")


def test_its_tables_are_read_only_once_it_runs():
    assert "GNU_RELRO" in readelf("-l")
    assert "BIND_NOW" in readelf("-d") or re.search(r"FLAGS_1.*NOW", readelf("-d"))


def test_no_memory_is_writable_and_executable():
    stack = re.search(r"GNU_STACK.*?(RW?E?)\s", readelf("-l"))
    assert stack and "E" not in stack[1]
    loads = re.findall(r"LOAD\s+\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+([R ][W ][E ])", readelf("-l"))
    assert loads and not [flags for flags in loads if "W" in flags and "E" in flags]


def test_stack_protector_is_in():
    assert "__stack_chk_fail" in readelf("--dyn-syms")


def test_copies_are_checked():
    if not re.search(r"__memcpy_chk|__snprintf_chk|__vsnprintf_chk", readelf("--dyn-syms")):
        build_type = pathlib.Path(LUNETTE).parent / "CMakeCache.txt"
        if build_type.exists() and "CMAKE_BUILD_TYPE:STRING=Release" not in build_type.read_text():
            pytest.skip("FORTIFY is for release builds")
        pytest.fail("no function of FORTIFY is linked")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="CET is x86-64's")
@pytest.mark.skipif(not shutil.which("objdump"), reason="objdump is not installed")
def test_jumps_land_where_they_may():
    """Functions begin with ENDBR64. The note that switches CET on is another matter: the linker writes it only if the C
    library's own start-up objects have it, and Debian 12's have not."""
    code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", LUNETTE], capture_output=True, text=True, check=True).stdout
    assert code.count("endbr64") > 500
