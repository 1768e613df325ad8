# Runs a deployed model with OpenVINO: run_openvino.py MODEL IMAGES LOGITS. IMAGES: numbers of the model's input type without
# a header; LOGITS: float32, likewise. Prints how many convolutions it runs in each type.
import collections
import sys

import numpy
import openvino

model = openvino.Core().read_model(sys.argv[1])
config = {"EXECUTION_MODE_HINT": "ACCURACY", "INFERENCE_NUM_THREADS": 1}
compiled = openvino.Core().compile_model(model, "CPU", config)
entry = compiled.inputs[0]
shape = [d.get_length() for d in list(entry.partial_shape)[1:]]
x = numpy.fromfile(sys.argv[2], entry.element_type.to_dtype()).reshape([-1] + shape)
compiled.create_infer_request().infer([x])[compiled.outputs[0]].astype(numpy.float32).tofile(sys.argv[3])
types = collections.Counter()
for node in compiled.get_runtime_model().get_ops():
    facts = node.get_rt_info()
    if facts["layerType"].astype(str) == "Convolution":
        types[facts["runtimePrecision"].astype(str)] += 1
print(sum(n for t, n in types.items() if t in ("u8", "i8")), sum(types.values()))
