"""The list of TensorFlow operators that a served model may use, and the check against it.

A SavedModel is a program. Of TensorFlow's roughly 1,900 operators, more than a hundred read or
write files, open connections, call Python, stop the process or map memory. A denylist would be out
of date with the next release, so this is an allowlist: operators that compute tensors from tensors,
and the variables and tables that hold a model's own state. It covers SavedModels from the TF Object
Detection API, keras.applications and TensorFlow Hub's image models, including what TensorFlow's own
exporters add to them. It does not cover training.

The check covers every node of the main graph and of every function in the library, reachable or
not. The only exception is the model's own saver (`SaveV2`, `RestoreV2` and the operators that join
file names): every SavedModel has one, and the Python loader does not run it. The exception does not
apply to saver nodes that any other part of the model uses.

No I/O; needs neither protobuf nor TensorFlow.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_GRAPH = _words("""
    Assert Case Const ControlTrigger DeviceIndex EnsureShape Enter Exit FakeParam GuaranteeConst
    Identity IdentityN If LoopCond Merge NextIteration NoOp PartitionedCall Placeholder
    PlaceholderV2 PlaceholderWithDefault PreventGradient Snapshot StatefulPartitionedCall
    StatelessCase StatelessIf StatelessWhile StopGradient Switch While
""")
# A model's own variables; none is visible outside the process.
_STATE = _words("""
    Assign AssignAdd AssignAddVariableOp AssignSub AssignSubVariableOp AssignVariableOp
    DestroyResourceOp DisableCopyOnRead IsVariableInitialized ReadVariableOp ResourceGather
    ResourceGatherNd VarHandleOp VarIsInitializedOp Variable VariableShape VariableV2
""")
# Tables filled from tensors only; a table initialized from a file could read any file.
_TABLES = _words("""
    AnonymousHashTable AnonymousMutableDenseHashTable AnonymousMutableHashTable HashTable
    HashTableV2 InitializeTable InitializeTableV2 LookupTableExport LookupTableExportV2
    LookupTableFind LookupTableFindV2 LookupTableImport LookupTableImportV2 LookupTableInsert
    LookupTableInsertV2 LookupTableSize LookupTableSizeV2 MutableDenseHashTableV2 MutableHashTable
    MutableHashTableV2
""")
_ELEMENTWISE = _words("""
    Abs Acos Acosh Add AddN AddV2 Angle ApproximateEqual Asin Asinh Atan Atan2 Atanh BitwiseAnd
    BitwiseOr BitwiseXor Cast Ceil CheckNumerics CheckNumericsV2 ClipByValue Complex ComplexAbs
    Conj Cos Cosh Div DivNoNan Elu Equal Erf Erfc Erfinv Exp Expm1 Floor FloorDiv FloorMod Greater
    GreaterEqual Imag Inv Invert IsFinite IsInf IsNan LeakyRelu LeftShift Less LessEqual Lgamma Log
    Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum Mod Mul MulNoNan Ndtri Neg NextAfter
    NotEqual OnesLike Pow Real RealDiv Reciprocal Relu Relu6 RightShift Rint Round Rsqrt Select
    SelectV2 Selu Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Square SquaredDifference Sub Tan
    Tanh TruncateDiv TruncateMod Xdivy Xlog1py Xlogy ZerosLike
""")
_REDUCTIONS = _words("""
    All Any ArgMax ArgMin BiasAdd BiasAddV1 Bincount Cumprod Cumsum CumulativeLogsumexp
    DenseBincount EuclideanNorm HistogramFixedWidth L2Loss LogSoftmax Max Mean Min Prod SegmentMax
    SegmentMean SegmentMin SegmentProd SegmentSum Softmax Sum UnsortedSegmentMax UnsortedSegmentMin
    UnsortedSegmentProd UnsortedSegmentSum
""")
_LINEAR_ALGEBRA = _words("""
    BatchMatMul BatchMatMulV2 BatchMatMulV3 Cholesky Cross Diag DiagPart Einsum MatMul
    MatrixBandPart MatrixDeterminant MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3
    MatrixDiagV2 MatrixDiagV3 MatrixInverse MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3
    MatrixSolve MatrixTriangularSolve Qr SelfAdjointEigV2 Svd
""")
_ARRAYS = _words("""
    BatchToSpace BatchToSpaceND Bitcast BroadcastArgs BroadcastGradientArgs BroadcastTo Bucketize
    Concat ConcatOffset ConcatV2 DynamicPartition DynamicStitch EditDistance ExpandDims
    ExtractImagePatches Fill Gather GatherNd GatherV2 InTopK InTopKV2
    InvertPermutation LinSpace ListDiff LowerBound MirrorPad NthElement OneHot Pack Pad PadV2
    ParallelConcat ParallelDynamicStitch Range Rank Reshape Reverse ReverseSequence ReverseV2 Roll
    ScatterNd Shape ShapeN Size Slice SpaceToBatch SpaceToBatchND Split SplitV Squeeze
    StridedSlice TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub
    TensorScatterUpdate Tile TopK TopKV2 Transpose Unique UniqueV2 UniqueWithCounts
    UniqueWithCountsV2 Unpack UnravelIndex UpperBound Where
