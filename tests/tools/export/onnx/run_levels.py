# Every level that a runtime computes of a deployed model: run_levels.py MODEL IMAGES. IMAGES: numbers of the
# model's input type without a header. OUTPUT: for each tensor in the order of the graph all its levels as int32, then the
# logits as float32. Prints how many convolutions and additions the runtime has as integer operators.
import collections
import os
import sys
import tempfile

import numpy
import onnx

path, images, output = sys.argv[1:4]
model = onnx.load(path)
elem = model.graph.input[0].type.tensor_type
shape = [d.dim_value for d in elem.shape.dim[1:]]
x = numpy.fromfile(images, onnx.helper.tensor_dtype_to_np_dtype(elem.elem_type)).reshape([-1] + shape)

clipped = {n.input[0]: n.output[0] for n in model.graph.node if n.op_type == "Clip"}
levels = [clipped.get(n.output[0], n.output[0]) for n in model.graph.node if n.op_type == "QuantizeLinear"]
options_path = os.path.join(tempfile.mkdtemp(), "optimized.onnx")


def session(bytes_or_path, optimized=None):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if optimized:
        options.optimized_model_filepath = optimized
    return onnxruntime.InferenceSession(bytes_or_path, options, providers=["CPUExecutionProvider"])


session(path, options_path)
ops = collections.Counter(n.op_type for n in onnx.load(options_path).graph.node)
print(ops["QLinearConv"], ops["Conv"] + ops["FusedConv"], ops["QLinearAdd"], ops["Add"])
logits = model.graph.output[0].name
for name in levels:
    model.graph.output.append(onnx.ValueInfoProto(name=name))
run = session(model.SerializeToString())
found = dict(zip([o.name for o in run.get_outputs()], run.run(None, {"images": x})))
with open(output, "wb") as file:
    for name in levels:
        file.write(found[name].astype(numpy.int32).tobytes())
    file.write(found[logits].astype(numpy.float32).tobytes())
