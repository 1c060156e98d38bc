"""Balancing methods, one per file: they see losses, a Gramian or task gradients; never a model, never Lightning."""

from mtl.discovery import import_modules

import_modules(__name__)
