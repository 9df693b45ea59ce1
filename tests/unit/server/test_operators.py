"""Which operators of a SavedModel may run, wherever in the file they are."""

import pytest

from model_server.models.operators import (
    ALLOWED,
    SAVER,
    Node,
    Program,
    Saver,
    refusal,
    refused_operators,
)

SAVE = (
    Node("saver_filename", "Placeholder"),
    Node("save", "StatefulPartitionedCall", ("saver_filename",), frozenset({"traced_save"})),
    Node("restore", "StatefulPartitionedCall", ("saver_filename",), frozenset({"traced_restore"})),
)
SAVE_FUNCTIONS = {
    "traced_save": (Node("a", "ShardedFilename"), Node("b", "SaveV2"), Node("c", "Identity")),
    "traced_restore": (Node("a", "RestoreV2"), Node("b", "AssignVariableOp")),
}
SAVER_NAMES = Saver("saver_filename", "save", "restore")


def refused(program: Program) -> list[str]:
    return refused_operators(program, lambda name: name == "ReadFile")


def exported(*nodes: Node, entries: tuple[str, ...] = (), **functions: tuple[Node, ...]) -> Program:
    """As TensorFlow 2 writes it: signatures and the saver in the main graph, the rest functions."""
    call = Node("call", "StatefulPartitionedCall", (), frozenset({"serve"}))
    serve = {"serve": (Node("x", "Conv2D"),)}
    return Program(
        nodes=(call, *SAVE, *nodes),
        functions={**SAVE_FUNCTIONS, **serve, **functions},
        saver=SAVER_NAMES,
        outputs=frozenset({"call"}),
        entries=frozenset({"serve", *entries}),
    )


def first_form(*nodes: Node, outputs: tuple[str, ...] = ("y",), prefix: str = "file") -> Program:
    """As TensorFlow 1 writes it: all in the main graph, and loading runs the restore node."""
    own = (
        Node("file", "PlaceholderWithDefault"),
        Node("elsewhere", "Const"),
        Node("read", "RestoreV2", (prefix,)),
        Node("assign", "Assign", ("v", "read")),
        Node("restore_all", "NoOp", ("assign",)),
        Node("write", "SaveV2", ("file", "v")),
        Node("v", "VariableV2"),
        Node("y", "MatMul", ("v",)),
    )
    saver = Saver("file", "write", "restore_all")
    return Program((*own, *nodes), {}, saver, frozenset(outputs), runs_restore=True)


def test_what_exporters_write_is_let_through() -> None:
    assert refused(exported()) == []
    assert refused(first_form()) == []


@pytest.mark.parametrize("operator", ["ReadFile", "SaveV2", "NotYetInvented"])
@pytest.mark.parametrize(
    "place",
    ["main graph", "served function", "called", "called by its name", "unused function", "entry"],
)
def test_an_operator_off_the_list_is_refused_wherever_it_is(place: str, operator: str) -> None:
    bad = (Node("bad", operator),)
    if place == "main graph":
        program = exported(*bad)
    elif place == "served function":
        program = exported(serve=bad)
    elif place == "called":
        loop = (Node("loop", "While", (), frozenset({"body"})),)
        program = exported(serve=loop, body=(Node("z", "If", (), frozenset({"deep"})),), deep=bad)
    elif place == "called by its name":
        program = exported(serve=(Node("z", "deep"),), deep=bad)
    elif place == "unused function":
        program = exported(unused=bad)
    else:
        program = exported(entries=("init",), init=bad)
    assert refused(program) == [operator]


def test_the_saver_is_excepted_only_where_nothing_else_reaches_it() -> None:
    calls_saver = Node("sneaky", "PartitionedCall", (), frozenset({"traced_save"}))
    assert refused(exported(serve=(calls_saver,))) == ["SaveV2", "ShardedFilename"]
    assert refused(exported(entries=("traced_restore",))) == ["RestoreV2"]
    assert refused(exported(Node("out", "Identity", ("save",)))) == ["SaveV2", "ShardedFilename"]
    # Named as the saver, and also fetched by a signature.
    assert refused(first_form(outputs=("y", "write"))) == ["SaveV2"]


def test_the_saver_may_not_have_more_than_a_saver_needs() -> None:
    functions = {**SAVE_FUNCTIONS, "traced_save": (Node("a", "ReadFile"),)}
    assert refused(Program(SAVE, functions, SAVER_NAMES)) == ["ReadFile"]


def test_a_restore_that_loading_runs_reads_the_models_own_files_only() -> None:
    assert refused(first_form(prefix="elsewhere")) == ["RestoreV2"]
    inside = Program(
        (Node("file", "Placeholder"), Node("r", "PartitionedCall", (), frozenset({"f"}))),
        {"f": (Node("x", "RestoreV2", ("arg",)),)},
        Saver("file", "", "r"),
        runs_restore=True,
    )
    assert refused(inside) == ["RestoreV2"]


def test_names_that_would_mislead_the_check() -> None:
    """A function named as an operator, and two nodes of one name."""
    assert refused(exported(serve=(Node("z", "ReadFile"),), ReadFile=())) == ["ReadFile"]
    twice = exported(Node("call", "Identity", ("save",)))
    assert refused(twice) == ["SaveV2", "ShardedFilename"]


def test_cycles_end() -> None:
    """Loops of TensorFlow 1 are cycles of nodes; functions may call themselves."""
    again = (Node("r", "PartitionedCall", (), frozenset({"serve"})),)
    cycle = (Node("m", "Merge", ("n",)), Node("n", "NextIteration", ("m",)))
    assert refused(exported(*cycle, serve=again)) == []


def test_the_list_has_nothing_of_the_saver() -> None:
    assert not ALLOWED & SAVER


def test_the_refusal_names_them_and_says_what_to_do() -> None:
    text = refusal("m", [f"Op{number}" for number in range(20)])
    assert "Op0, Op1" in text
    assert "and 8 more" in text
    assert "export the inference function alone" in text
    assert "KeyValueTensorInitializer" in refusal("m", ["InitializeTableFromTextFileV2"])
    assert "\n" not in refusal("m", ["Read\nReady"])
