"""Talk to network video recorders by ISAPI: times, channels, a search for recordings, downloads.

`digest`, `document`, `clock` and `finding` are pure; `client` asks, `saving` brings a recording to a file.
"""
