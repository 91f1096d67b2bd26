"""Tests of what is pure: python3 -m unittest discover -s benches/suite."""
