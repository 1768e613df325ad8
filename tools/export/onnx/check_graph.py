# Runs a deployed ONNX file in a runtime of others on the pictures that it carries: -c THIS MODEL RUNTIME OUTPUT.
# OUTPUT: JSON with the names of tensors whose levels have another checksum, their number, and the logits.
# Exit code 3: a package is missing, standard error names it.
import base64
import json
import sys
import zlib


def images_of(check, elem_type):
    import numpy
    import onnx
    pictures = numpy.frombuffer(base64.b64decode(check["pictures"]), numpy.uint8).reshape(check["shape"])
    if elem_type != onnx.TensorProto.UINT8:
        f = numpy.float32
        pictures = (pictures.astype(f) / f(255) - numpy.array(check["mean"], f)) / numpy.array(check["std"], f)
    return numpy.ascontiguousarray(pictures.transpose(0, 3, 1, 2))


def run_onnxruntime(model, check, images):
    import numpy
    import onnx
    import onnxruntime
    logits = model.graph.output[0].name
    names = list(check["levels"])
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = dict(zip([logits, *names], session.run([logits, *names], {model.graph.input[0].name: images})))
    others = [name for name in names
              if zlib.crc32(numpy.ascontiguousarray(found[name]).tobytes()) != check["levels"][name]]
    return found[logits], others, len(names)


def run_openvino(model, check, images):
    import openvino
    core = openvino.Core()
    # Otherwise it computes what is not quantized in bfloat16, where a processor has it.
    settings = {"EXECUTION_MODE_HINT": "ACCURACY"}
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", settings)
    return compiled([images])[0], [], 0


def main():
    path, runtime, output = sys.argv[1:4]
    try:
        __import__("onnx"), __import__(runtime)
    except ImportError as error:
        print(error.name or error, file=sys.stderr)
        return 3
    import onnx
    model = onnx.load(path)
    check = json.loads({entry.key: entry.value for entry in model.metadata_props}["check"])
    images = images_of(check, model.graph.input[0].type.tensor_type.elem_type)
    run = {"onnxruntime": run_onnxruntime, "openvino": run_openvino}[runtime]
    logits, others, compared = run(model, check, images)
    with open(output, "w") as file:
        json.dump({"others": others, "compared": compared, "logits": logits.astype(float).ravel().tolist()}, file)
    return 0


try:
    sys.exit(main())
except Exception as error:  # the runtime says why it cannot take the file
    print(f"{type(error).__name__}: {error}".splitlines()[0], file=sys.stderr)
    sys.exit(1)
