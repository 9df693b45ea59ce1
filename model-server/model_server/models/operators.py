"""The TensorFlow operators that a served model may use, and a graph's operators that are not.

A SavedModel is a program, and TensorFlow has about 1,900 operators: more than a hundred read or
write files, open connections, call Python, stop the process or map memory. A list of those would
be out of date with the next release, so the list is of what may run: operators that compute from
tensors to tensors, and the variables and tables that hold a model's own state. It covers the
SavedModels of the TF Object Detection API, of keras.applications and of TensorFlow Hub's image
models, and what TensorFlow's own exporters put around them. Training is not covered.

Every node is checked: of the main graph and of each function of the library, reached or not. The
one exception is the model's own saver (`SaveV2`, `RestoreV2` and what joins file names): every
SavedModel has one, and the Python loader does not run it. The exception ends where any other part
of the model reaches the saver's nodes.

Pure; knows neither protobuf nor TensorFlow.
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
# A model's own variables; none of them has a name outside the process.
_STATE = _words("""
    Assign AssignAdd AssignAddVariableOp AssignSub AssignSubVariableOp AssignVariableOp
    DestroyResourceOp DisableCopyOnRead IsVariableInitialized ReadVariableOp ResourceGather
    ResourceGatherNd VarHandleOp VarIsInitializedOp Variable VariableShape VariableV2
""")
# Tables are filled from tensors; from a file they would read any.
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
# The decoders work on bytes in a tensor: exports that take encoded pictures have them.
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
# Dropout and augmentation stay in a graph that was saved with its training path.
_RANDOM = _words("""
    Multinomial RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt
    StatelessMultinomial StatelessRandomGetAlg StatelessRandomGetKeyCounter
    StatelessRandomGetKeyCounterAlg StatelessRandomNormal StatelessRandomNormalV2
    StatelessRandomUniform StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2
    StatelessRandomUniformInt StatelessRandomUniformIntV2 StatelessRandomUniformV2
    StatelessTruncatedNormal StatelessTruncatedNormalV2 TruncatedNormal
""")
_SIGNALS = _words("FFT FFT2D FFT3D IFFT IFFT2D IFFT3D IRFFT IRFFT2D IRFFT3D RFFT RFFT2D RFFT3D")
# Names of classes, pictures in base64 and in tf.Examples. File names are strings too, but nothing
# opens them.
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
# What TensorFlow writes into every SavedModel's own saver.
SAVER = _words("MergeV2Checkpoints Restore RestoreV2 Save SaveSlices SaveV2 ShardedFilename")
_RESTORES = _words("Restore RestoreV2")


@dataclass(frozen=True)
class Node:
    """One node of a graph or function.

    Attributes:
        operator: Its type; perhaps the name of a function, which it then calls.
        inputs: Names of nodes, without the number of the output; control inputs too.
        functions: Functions that its attributes name.
    """

    name: str
    operator: str
    inputs: tuple[str, ...] = ()
    functions: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Saver:
    """Names of the saver's nodes in the main graph; empty for none."""

    filename: str = ""
    save: str = ""
    restore: str = ""


@dataclass(frozen=True)
class Program:
    """A SavedModel's graph with its functions.

    Attributes:
        nodes: Of the main graph.
        functions: Nodes of each function of the library, by the function's name.
        saver: The model's own saver.
        outputs: Names of main-graph nodes that signatures and initializers fetch.
        entries: Functions that the model's objects call.
        runs_restore: Whether loading runs the saver's restore node: so for TensorFlow 1's form,
            which has no objects.
    """

    nodes: tuple[Node, ...]
    functions: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    saver: Saver = field(default_factory=Saver)
    outputs: frozenset[str] = frozenset()
    entries: frozenset[str] = frozenset()
    runs_restore: bool = False


def refused_operators(program: Program, is_operator: Callable[[str], bool]) -> list[str]:
    """The operators of a program that may not run, sorted.

    Args:
        program: To be checked.
        is_operator: Whether TensorFlow has an operator of this name. A function of that name would
            be checked here while TensorFlow might run the operator.
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
    """What a person reads about a model that is refused for its operators."""
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
    """Names of nodes that only the saver needs."""
    saver = _ancestors(program.nodes, {program.saver.save, program.saver.restore} - {""})
    others = {node.name for node in program.nodes} - saver
    return saver - _ancestors(program.nodes, others | program.outputs)


def _saver_functions(program: Program, exempt_nodes: set[str]) -> set[str]:
    """Functions that only the saver calls, where the loader does not run it."""
    if program.runs_restore:
        return set()
    saver = [node for node in program.nodes if node.name in exempt_nodes]
    others = [node for node in program.nodes if node.name not in exempt_nodes]
    return _called_by(saver, program) - _called_by(others, program, program.entries)


def _called_by(nodes: Iterable[Node], program: Program, entries: Iterable[str] = ()) -> set[str]:
    """Names of all functions that nodes call, directly or not, and of `entries`."""
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
    """The named nodes and all that they take from, directly or not.

    A file may have two nodes of one name: both count, since nobody knows which TensorFlow takes.
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
    """Whether a restore node reads the files that the loader names, and no others."""
    return node.inputs[:1] == (program.saver.filename,)
