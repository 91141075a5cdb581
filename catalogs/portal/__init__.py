"""The customers' page: files of our own and of a few libraries, all from this server and none from elsewhere."""
