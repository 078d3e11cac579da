"""The web side: `videod web`. Nothing else of videod imports it, and its libraries are an extra."""
