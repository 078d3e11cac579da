"""The ini: `settings` declares what there is, `values` parses one value, `ini` reads the file, `form` its form."""

from videod.config.ini import ENVIRONMENTS, Config, find_file, load
from videod.config.presets import Preset
from videod.config.settings import Recorder, Settings, Source, Storage, Web

__all__ = ["ENVIRONMENTS", "Config", "Preset", "Recorder", "Settings", "Source", "Storage", "Web", "find_file", "load"]
