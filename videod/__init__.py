"""videod: a daemon that takes video jobs from a Redis list, one for each free slot."""

__version__ = "0.1.0"
