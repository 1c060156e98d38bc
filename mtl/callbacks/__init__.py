"""Everything a run tells its user, and weights averaging: Lightning callbacks, each usable from a config by itself."""

from mtl.discovery import import_modules

import_modules(__name__)
