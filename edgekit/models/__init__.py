"""From a model's name to a network with weights. Importing this package imports no torch.

`MODELS` holds the built-in networks: an addition is one function, one line here and one in
traits.py. A recipe names one of these, a network of torchvision, or a user's own function as
`package.module:factory`.

    create          from a name to a network with random weights
    built_in        the built-in networks
    log_mel, mtcnn, ssd, unet, vit
                    five of them, each in a module of its own
    traits          what is known of them without building them
    weights         weights from files that may come from anywhere
    fingerprint     what a model depends on, for the cache
"""

from edgekit.registry.table import Table

MODELS = Table(
    "model",
    {
        "ds_cnn": "edgekit.models.built_in:ds_cnn",
        "ds_cnn_audio": "edgekit.models.log_mel:ds_cnn_audio",
        "efficientnet_lite0": "edgekit.models.built_in:efficientnet_lite0",
        "lstm": "edgekit.models.built_in:lstm",
        "mlp": "edgekit.models.built_in:mlp",
        "mobilenet_v1_025": "edgekit.models.built_in:mobilenet_v1_025",
        "mobilenet_v2_small": "edgekit.models.built_in:mobilenet_v2_small",
        "mtcnn_onet": "edgekit.models.mtcnn:mtcnn_onet",
        "resnet8": "edgekit.models.built_in:resnet8",
        "small_cnn": "edgekit.models.built_in:small_cnn",
        "ssd_mobilenet_v2": "edgekit.models.ssd:ssd_mobilenet_v2",
        "unet": "edgekit.models.unet:unet",
        "vit": "edgekit.models.vit:vit",
    },
)
