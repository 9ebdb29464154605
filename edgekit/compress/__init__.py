"""Training, pruning and quantization of torch modules; plain arguments in, models and reports
out."""

import logging

# torchao 0.18 makes torch say this on import, at every start; it is about torchao's own enums.
logging.getLogger("torch.utils._pytree").addFilter(
    lambda record: "is an Enum subclass" not in record.getMessage()
)
