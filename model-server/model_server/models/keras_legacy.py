"""Handles arguments that Keras 2 saved and Keras 3 no longer accepts.

Keras 3 refuses a file that has one of them, even where its value changes nothing. Arguments with
such a value are dropped; any other value is an error that names the argument.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

# Removed layer arguments, with the values that are safe to drop.
_DEFAULTS: dict[str, tuple[object, ...]] = {
    "groups": (1,),
    "time_major": (False,),
    "implementation": (0, 1, 2),
    "ragged": (False,),
    "sparse": (False,),
    "renorm": (False,),
    "renorm_clipping": (None,),
    "renorm_momentum": (0.99,),
    "fused": (None, True, False),
    "virtual_batch_size": (None,),
    "adjustment": (None,),
    "experimental_autocast": (True,),
    "batch_input_shape": (None,),
    "input_dim": (None,),
    "interpolation_order": (None, 1),
}


def tolerant_layers(config: object, keras: Any) -> dict[str, Any]:
    """Returns stand-ins, by class name, for the layers in a configuration that have such arguments.

    A stand-in builds Keras's own layer from the same configuration without those arguments.

    Args:
        config: The model's configuration, as stored in the file.
        keras: The Keras module.
    """
    made: dict[str, Any] = {}
    for class_name, arguments in _layers(config):
        layer = getattr(keras.layers, class_name, None)
        if layer is None or class_name in made:
            continue
        if _removable(layer, arguments):
            made[class_name] = _stand_in(layer)
    return made


def _stand_in(layer: Any) -> Any:
    def from_config(_cls: Any, config: Mapping[str, Any]) -> Any:
        left_out = _removable(layer, config)
        return layer.from_config({key: config[key] for key in config if key not in left_out})

    return type(layer.__name__, (layer,), {"from_config": classmethod(from_config)})


def _removable(layer: Any, arguments: Mapping[str, Any]) -> set[str]:
    known: set[str] = set()
    for base in layer.__mro__:
        known.update(inspect.signature(base.__init__).parameters)
    return {
        name
        for name, values in _DEFAULTS.items()
        if name in arguments and name not in known and arguments[name] in values
    }


def _layers(config: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    pending = [config]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, Mapping):
            name, inner = item.get("class_name"), item.get("config")
            if isinstance(name, str) and isinstance(inner, Mapping):
                yield name, inner
            pending.extend(item.values())
