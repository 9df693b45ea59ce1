"""Converts TensorFlow's protobuf graphs to the form that the operator check reads.

Accesses the messages by field name and imports neither protobuf nor TensorFlow.
"""

from typing import Any

from model_server.models.operators import Node, Program, Saver


def program_of(meta_graph: Any, *, runs_restore: bool) -> Program:
    """Extracts what the operator check needs from a `MetaGraphDef`.

    Args:
        meta_graph: The message.
        runs_restore: See `Program`.
    """
    saver = meta_graph.saver_def
    signatures = meta_graph.signature_def.values()
    outputs = {info.name for each in signatures for info in each.outputs.values()}
    for collection in meta_graph.collection_def.values():  # some collections name initializers
        outputs.update(collection.node_list.value)
    return Program(
        nodes=tuple(map(_node, meta_graph.graph_def.node)),
        functions=_functions(meta_graph.graph_def),
        saver=Saver(
            *map(
                _node_name,
                (saver.filename_tensor_name, saver.save_tensor_name, saver.restore_op_name),
            )
        ),
        outputs=frozenset(map(_node_name, outputs)),
        entries=frozenset(meta_graph.object_graph_def.concrete_functions),
        runs_restore=runs_restore,
    )


def program_of_graph(graph_def: Any) -> Program:
    """Does the same for a bare `GraphDef`: a traced function and the functions it calls."""
    return Program(tuple(map(_node, graph_def.node)), _functions(graph_def))


def _functions(graph_def: Any) -> dict[str, tuple[Node, ...]]:
    functions: dict[str, tuple[Node, ...]] = {}
    for function in graph_def.library.function:
        name = function.signature.name
        functions[name] = functions.get(name, ()) + tuple(map(_node, function.node_def))
    return functions


def _node(node: Any) -> Node:
    functions: set[str] = set()
    for value in node.attr.values():
        functions.update(each.name for each in (value.func, *value.list.func) if each.name)
    return Node(node.name, node.op, tuple(map(_node_name, node.input)), frozenset(functions))


def _node_name(tensor: str) -> str:
    """Strips a tensor reference to its node name: `^name` and `name:0` become `name`."""
    return tensor.removeprefix("^").partition(":")[0]
