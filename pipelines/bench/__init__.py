"""Side-by-side measurements on this machine: the same work by Qyran and by its peers."""
