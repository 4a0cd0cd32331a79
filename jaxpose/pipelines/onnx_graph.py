"""An ONNX graph under construction; BatchNorm is folded into convolutions as it is written.

Values are named; a constant is given as the array itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx

# Both are old enough for every runtime that is maintained.
OPSET, IR_VERSION = 17, 8

Value = str | np.ndarray


class _Affine(NamedTuple):
    """A value that is scale * base + shift, per channel of the last axis [C]."""

    base: str
    scale: np.ndarray
    shift: np.ndarray


class _Convolution(NamedTuple):
    """A convolution of channels-last `x` without bias; kernel [O, I, h, w]."""

    x: str
    kernel: np.ndarray
    attributes: dict[str, Any]


class Graph:
    """Nodes in order of execution, and the constants that they use."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, np.ndarray] = {}
        self._affine: dict[str, _Affine] = {}
        self._convolutions: dict[str, _Convolution] = {}
        self._count = 0

    def add(self, kind: str, *inputs: Value, **attributes: Any) -> str:
        """Append a node of one output and return that output's name."""
        names = [value if isinstance(value, str) else self._constant(value) for value in inputs]
        output = self._name(kind.lower())
        self._nodes.append(onnx.helper.make_node(kind, names, [output], **attributes))
        return output

    def convolve(self, x: str, kernel: np.ndarray, **attributes: Any) -> str:
        """Convolution of channels-last `x` [B, h, w, I] with [O, I, kh, kw], without bias."""
        output = self._convolve(x, kernel, None, attributes)
        self._convolutions[output] = _Convolution(x, kernel, attributes)
        return output

    def scale_and_shift(self, x: str, scale: np.ndarray, shift: np.ndarray) -> str:
        """x * scale + shift, both float32 [C] or scalar, of the last axis.

        What was scaled or shifted before is done together with it, within the convolution where
        `x` comes from one; nodes that nobody needs any more are left out of the model.
        """
        one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
        before = self._affine.get(x, _Affine(x, one, zero))
        scale, shift = before.scale * scale, before.shift * scale + shift
        output = self._affine_node(before.base, scale, shift)
        self._affine[output] = _Affine(before.base, scale, shift)
        return output

    def model(
        self,
        name: str,
        inputs: Mapping[str, Sequence[int | str]],
        outputs: Mapping[str, tuple[str, Sequence[int | str]]],
        metadata: Mapping[str, str],
    ) -> Any:
        """The checked onnx.ModelProto of float32 inputs and outputs.

        Args:
          inputs: name -> shape; open sizes by name.
          outputs: name -> (value, shape).
          metadata: what the model tells of itself.
        """
        for given, (value, _) in outputs.items():
            self._nodes.append(onnx.helper.make_node("Identity", [value], [given]))
        nodes = self._needed(set(outputs))
        used = {name for node in nodes for name in node.input}
        graph = onnx.helper.make_graph(
            nodes,
            name,
            [_described(n, shape) for n, shape in inputs.items()],
            [_described(n, shape) for n, (_, shape) in outputs.items()],
            [
                onnx.numpy_helper.from_array(np.asarray(array, order="C"), n)
                for n, array in self._constants.items()
                if n in used
            ],
        )
        opset = [onnx.helper.make_opsetid("", OPSET)]
        model = onnx.helper.make_model(
            graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="jaxpose"
        )
        onnx.helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model

    def _affine_node(self, base: str, scale: np.ndarray, shift: np.ndarray) -> str:
        found = self._convolutions.get(base)
        if found is not None:
            kernel = found.kernel * scale.reshape(-1, 1, 1, 1)
            bias = np.broadcast_to(shift, len(kernel))
            return self._convolve(found.x, kernel, bias, found.attributes)
        scaled = base if (scale == 1).all() else self.add("Mul", base, scale)
        return self.add("Add", scaled, shift)

    def _convolve(
        self, x: str, kernel: np.ndarray, bias: np.ndarray | None, attributes: dict[str, Any]
    ) -> str:
        # Runtimes move these transpositions through the graph until they cancel.
        first = self.add("Transpose", x, perm=(0, 3, 1, 2))
        given = (kernel,) if bias is None else (kernel, bias)
        return self.add(
            "Transpose", self.add("Conv", first, *given, **attributes), perm=(0, 2, 3, 1)
        )

    def _constant(self, array: np.ndarray) -> str:
        name = self._name("constant")
        self._constants[name] = array
        return name

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"

    def _needed(self, wanted: set[str]) -> list[Any]:
        kept = []
        for node in reversed(self._nodes):
            if node.output[0] in wanted:
                kept.append(node)
                wanted |= set(node.input)
        return kept[::-1]


def _described(name: str, shape: Sequence[int | str]) -> Any:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(shape))
