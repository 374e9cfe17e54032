"""One command that proves the library on the GPU at hand: ``make gpu``."""
