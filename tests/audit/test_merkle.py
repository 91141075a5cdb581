"""Our Merkle trees against another's (pymerkle), and proofs that prove nothing when anything in them is changed."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from catalogs.policy import audit_merkle as merkle


def leaves(count: int) -> list[bytes]:
    return [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(count)]


def test_roots_are_those_of_another_implementation() -> None:
    other, edge = InmemoryTree(algorithm="sha256"), merkle.Frontier()
    for leaf in leaves(300):
        other.append_entry(leaf)
        edge.add(leaf)
        assert edge.root() == other.get_state()


def test_the_roots_that_rfc_6962_implies_by_hand() -> None:
    one, two, three = (hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves(3))
    pair = hashlib.sha256(b"\x01" + one + two).digest()
    assert merkle.root_of([]) == hashlib.sha256(b"").digest()
    assert merkle.root_of(leaves(1)) == one
    assert merkle.root_of(leaves(3)) == hashlib.sha256(b"\x01" + pair + three).digest()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 64, 65, 100])
def test_every_leaf_is_proven_where_it_is_and_nowhere_else(size: int) -> None:
    known = leaves(size)
    root = merkle.root_of(known)
    for index, leaf in enumerate(known):
        path = merkle.inclusion_path(index, size, lambda start, stop: merkle.root_of(known[start:stop]))
        assert merkle.includes(root, size, index, leaf, path)
        assert not merkle.includes(root, size, index, hashlib.sha256(leaf).digest(), path)
        assert not any(
            merkle.includes(root, size, other, leaf, path) for other in range(-1, size + 1) if other != index
        )
        assert not merkle.includes(root, size, index, leaf, [*path, leaf])
        for place in range(len(path)):
            assert not merkle.includes(root, size, index, leaf, path[:place] + path[place + 1 :])


@given(st.integers(1, 70), st.integers(0, 60))
def test_a_log_that_grew_is_consistent_and_one_that_was_rewritten_is_not(earlier: int, grown: int) -> None:
    size = earlier + grown
    known = leaves(size)
    before, root = merkle.root_of(known[:earlier]), merkle.root_of(known)
    path = merkle.consistency_path(earlier, size, lambda start, stop: merkle.root_of(known[start:stop]))
    assert merkle.is_consistent(earlier, before, size, root, path)
    other = [hashlib.sha256(b"other").digest(), *known[1:]]
    assert not merkle.is_consistent(earlier, merkle.root_of(other[:earlier]), size, root, path)
    assert not merkle.is_consistent(earlier, before, size, merkle.root_of(other), path)
    if path:
        assert not merkle.is_consistent(earlier, before, size, root, path[:-1])


def test_known_subtrees_change_nothing() -> None:
    known = leaves(100)

    def small(start: int, stop: int) -> bytes:
        assert stop - start <= 8
        return merkle.root_of(known[start:stop])

    for size in range(1, 100):
        assert merkle.root_over(small, 0, size, 8) == merkle.root_of(known[:size])
