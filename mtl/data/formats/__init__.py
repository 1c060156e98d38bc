"""Formats in which a folder of pictures may lie, one file each; new files are discovered automatically."""

from mtl.discovery import import_modules

import_modules(__name__)
