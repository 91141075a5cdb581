"""The account of one test session: what was injected, and what broke."""

from collections import Counter

COUNTS: Counter[str] = Counter()
