"""Runs the checks of scripts/lib that need no engine (test_lib.lua)."""

import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent


@pytest.mark.skipif(not shutil.which("luajit"), reason="the luajit program is not installed")
def test_lib():
    done = subprocess.run(["luajit", HERE / "test_lib.lua", HERE.parents[1] / "scripts" / "lib"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
