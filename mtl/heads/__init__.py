"""Heads, one file per output type with layers, loss, decode and metrics. New files are discovered automatically."""

from mtl.discovery import import_modules

import_modules(__name__)
