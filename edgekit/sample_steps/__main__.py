"""Where Python starts. It is given this file, not the folder: a folder costs it more imports, and
leaves a compiled file behind."""

from __future__ import annotations

import importlib
import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))

sys.path.insert(0, os.path.dirname(FOLDER))  # from there the modules have their package
sys.dont_write_bytecode = True  # among the files that a deployment keeps as they are
sys.exit(importlib.import_module(os.path.basename(FOLDER) + ".main").main())
