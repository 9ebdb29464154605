"""Extension modules of packages that lie in a zip: the dynamic loader cannot read them there, so
they lie beside it, under the same names.

Runs on the device, inside that zip (`site/python.zip`), as `edgekit_packed`; importing it is all
there is to do."""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from typing import Any

SITE = os.path.dirname(os.path.dirname(__file__))  # this file is SITE/python.zip/edgekit_packed.pyc


class Extensions:
    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        for suffix in EXTENSION_SUFFIXES:
            file = os.path.join(SITE, *name.split(".")) + suffix
            if os.path.isfile(file):
                return spec_from_file_location(name, file)
        return None


sys.meta_path.append(Extensions)
