"""The fixtures of author.py for every test here."""

from author import author  # noqa: F401
