"""MP4 and MOV files (ISO 14496-12, QuickTime), read and written sample by sample. Nothing is opened here."""
