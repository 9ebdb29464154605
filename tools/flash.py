"""Make a bundle the current one of a board, ready to run: python tools/flash.py BUNDLE TARGET"""

import sys
from contextlib import closing

import edgekit

bundle, target = edgekit.open_bundle(sys.argv[1]), edgekit.load_target(sys.argv[2])
with closing(edgekit.connect(target)) as device:
    edgekit.setup(target, device=device)
    pushed = edgekit.deploy(bundle, target, device=device)
    found = edgekit.verify(target, device=device)
print(
    f"{target.name}: {pushed.bytes_moved} bytes sent; {found.files} files of {found.bundle[:12]}"
    " read back and right"
)
