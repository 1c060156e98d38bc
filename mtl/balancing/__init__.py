"""Balancing methods, one per file: functions of losses, a Gramian or task gradients, without a model or Lightning."""

from mtl.discovery import import_modules

import_modules(__name__)
