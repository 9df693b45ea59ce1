"""Architectures of keras.applications, known by the names that their layers have in a graph.

A fine-tuned model keeps the names of its base's layers in every format, whatever it is called
itself; and a model that is only called `resnet50` may be anything. Layer names and preprocessing:
the sources of keras.applications. Pure; knows no format.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from model_server.models.base import PixelScaling


@dataclass(frozen=True)
class Family:
    """An architecture.

    Attributes:
        name: As in keras.applications.
        scaling: What its preprocess_input makes of pixels 0 to 255; for an architecture that
            scales in its own graph, what it takes without that (`include_preprocessing=False`).
        layers: Names of layers that only this architecture has together.
    """

    name: str
    scaling: PixelScaling
    layers: frozenset[str]


def _family(name: str, scaling: PixelScaling, layers: str) -> Family:
    return Family(name, scaling, frozenset(layers.split()))


# The more particular first: the layers of some are a part of another's.
_FAMILIES = (
    _family("ResNetV2", "signed", "conv2_block1_preact_bn post_bn"),
    _family("ResNet", "caffe", "conv1_conv conv1_bn conv2_block1_1_conv conv2_block1_0_conv"),
    _family("ResNet", "caffe", "bn_conv1 res2a_branch2a res2a_branch1"),  # as Keras 2.2 had it
    _family("DenseNet", "torch", "conv2_block1_0_bn conv2_block1_1_conv pool2_conv"),
    _family("InceptionResNetV2", "signed", "conv_7b mixed_5b"),
    _family("InceptionV3", "signed", "mixed0 mixed10"),
    _family("Xception", "signed", "block2_sepconv1 block14_sepconv2"),
    _family("VGG", "caffe", "block1_conv1 block1_conv2 block5_conv3"),
    _family("NASNet", "signed", "stem_conv1 stem_bn1 reduction_conv_1_stem_1"),
    _family("MobileNetV3", "signed", "expanded_conv_depthwise expanded_conv_1_expand"),
    _family("MobileNetV2", "signed", "Conv1 expanded_conv_project block_16_project"),
    _family("MobileNet", "signed", "conv_dw_1 conv_pw_1 conv_pw_13"),
    _family("EfficientNetV2", "signed", "stem_conv block1a_project_conv block2a_expand_conv"),
)
_NUMBERING = re.compile(r"_\d+$")


def find_family(names: Iterable[str]) -> Family | None:
    """The family whose layers are among the names of a graph; None if there is none.

    Args:
        names: Of layers, operators or tensors; parts are separated by `/` or `;`, and each may
            have a number at its end that Keras has added to keep it unique.
    """
    parts: set[str] = set()
    for name in names:
        for part in re.split(r"[/;:]", name):
            parts.update((part, _NUMBERING.sub("", part)))
    return next((family for family in _FAMILIES if family.layers <= parts), None)
