"""Kinds of inputs, one a file, found by looking: a new file is known everywhere."""

from mtl.discovery import import_modules

import_modules(__name__)
