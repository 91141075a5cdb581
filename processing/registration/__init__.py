"""Registration: where images of the same ground disagree, measured, and models corrected by it."""
