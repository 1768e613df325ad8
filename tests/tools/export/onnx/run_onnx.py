# Runs an ONNX model with onnxruntime: run_onnx.py MODEL IMAGES LOGITS BATCH. Images and logits are float32 files without a
# a header; the model says the shape of an image.
import sys

import numpy
import onnxruntime

model, images, logits, batch = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
entry = session.get_inputs()[0]
x = numpy.fromfile(images, numpy.float32).reshape([-1] + entry.shape[1:])
parts = [session.run(None, {entry.name: x[i:i + batch]})[0] for i in range(0, len(x), batch)]
numpy.concatenate(parts).tofile(logits)
