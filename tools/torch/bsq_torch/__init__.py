# PyTorch checkpoint files to and from bsq's safetensors, for tools/torch/from_torch.py and tools/to_torch.py. Top down:
#
#   trace.py        a PyTorch module as the nodes of a network, by its operations (graph.py); both need torch
#   model.py        shapes and forms of a model, there and here
#   assumed.py      what a state_dict does not say of its model
#   weight_sets.py  which tensors of what was saved are the weights, and their names
#   network.py      which tensors a network has
#   program.py      bsq itself, where only it knows the network
#   arrays.py       tensors as arrays of float32 and counters
#   torch_file.py   the two containers that torch.save has written, down to arrays
#   pickle_data.py  the pickle inside them, read without executing it
#   safetensors.py  bsq's own files
#   files.py        errors and exit codes, files that are written whole or not at all
#
# Whatever is read is hostile: every size in it is checked against the size of the file before memory is taken for it.
