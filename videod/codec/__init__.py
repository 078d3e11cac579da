"""The bit syntax of H.264 and HEVC, as far as an exact cut without encoding all of it needs. No input, no output."""
