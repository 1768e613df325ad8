# Writes pickles.inc: a small dictionary as Python 2 wrote the published CIFAR, and as Python 3 writes it again.
#
# usage: python3 tests/data/pickles.py > tests/data/pickles.inc     (needs numpy)
import io
import pickle
import textwrap

import numpy as np

DATA = np.array([[0, 1, 127], [128, 200, 255]], np.uint8)


def python2():
    """Protocol 2 by Python 2's cPickle: str for texts and for the array's bytes."""
    out = io.BytesIO()
    out.write(b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x09K\x06eU\x04dataq\x04")
    out.write(b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07")
    out.write(b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\x09")
    out.write(b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x06\x00\x00\x00" + DATA.tobytes() + b"tb")
    out.write(b"U\x09filenamesq\x0a]q\x0b(U\x05a.pngq\x0cU\x05b.pngq\x0deu.")
    return out.getvalue()


def show(name, data):
    lines = textwrap.wrap(data.hex(), 112)
    print('{"%s",' % name)
    print("\n".join(' "%s"' % line for line in lines) + ",\n},")


print("// Written by pickles.py: name, pickle.")
show("Python 2", python2())
for protocol in (2, 3, 4, 5):
    keys = {"labels": [9, 6], "data": DATA, "filenames": ["a.png", "b.png"]}
    if protocol == 2:
        keys = {key.encode(): value for key, value in keys.items()}
    show(f"protocol {protocol}", pickle.dumps(keys, protocol))
