"""Make a bundle the current one of a board, ready to run: python tools/flash.py BUNDLE TARGET"""

import sys
from contextlib import closing

import edgekit

bundle, target = edgekit.open_bundle(sys.argv[1]), edgekit.load_target(sys.argv[2])
with closing(edgekit.connect(target)) as device:
    edgekit.setup(target, device=device)
    sent = edgekit.deploy(bundle, target, device=device).bytes_moved
    live = edgekit.verify(target, device=device)
print(f"{target.name}: {sent} bytes sent; {live.files} files of {live.bundle[:12]} read back")
