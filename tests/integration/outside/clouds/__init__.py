"""A package outside of `mtl`: clouds of points that lie in a direction, short or long. It imports its own files."""

from mtl.discovery import import_modules

import_modules(__name__)
