"""The code of a paper. A new file here is found by itself."""

from mtl.discovery import import_modules

import_modules(__name__)
