"""Data sources: where samples and their targets come from. Importing this package imports no torch.

`SOURCES` holds the built-in ones: an addition is one module and one line here. A recipe names one
of these, or a user's own as `package.module:object`.

    source          what a source provides, and what it is asked for
    dataset         what a split is, samples in memory, and how the model sees them
    streaming       samples that are read while they are used
    load            from a name to a dataset
    checks          what is wrong with the arrays that a source returns
    targets         which sample's target does not suit the task
    outline         what is known of data before any sample is loaded
    saved           a split as files, which other processes map instead of loading the data again
    fingerprint     what the data depend on, for the cache
    summary         what was understood of data, in one line
    images          what the sources of images share
    pixels          an image file as pixels of 8 bits
    letterbox       how an image comes to lie in an input, with its boxes, masks and points
    boxes           boxes as targets
    split_folders   which folders are splits, which files are samples, and what is left out
    class_folders   files in a folder for each class
    image_pairs     images with a file beside each
    coco_json       COCO's annotation files, checked
    coco_masks      their masks, drawn
    espeak          speech from the program espeak-ng
"""

from edgekit.registry.table import Table

FOLDERS = "image_folder"
"""The source that reads a folder: what `edgekit recipe new --data photos/` means."""

SOURCES = Table(
    "data",
    {
        "coco": "edgekit.data.coco:COCO",
        "csv": "edgekit.data.csv_table:CSV",
        "diabetes": "edgekit.data.diabetes:DIABETES",
        "digits": "edgekit.data.digits:DIGITS",
        "fashion_mnist": "edgekit.data.fashion_mnist:FASHION_MNIST",
        "fashion_scenes": "edgekit.data.fashion_scenes:FASHION_SCENES",
        "image_folder": "edgekit.data.image_folder:IMAGE_FOLDER",
        "japanese_vowels": "edgekit.data.japanese_vowels:JAPANESE_VOWELS",
        "lfw_faces": "edgekit.data.lfw_faces:LFW_FACES",
        "mask_folder": "edgekit.data.mask_folder:MASK_FOLDER",
        "npz": "edgekit.data.npz:NPZ",
        "sample_photos": "edgekit.data.sample_photos:SAMPLE_PHOTOS",
        "speech_in_noise": "edgekit.data.speech_in_noise:SPEECH_IN_NOISE",
        "spoken_words": "edgekit.data.spoken_words:SPOKEN_WORDS",
        "wav_folder": "edgekit.data.wav_folder:WAV_FOLDER",
        "yolo": "edgekit.data.yolo:YOLO",
    },
)
