"""Names to models and datasets. Importing this package imports no torch; most of its modules do.

The two tables are the built-ins: a line here and one function is all an addition takes.
"""

MODELS = {
    "ds_cnn": "edgekit.zoo.edge_models:ds_cnn",
    "efficientnet_lite0": "edgekit.zoo.edge_models:efficientnet_lite0",
    "lstm": "edgekit.zoo.edge_models:lstm",
    "mobilenet_v1_025": "edgekit.zoo.edge_models:mobilenet_v1_025",
    "mobilenet_v2_small": "edgekit.zoo.edge_models:mobilenet_v2_small",
    "resnet8": "edgekit.zoo.edge_models:resnet8",
    "small_cnn": "edgekit.zoo.edge_models:small_cnn",
}
DATASETS = {
    "digits": "edgekit.zoo.image_data:digits",
    "fashion_mnist": "edgekit.zoo.image_data:fashion_mnist",
    "image_folder": "edgekit.zoo.image_data:image_folder",
    "japanese_vowels": "edgekit.zoo.series_data:japanese_vowels",
    "sample_photos": "edgekit.zoo.image_data:sample_photos",
}
