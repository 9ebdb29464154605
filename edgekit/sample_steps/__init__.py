"""What is done to a sample beside the inference: from raw values to the bytes that a model takes,
and from its bytes to the answer. And a program that times both on a board.

Runs in edgekit, and on the device as `python3 -I sample_steps/__main__.py`: the standard library
and numpy, Python 3.8 or newer. So host and board run the same lines. The modules import one another
relatively: the package is called `sample_steps` there, and longer here.

    tensors, preparing   a model's tensors, and what goes into them
    decoding/            what tasks make of outputs
    timing               how often a step is repeated
    main, protocol       the program, and what it prints"""
