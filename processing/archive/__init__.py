"""The store of record: writing, publishing, opening and checking products."""
