"""Merkle trees as in RFC 6962 (and RFC 9162): one hash stands for a whole log, and short proofs for its rows.

Leaves are hashes of rows. A leaf's node is SHA-256(0x00 ‖ leaf), an inner one SHA-256(0x01 ‖ left ‖ right), and the
left subtree of *n* leaves holds the largest power of two below *n*.
"""

import hashlib
from collections.abc import Callable, Sequence

EMPTY = hashlib.sha256(b"").digest()

type Subtree = Callable[[int, int], bytes]
"""Root over leaves ``[start, stop)``."""


def leaf_node(leaf: bytes) -> bytes:
    """Node of a leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def inner_node(left: bytes, right: bytes) -> bytes:
    """Node above two."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The tree's right edge: takes leaf after leaf, and knows the root of all so far in a logarithm of steps."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Take one more leaf."""
        node, size = leaf_node(leaf), self.size
        while size & 1:
            node = inner_node(self._peaks.pop(), node)
            size >>= 1
        self._peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Root of all leaves so far."""
        if not self._peaks:
            return EMPTY
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = inner_node(peak, node)
        return node


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root over leaves."""
    edge = Frontier()
    for leaf in leaves:
        edge.add(leaf)
    return edge.root()


def root_over(subtree: Subtree, start: int, stop: int, whole: int) -> bytes:
    """Root over ``[start, stop)`` where aligned subtrees of ``whole`` leaves, and all within them, are known."""
    count = stop - start
    if count <= whole:
        return subtree(start, stop)
    middle = start + _left(count)
    return inner_node(root_over(subtree, start, middle, whole), root_over(subtree, middle, stop, whole))


def inclusion_path(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Siblings from the leaf at ``index`` up to the root of ``size`` leaves."""
    start, stop, found = 0, size, []
    while stop - start > 1:
        middle = start + _left(stop - start)
        if index < middle:
            found.append(subtree(middle, stop))
            stop = middle
        else:
            found.append(subtree(start, middle))
            start = middle
    return found[::-1]


def includes(root: bytes, size: int, index: int, leaf: bytes, path: Sequence[bytes]) -> bool:
    """Whether a path proves a leaf (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, at, last = leaf_node(leaf), index, size - 1
    for sibling in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = inner_node(sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = inner_node(node, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def consistency_path(earlier: int, size: int, subtree: Subtree) -> list[bytes]:
    """Proof that the first ``earlier`` leaves of ``size`` are those of the tree when it had so many."""
    if not 0 < earlier <= size:
        raise ValueError(f"no tree of {earlier} leaves comes before one of {size}")
    start, stop, found, known = 0, size, [], True
    while earlier != stop:
        middle = start + _left(stop - start)
        if earlier <= middle:
            found.append(subtree(middle, stop))
            stop = middle
        else:
            found.append(subtree(start, middle))
            start, known = middle, False
    return ([] if known else [subtree(start, stop)]) + found[::-1]


def is_consistent(earlier: int, earlier_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a proof shows that one tree grew out of another (RFC 9162, 2.1.4.2)."""
    if earlier == size:
        return not path and earlier_root == root
    if not 0 < earlier < size or not path:
        return False
    nodes = list(path) if earlier & (earlier - 1) else [earlier_root, *path]
    at, last = earlier - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = inner_node(node, old), inner_node(node, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = inner_node(new, node)
        at, last = at >> 1, last >> 1
    return last == 0 and old == earlier_root and new == root


def _left(count: int) -> int:
    """The largest power of two below ``count``."""
    return 1 << ((count - 1).bit_length() - 1)
