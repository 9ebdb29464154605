"""From a model's name to a network with weights. Importing this package imports no torch.

`MODELS` holds the built-in networks: an addition is one function and one line here.
"""

MODELS = {
    "ds_cnn": "edgekit.models.built_in:ds_cnn",
    "efficientnet_lite0": "edgekit.models.built_in:efficientnet_lite0",
    "lstm": "edgekit.models.built_in:lstm",
    "mobilenet_v1_025": "edgekit.models.built_in:mobilenet_v1_025",
    "mobilenet_v2_small": "edgekit.models.built_in:mobilenet_v2_small",
    "resnet8": "edgekit.models.built_in:resnet8",
    "small_cnn": "edgekit.models.built_in:small_cnn",
}