""")
_TENSOR_LISTS = _words("""
    EmptyTensorList TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3
    TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3
    TensorListConcat TensorListConcatLists TensorListConcatV2 TensorListElementShape
    TensorListFromTensor TensorListGather TensorListGetItem TensorListLength TensorListPopBack
    TensorListPushBack TensorListReserve TensorListResize TensorListScatter
    TensorListScatterIntoExistingList TensorListScatterV2 TensorListSetItem TensorListSplit
    TensorListStack
""")
_NETWORKS = _words("""
    AvgPool AvgPool3D Conv Conv2D Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D
    Conv3DBackpropInputV2 DataFormatDimMap DataFormatVecPermute DepthToSpace
    DepthwiseConv2dNative DepthwiseConv2dNativeBackpropInput Dilation2D FusedBatchNorm
    FusedBatchNormV2 FusedBatchNormV3 FusedPadConv2D FusedResizeAndPadConv2D LRN MaxPool MaxPool3D
    MaxPoolV2 MaxPoolWithArgmax SpaceToDepth
""")
_QUANTIZED = _words("""
    Dequantize FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel
    QuantizeAndDequantize QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4
    QuantizeV2 QuantizedAdd QuantizedAvgPool QuantizedBiasAdd QuantizedConcat QuantizedConv2D
    QuantizedDepthwiseConv2D QuantizedMatMul QuantizedMaxPool QuantizedMul QuantizedRelu
    QuantizedRelu6 QuantizedReshape QuantizedResizeBilinear RequantizationRange Requantize
    UniformDequantize UniformQuantize UniformQuantizedAdd UniformQuantizedConvolution
    UniformQuantizedDot UniformRequantize
""")
# The decoders take bytes from a tensor; models exported for encoded pictures need them.
_PICTURES = _words("""
    AdjustContrastv2 AdjustHue AdjustSaturation CombinedNonMaxSuppression CropAndResize
    DecodeAndCropJpeg DecodeBmp DecodeGif DecodeImage DecodeJpeg DecodePng DrawBoundingBoxes
    DrawBoundingBoxesV2 EncodeJpeg EncodePng ExtractGlimpse ExtractGlimpseV2 ExtractJpegShape
    GenerateBoundingBoxProposals HSVToRGB ImageProjectiveTransformV2 ImageProjectiveTransformV3
    NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4
    NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps RGBToHSV ResizeArea ResizeBicubic
    ResizeBilinear ResizeNearestNeighbor SampleDistortedBoundingBox SampleDistortedBoundingBoxV2
    ScaleAndTranslate StatelessSampleDistortedBoundingBox
""")
# A graph saved with its training path still contains dropout and augmentation.
_RANDOM = _words("""
    Multinomial RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt
    StatelessMultinomial StatelessRandomGetAlg StatelessRandomGetKeyCounter
    StatelessRandomGetKeyCounterAlg StatelessRandomNormal StatelessRandomNormalV2
    StatelessRandomUniform StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2
    StatelessRandomUniformInt StatelessRandomUniformIntV2 StatelessRandomUniformV2
    StatelessTruncatedNormal StatelessTruncatedNormalV2 TruncatedNormal
""")
_SIGNALS = _words("FFT FFT2D FFT3D IFFT IFFT2D IFFT3D IRFFT IRFFT2D IRFFT3D RFFT RFFT2D RFFT3D")
# For class names, and for pictures in base64 and tf.Examples. These can build file names too, but
# no allowed operator opens them.
_STRINGS = _words("""
    AsString DecodeBase64 DecodePaddedRaw DecodeRaw EncodeBase64 ParseExample ParseExampleV2
    ParseSingleExample ReduceJoin RegexFullMatch
    RegexReplace StaticRegexFullMatch StaticRegexReplace StringFormat StringJoin StringLength
    StringLower StringStrip StringToNumber StringUpper Substr
""")
ALLOWED = frozenset().union(
    *(_GRAPH, _STATE, _TABLES, _ELEMENTWISE, _REDUCTIONS, _LINEAR_ALGEBRA, _ARRAYS),
    *(_TENSOR_LISTS, _NETWORKS, _QUANTIZED, _PICTURES, _RANDOM, _SIGNALS, _STRINGS),
)
# Operators of the saver that TensorFlow adds to every SavedModel.
SAVER = _words("MergeV2Checkpoints Restore RestoreV2 Save SaveSlices SaveV2 ShardedFilename")
_RESTORES = _words("Restore RestoreV2")


@dataclass(frozen=True)
class Node:
    """One node of a graph or function.

    Attributes:
        operator: Operator type, or the name of a function that the node calls.
        inputs: Names of its input nodes, control inputs included, without output numbers.
        functions: Names of functions in its attributes.
    """

    name: str
    operator: str
    inputs: tuple[str, ...] = ()
    functions: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Saver:
    """Names of the saver's nodes in the main graph; empty where there is none."""

    filename: str = ""
    save: str = ""
    restore: str = ""


