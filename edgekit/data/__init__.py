"""Data sources: where labelled samples come from. Importing this package imports no torch.

`DATASETS` holds the built-in sources: an addition is one function and one line here.
"""

DATASETS = {
    "digits": "edgekit.data.images:digits",
    "fashion_mnist": "edgekit.data.images:fashion_mnist",
    "image_folder": "edgekit.data.images:image_folder",
    "japanese_vowels": "edgekit.data.series:japanese_vowels",
    "sample_photos": "edgekit.data.images:sample_photos",
}
