"""Trained networks that come with jaxpose, and checkpoints from elsewhere.

for model in jaxpose.zoo.list():
    print(model.name, model.task, model.input_size, model.scores)
jaxpose.zoo.path("person_hourglass_small")  # the file itself
"""

from jaxpose.zoo.shipped import DEFAULTS, Model, path
from jaxpose.zoo.shipped import models as list

__all__ = ["DEFAULTS", "Model", "list", "path"]