@dataclass(frozen=True)
class Program:
    """A SavedModel's graph and its functions.

    Attributes:
        nodes: Nodes of the main graph.
        functions: Nodes of each library function, by function name.
        saver: The model's own saver.
        outputs: Names of main-graph nodes that signatures and initializers fetch.
        entries: Names of functions that the model's objects call.
        runs_restore: Whether loading runs the saver's restore node. True for TensorFlow 1's
            format, which has no objects.
    """

    nodes: tuple[Node, ...]
    functions: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    saver: Saver = field(default_factory=Saver)
    outputs: frozenset[str] = frozenset()
    entries: frozenset[str] = frozenset()
    runs_restore: bool = False


def refused_operators(program: Program, is_operator: Callable[[str], bool]) -> list[str]:
    """Returns the operators of a program that may not run, sorted.

    Args:
        program: The program to check.
        is_operator: Tells whether TensorFlow has an operator with a given name. Functions with such
            names are refused: TensorFlow might run the operator instead of the checked function.
    """
    found = {name for name in program.functions if is_operator(name)}
    exempt_nodes = _saver_nodes(program)
    exempt_functions = _saver_functions(program, exempt_nodes)
    for node in program.nodes:
        allowed = ALLOWED | SAVER if node.name in exempt_nodes else ALLOWED
        found.update(_refused([node], allowed, program))
        if program.runs_restore and node.operator in _RESTORES and not _own_files(node, program):
            found.add(node.operator)
    for name, nodes in program.functions.items():
        allowed = ALLOWED | SAVER if name in exempt_functions else ALLOWED
        found.update(_refused(nodes, allowed, program))
    return sorted(found)


def refusal(model: str, operators: Sequence[str]) -> str:
    """Returns the error message for a model that is refused because of its operators."""
    shown = ", ".join(ascii(name)[1:-1][:80] for name in operators[:12])
    more = f" and {len(operators) - 12} more" if len(operators) > 12 else ""
    advice = "export the inference function alone, without them"
    if any("FromTextFile" in name for name in operators):
        advice = "fill tables from tensors (tf.lookup.KeyValueTensorInitializer), not from a file"
    return (
        f"model: {model} uses operators that a served model may not use ({shown}{more}): they "
        "could read files, open connections or run code, or no vision model is known to need "
        f"them; {advice}"
    )


def _refused(nodes: Iterable[Node], allowed: frozenset[str], program: Program) -> Iterator[str]:
    for node in nodes:
        if node.operator not in allowed and node.operator not in program.functions:
            yield node.operator


def _saver_nodes(program: Program) -> set[str]:
    """Returns the names of nodes that only the saver needs."""
    saver = _ancestors(program.nodes, {program.saver.save, program.saver.restore} - {""})
    others = {node.name for node in program.nodes} - saver
    return saver - _ancestors(program.nodes, others | program.outputs)


def _saver_functions(program: Program, exempt_nodes: set[str]) -> set[str]:
    """Returns the functions that only the saver calls; empty if the loader runs the saver."""
    if program.runs_restore:
        return set()
    saver = [node for node in program.nodes if node.name in exempt_nodes]
    others = [node for node in program.nodes if node.name not in exempt_nodes]
    return _called_by(saver, program) - _called_by(others, program, program.entries)


def _called_by(nodes: Iterable[Node], program: Program, entries: Iterable[str] = ()) -> set[str]:
    """Returns `entries` and all functions that they and `nodes` call, directly or indirectly."""
    pending = [*entries, *(name for node in nodes for name in _calls(node, program))]
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in found and name in program.functions:
            found.add(name)
            pending.extend(
                called for node in program.functions[name] for called in _calls(node, program)
            )
    return found


def _calls(node: Node, program: Program) -> frozenset[str]:
    return node.functions | ({node.operator} & program.functions.keys())


def _ancestors(nodes: Iterable[Node], names: Iterable[str]) -> set[str]:
    """Returns the named nodes and all nodes that they depend on, directly or indirectly.

    A file may have two nodes with the same name. Both count, since TensorFlow might use either.
    """
    inputs: dict[str, list[str]] = {}
    for node in nodes:
        inputs.setdefault(node.name, []).extend(node.inputs)
    pending, found = list(names), set[str]()
    while pending:
        name = pending.pop()
        if name not in found and name in inputs:
            found.add(name)
            pending.extend(inputs[name])
    return found


def _own_files(node: Node, program: Program) -> bool:
    """Whether a restore node reads only the files that the loader names."""
    return node.inputs[:1] == (program.saver.filename,)
