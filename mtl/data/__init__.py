"""Data modules that yield joint targets. New files in this package are discovered automatically."""

from mtl.discovery import import_modules

import_modules(__name__)
