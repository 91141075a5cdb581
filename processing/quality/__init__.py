"""What is wrong with each pixel, bit by bit."""
