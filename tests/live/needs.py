"""Marks for tests that need the lab: skipped with the reason where it cannot be had."""

import pytest

import rooms
import sensor

needs_rooms = pytest.mark.skipif(rooms.REASON is not None, reason=rooms.REASON or "")
needs_sensor = pytest.mark.skipif(sensor.REASON is not None, reason=sensor.REASON or "")
