"""Heads: one file holds all of an output type (layers, loss, decode, metrics). A new file here is found by itself."""

from mtl.discovery import import_modules

import_modules(__name__)
