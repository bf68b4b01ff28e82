"""The cases of the shipped detectors that are written in Lua: each *_test.lua here, run as an author runs hers."""
import pathlib
import subprocess

import pytest

from run_lunette import BINARY

HERE = pathlib.Path(__file__).resolve().parent
RUN_ELSEWHERE = {"apple_allowlist_test.lua", "gui_app_test.lua", "mac_identity_test.lua"}  # beside the tests of their captures


@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("*_test.lua") if path.name not in RUN_ELSEWHERE))
def test_cases(file):
    if not BINARY.exists():
        pytest.skip("lunette is not built")
    done = subprocess.run([BINARY, "test", HERE / file], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
