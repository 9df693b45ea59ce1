"""Makes SavedModels that reach outside themselves, and says what the server's check finds.

Run as a program, so that TensorFlow is never imported into the test process:
`python tf_hostile_models.py FOLDER` prints a JSON object: `models`, the check's message by model
("" where it lets the model through); `unlisted`, operators of the list that TensorFlow does not
have; `outside`, operators of the list whose definition has to do with files, addresses or code;
`through`, operators off the list that the check lets through in a signature.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.framework import op_def_registry

from model_server.errors import InvalidModel
from model_server.models.operators import ALLOWED, SAVER
from model_server.models.savedmodel import refuse_unsafe_operators

SPEC = tf.TensorSpec([None, 8, 8, 3], tf.float32, name="image")
# Of an operator's name, inputs and attributes: what files, connections and code are called.
_OUTSIDE = re.compile(
    r"file|path|directory|address|server|url|prefix|token|debug|summary|py_?func|rpc|socket"
    r"|memory_region|dataset|iterator|session|send|recv|checkpoint|abort|sleep|callback",
    re.IGNORECASE,
)
_HARMLESS = {"VarHandleOp"}  # its debug_name


def save(folder: Path, name: str, body: Callable[[tf.Tensor], Any], **members: Any) -> None:
    module = tf.Module()
    for key, value in members.items():
        setattr(module, key, value)
    serve = tf.function(body, input_signature=[SPEC])
    module.serve = serve
    tf.saved_model.save(module, str(folder / name), signatures={"serving_default": serve})


def mean(image: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(image, axis=[1, 2])


def table_from_file(path: str) -> Callable[[tf.Tensor], Any]:
    """The file's first lines are an output, as in the audit's model."""

    def body(image: tf.Tensor) -> dict[str, tf.Tensor]:
        table = tf.raw_ops.HashTableV2(key_dtype=tf.int64, value_dtype=tf.string)
        filled = tf.raw_ops.InitializeTableFromTextFileV2(
            table_handle=table, filename=path, key_index=-1, value_index=-2, vocab_size=-1,
            delimiter="\x01",
        )  # fmt: skip
        with tf.control_dependencies([filled]):
            lines = tf.raw_ops.LookupTableFindV2(
                table_handle=table, keys=tf.range(5, dtype=tf.int64), default_value=""
            )
        return {"lines": lines, "out": mean(image)}

    return body


def written(path: str) -> Callable[[tf.Tensor], Any]:
    def body(image: tf.Tensor) -> tf.Tensor:
        done = tf.raw_ops.SaveV2(
            prefix=path, tensor_names=["x"], shape_and_slices=[""], tensors=["written"]
        )
        with tf.control_dependencies([done]):
            return mean(image)

    return body


def inside_a_loop(image: tf.Tensor) -> tf.Tensor:
    def step(index: tf.Tensor, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        read = tf.cond(index > 0, lambda: tf.io.read_file("/etc/hostname"), lambda: text)
        return index + 1, read

    _, text = tf.while_loop(lambda index, _: index < 2, step, (0, tf.constant("")))
    with tf.control_dependencies([text]):
        return mean(image)


def from_python(image: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.py_function(lambda x: x, [mean(image)], tf.float32), [None, 3])


def first_form(folder: Path, name: str, *, reads: bool) -> None:
    """TensorFlow 1's builder, with a variable; `reads`: the initializer reads a file."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        image = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3])
        weight = tf.compat.v1.get_variable("weight", initializer=2.0, use_resource=False)
        out = tf.reduce_mean(image, axis=[1, 2]) * weight
        start = tf.io.read_file("/etc/hostname").op if reads else tf.no_op()
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.saved_model.simple_save(
            session, str(folder / name), {"image": image}, {"out": out}, legacy_init_op=start
        )


def names_of_classes() -> tf.lookup.StaticHashTable:
    keys = tf.constant([0, 1], tf.int64)
    filled = tf.lookup.KeyValueTensorInitializer(keys, tf.constant(["cat", "dog"]))
    return tf.lookup.StaticHashTable(filled, "")


def make_all(folder: Path) -> None:
    target = str(folder / "secret.txt")
    Path(target).write_text("SECRET\n")
    save(folder, "table_from_file", table_from_file(target))
    save(folder, "writes", written(str(folder / "written")))
    save(folder, "inside_a_loop", inside_a_loop)
    save(folder, "from_python", from_python)
    save(folder, "prints_to_file", lambda image: printed(image, folder / "printed"))
    first_form(folder, "first_form_reads", reads=True)
    save(folder, "good_variables", lambda image: mean(image) * VARIABLE, weight=VARIABLE)
    table = names_of_classes()
    save(folder, "good_table", lambda image: table.lookup(tf.argmax(mean(image), 1)), table=table)
    first_form(folder, "good_first_form", reads=False)


def printed(image: tf.Tensor, path: Path) -> tf.Tensor:
    tf.print("text", output_stream=f"file://{path}")
    return mean(image)


def finding(folder: Path) -> str:
    try:
        refuse_unsafe_operators(folder)
    except InvalidModel as error:
        return error.message
    return ""


def let_through(folder: Path, operators: set[str]) -> list[str]:
    """Which of the operators pass when a function that a signature calls has them."""
    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((folder / "good_variables" / "saved_model.pb").read_bytes())
    place = folder / "one"
    place.mkdir()
    library = proto.meta_graphs[0].graph_def.library
    entries = proto.meta_graphs[0].object_graph_def.concrete_functions
    node = next(each for each in library.function if each.signature.name in entries).node_def.add()
    node.name = "added"
    through = []
    for operator in sorted(operators):
        node.op = operator
        (place / "saved_model.pb").write_bytes(proto.SerializeToString())
        if operator not in finding(place):
            through.append(operator)
    return through


def registered() -> dict[str, Any]:
    listed = op_def_pb2.OpList()
    listed.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {each.name: each for each in listed.op}


def reaches_outside(name: str, definition: Any) -> bool:
    words = [name, *(each.name for each in (*definition.input_arg, *definition.attr))]
    return name not in _HARMLESS and any(_OUTSIDE.search(word) for word in words)


VARIABLE = tf.Variable(2.0)


def main(folder: Path) -> None:
    known = registered()
    make_all(folder)
    models = sorted(path.parent for path in folder.glob("*/saved_model.pb"))
    result = {
        "models": {path.name: finding(path) for path in models},
        "unlisted": sorted(name for name in ALLOWED | SAVER if not op_def_registry.get(name)),
        "outside": sorted(name for name in ALLOWED if reaches_outside(name, known[name])),
        "through": let_through(folder, known.keys() - ALLOWED),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
