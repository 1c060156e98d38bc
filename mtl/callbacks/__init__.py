"""Lightning callbacks; a config may use each one alone."""

from mtl.discovery import import_modules

import_modules(__name__)
