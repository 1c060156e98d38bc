"""How tasks share a backbone: one way a file, found by looking."""

from mtl.discovery import import_modules

import_modules(__name__)
