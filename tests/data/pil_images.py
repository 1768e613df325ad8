# Writes pil_images.inc: small files of every kind that PIL writes, each with the pixels that torchvision's ImageFolder
# gets of it, PIL's Image.open(file).convert("RGB").
#
# usage: python3 tests/data/pil_images.py > tests/data/pil_images.inc     (needs Pillow and numpy)
import io

import numpy as np
from PIL import Image, PngImagePlugin

HEIGHT, WIDTH = 3, 5


def samples(channels):
    """uint8 [HEIGHT, WIDTH, channels], different everywhere."""
    y, x, channel = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), np.arange(channels), indexing="ij")
    return (17 + 31 * x + 57 * y + 71 * channel + 13 * x * y * channel).astype(np.uint8)


RGB = Image.fromarray(samples(3), "RGB")
RGBA = Image.fromarray(samples(4), "RGBA")
GRAY = Image.fromarray(samples(1)[..., 0], "L")
GRAY_ALPHA = Image.fromarray(samples(2), "LA")
CMYK = Image.fromarray(samples(4), "CMYK")
PALETTE = RGB.quantize(15)
FEW = RGB.quantize(4)
BITS = GRAY.convert("1")


def with_gamma():
    """A gAMA chunk of 1.0, which readers of the web apply and PIL does not."""
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", (100000).to_bytes(4, "big"))
    return info


def with_stray_bytes(data):
    """A JPEG with a few bytes before its end marker, as cameras and old tools leave them."""
    return data[:-2] + b"\x01\x02\x03" * 10 + data[-2:]


def adobe_ycck():
    """A CMYK JPEG stored as YCCK."""
    data = encoded(CMYK, "JPEG", quality=95)
    marker = data.index(b"Adobe")
    return data[:marker + 11] + b"\x02" + data[marker + 12:]


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


CASES = {
    "PNG": encoded(RGB, "PNG"),
    "PNG with gamma": encoded(RGB, "PNG", pnginfo=with_gamma()),
    "PNG with alpha": encoded(RGBA, "PNG"),
    "PNG, gray": encoded(GRAY, "PNG"),
    "PNG, gray with alpha": encoded(GRAY_ALPHA, "PNG"),
    "PNG, palette": encoded(PALETTE, "PNG"),
    "PNG, palette of 2 bits with a transparent colour": encoded(FEW, "PNG", bits=2, transparency=1),
    "PNG, 1 bit": encoded(BITS, "PNG"),
    "PNG with a transparent colour": encoded(RGB, "PNG", transparency=tuple(int(v) for v in samples(3)[1, 1])),
    "JPEG": encoded(RGB, "JPEG"),
    "JPEG, progressive without subsampling": encoded(RGB, "JPEG", quality=95, subsampling=0, progressive=True),
    "JPEG, gray": encoded(GRAY, "JPEG"),
    "JPEG, CMYK": encoded(CMYK, "JPEG", quality=95),
    "JPEG, YCCK": adobe_ycck(),
    "JPEG with stray bytes": with_stray_bytes(encoded(RGB, "JPEG")),
    "JPEG that says it lies on its side": encoded(RGB, "JPEG", exif=bytes.fromhex(
        "45786966000049492a00080000000100120103000100000006000000 00000000".replace(" ", ""))),
    "WebP": encoded(RGB, "WEBP", quality=80),
    "WebP, lossless": encoded(RGB, "WEBP", lossless=True),
    "WebP with alpha": encoded(RGBA, "WEBP", lossless=True, exact=True),
    "WebP, moving": encoded(RGB, "WEBP", lossless=True, save_all=True, append_images=[RGB.rotate(180)]),
    "TIFF": encoded(RGB, "TIFF"),
    "TIFF, LZW": encoded(RGB, "TIFF", compression="tiff_lzw"),
    "TIFF with alpha": encoded(RGBA, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF, gray with alpha": encoded(GRAY_ALPHA, "TIFF"),
    "TIFF, palette": encoded(PALETTE, "TIFF"),
    "TIFF, 1 bit": encoded(BITS, "TIFF", compression="group4"),
    "TIFF, bottom row first": encoded(RGB, "TIFF", tiffinfo={274: 4}),
    "TIFF of two pictures": encoded(RGB, "TIFF", save_all=True, append_images=[RGB.rotate(180)]),
    "BMP": encoded(RGB, "BMP"),
    "BMP with alpha": encoded(RGBA, "BMP"),
    "BMP, gray": encoded(GRAY, "BMP"),
    "BMP, palette": encoded(PALETTE, "BMP"),
    "BMP, 1 bit": encoded(BITS, "BMP"),
}


def main():
    print("// Written by pil_images.py: name, file, pixels [3, 5, 3].")
    for name, data in CASES.items():
        image = Image.open(io.BytesIO(data)).convert("RGB")
        assert image.size == (WIDTH, HEIGHT), name
        print(f'{{"{name}",')
        for text in (data.hex(), image.tobytes().hex()):
            lines = [text[at:at + 112] for at in range(0, len(text), 112)]
            print("\n".join(f' "{line}"' for line in lines) + ",")
        print("},")


main()
