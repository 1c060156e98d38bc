"""Task schedules, one per file: which tasks train at a step. They see losses and cosines; never a model."""

from mtl.discovery import import_modules

import_modules(__name__)
