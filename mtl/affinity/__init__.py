"""Are these tasks related? One measure per file, found by looking; groups of tasks that should share a network."""

from mtl.discovery import import_modules

import_modules(__name__)
