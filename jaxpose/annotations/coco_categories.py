"""The categories of COCO in the order of their ids, for networks whose classes are those ids."""

_UNUSED = ""

# Ids 1 to 90; ten of them were never annotated.
_BY_ID = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", _UNUSED, "stop sign", "parking meter", "bench", "bird", "cat",
    "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", _UNUSED, "backpack",
    "umbrella", _UNUSED, _UNUSED, "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", _UNUSED, "wine glass", "cup", "fork", "knife", "spoon", "bowl",
    "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut",
    "cake", "chair", "couch", "potted plant", "bed", _UNUSED, "dining table", _UNUSED, _UNUSED,
    "toilet", _UNUSED, "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave",
    "oven", "toaster", "sink", "refrigerator", _UNUSED, "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

# The 80 that are annotated.
CATEGORIES = tuple(name for name in _BY_ID if name)
# All 90; names are unique, so those without a category tell their id: 'N/A 12'.
CATEGORIES_BY_ID = tuple(name or f"N/A {number}" for number, name in enumerate(_BY_ID, start=1))
