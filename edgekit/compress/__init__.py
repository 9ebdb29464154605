"""Training, pruning and quantization: what a stage of a recipe can do to a model.

`STAGES` holds the stages that need no method, `METHODS` the ways to prune and to quantize: an
addition is one module and one line here. A recipe names one of these, or a user's own method as
`package.module:OBJECT`. Importing this package imports no torch.

    method      what an entry provides
    sections    what stages share in a recipe
    scheme      how a quantized model computes, for the backends
    context     what a stage may use while it runs
    checkpoint  the model between two stages
"""

import logging

from edgekit.registry.table import Table

# torchao 0.18 makes torch say this on import, at every start; it is about torchao's own enums.
logging.getLogger("torch.utils._pytree").addFilter(
    lambda record: "is an Enum subclass" not in record.getMessage()
)

STAGES = Table(
    "stage",
    {
        "train": "edgekit.compress.training.stages:TRAIN",
        "finetune": "edgekit.compress.training.stages:FINETUNE",
        "import": "edgekit.compress.training.stages:IMPORT",
    },
)
METHODS = {
    "prune": Table(
        "pruning method",
        {
            "unstructured": "edgekit.compress.prune.unstructured:UNSTRUCTURED",
            "n_m": "edgekit.compress.prune.n_m:N_M",
            "structured": "edgekit.compress.prune.structured:STRUCTURED",
        },
    ),
    "quantize": Table(
        "quantization method",
        {
            "ptq": "edgekit.compress.quantize.ptq:PTQ",
            "qat": "edgekit.compress.quantize.qat:QAT",
            "dynamic": "edgekit.compress.quantize.dynamic:DYNAMIC",
            "fp16": "edgekit.compress.quantize.fp16:FP16",
            "weight_only": "edgekit.compress.quantize.weight_only:WEIGHT_ONLY",
        },
    ),
}
