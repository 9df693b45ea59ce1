"""Recognizes keras.applications architectures by the names of their layers in a graph.

A fine-tuned model keeps the layer names of its base model in every format, whatever its own name
is. The model's name proves nothing: a model called `resnet50` may be anything. Source of layer
names and preprocessing: the code of keras.applications. No I/O, format-independent.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from model_server.models.base import PixelScaling


@dataclass(frozen=True)
class Family:
    """An architecture.

    Attributes:
        name: Its name in keras.applications.
        scaling: How its preprocess_input scales pixels 0 to 255. For an architecture that scales
            in its own graph, what it takes with `include_preprocessing=False`.
        layers: Layer names that, together, only this architecture has.
    """

    name: str
    scaling: PixelScaling
    layers: frozenset[str]


def _family(name: str, scaling: PixelScaling, layers: str) -> Family:
    return Family(name, scaling, frozenset(layers.split()))


# Most specific first: some architectures have all the layers listed for another.
_FAMILIES = (
    _family("ResNetV2", "signed", "conv2_block1_preact_bn post_bn"),
    _family("ResNet", "caffe", "conv1_conv conv1_bn conv2_block1_1_conv conv2_block1_0_conv"),
    _family("ResNet", "caffe", "bn_conv1 res2a_branch2a res2a_branch1"),  # names in Keras 2.2
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
    """Returns the first family whose layers all appear in a graph's names, or None.

    Args:
        names: Names of layers, operators or tensors. Parts are separated by `/`, `;` or `:`, and
            each may end in a number that Keras appended to make it unique.
    """
    parts: set[str] = set()
    for name in names:
        for part in re.split(r"[/;:]", name):
            parts.update((part, _NUMBERING.sub("", part)))
    return next((family for family in _FAMILIES if family.layers <= parts), None)
