# As run_onnx.py, of a QONNX model with QONNX's own executor (PyPI: qonnx), which knows what an IntQuant node rounds.
import sys

import numpy
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

path, images, logits, batch = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
model = ModelWrapper(path)
entry, output = model.graph.input[0], model.graph.output[0].name
shape = [batch] + [size.dim_value for size in entry.type.tensor_type.shape.dim[1:]]
model.set_tensor_shape(entry.name, shape)
model = model.transform(InferShapes())
x = numpy.fromfile(images, numpy.float32).reshape([-1] + shape[1:])
parts = [execute_onnx(model, {entry.name: x[i:i + batch]})[output] for i in range(0, len(x), batch)]
numpy.concatenate(parts).tofile(logits)
