#!/usr/bin/env python3
"""Writes the first inputs of every fuzz target: make_corpus.py CHECKOUT FOLDER. Programs and graphs are those of
the repository; files of tensors and of tokenizers are made here."""
import glob
import io
import json
import os
import struct
import sys
import zipfile

checkout, folder = sys.argv[1:]


def write(target, name, data):
    path = os.path.join(folder, target, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def copy(target, pattern, most):
    for path in sorted(glob.glob(os.path.join(checkout, pattern))):
        if os.path.getsize(path) <= most:
            write(target, os.path.basename(path), read(path))


copy("language", "examples/*.heed", 4096)
copy("language", "examples/attention/*.heed", 4096)
copy("language", "tests/models/*.heed", 4096)
copy("language", "tests/errors/*.heed", 4096)
copy("language", "tests/lit/*/*.heed", 4096)
copy("graph", "tests/lit/passes/*.hir", 16384)


def tensors(entries, metadata=None):
    """A safetensors file of (name, dtype, shape, bytes)."""
    header, at, data = {}, 0, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, dtype, shape, values in entries:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(values)]}
        at += len(values)
        data += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def floats(count):
    return struct.pack(f"<{count}f", *[0.25 * i for i in range(count)])


def ints(*values):
    return struct.pack(f"<{len(values)}i", *values)


# The toy program's parameters (tests/support/runtime_toy.h), in several types, and their moments.
parameters = [("w", "F32", [5], floats(5)), ("net.weight", "F32", [3, 8], floats(24)),
              ("net.unused", "F32", [3], floats(3))]
write("safetensors", "f32", tensors(parameters, {"step": "3", "seed": "1"}))
write("safetensors", "none", tensors([]))
write("safetensors", "null", tensors(parameters).replace(b'{"w"', b'{"__metadata__": null, "w"', 1))
write("safetensors", "f16", tensors([("w", "F16", [5], bytes(10)), ("net.weight", "BF16", [3, 8], bytes(48)),
                                     ("net.unused", "F64", [3], bytes(24))]))
write("safetensors", "prefix", tensors([("model." + name, *rest) for name, *rest in parameters]))
write("safetensors", "int8", tensors([("w", "F32", [5], floats(5)), ("net.weight", "I8", [3, 8], bytes(24)),
                                      ("net.weight.scale", "BF16", [1, 8], bytes(16)),
                                      ("net.unused", "F32", [3], floats(3))], {"weights_type": "int8"}))
index = {"metadata": {"total_size": 128}, "weight_map": {name: "shard" for name, *_ in parameters}}
write("safetensors", "index", json.dumps(index).encode() + b"\0" + tensors(parameters))

# Arguments of its entries.
write("inputs", "train", tensors([("x", "I32", [2, 3], ints(0, 1, 2, 3, 4, 0)), ("x.length", "I32", [2], ints(3, 2))]))
write("inputs", "values", tensors([("x", "I64", [1, 2], struct.pack("<2q", 1, 4)), ("scale", "I32", [1], ints(2))]))
write("inputs", "twice", tensors([("m", "F32", [2, 2, 3], floats(12)), ("keep", "BOOL", [2], b"\1\0"),
                                  ("m.length", "I32", [2], ints(1, 2))]))

# The same as files of data; the first byte says the format.
write("data", "jsonl", b"\0" + b'{"x": "ab", "scale": 2, "m": [[1, 2, 3]], "keep": true}\n{"x": [1, 4], "scale": 0, '
                       b'"m": [[1, 2, null], [4, 5, 6]], "keep": 0}\n')
write("data", "tsv", b"\1x\tscale\tm\tkeep\nab\t2\t[[1, 2, 3]]\ttrue\n")
write("data", "tensors", b"\2" + tensors([("m", "F16", [2, 2, 3], bytes(24)), ("keep", "BOOL", [2], b"\1\0"),
                                         ("m.seq.length", "I64", [2], struct.pack("<2q", 1, 2))]))
archive = io.BytesIO()
with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
    header = b"{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }\n"
    members.writestr("scale.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + ints(1, 2))
write("data", "arrays", b"\3" + archive.getvalue())

# Tokenizers: the small ones of the tests, and every kind of stage.
for path in sorted(glob.glob(os.path.join(checkout, "tests/tokenizers/*.json"))):
    if os.path.getsize(path) <= 65536 and not path.endswith("expected.json"):
        write("tokenizer", os.path.basename(path), read(path))
pieces = {piece: i for i, piece in enumerate(["<s>", "</s>", "a", "b", "ab", "\u0120", "\u0120a", "<0x0A>"])}
small = {"version": "1.0", "added_tokens": [{"id": 0, "content": "<s>", "special": True, "lstrip": True}],
         "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "\u2581"},
                                                            {"type": "Replace", "pattern": {"String": " "},
                                                             "content": "\u2581"}]},
         "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
             {"type": "Split", "pattern": {"Regex": "\\p{L}+|\\s+(?!\\S)"}, "behavior": "Isolated", "invert": False},
             {"type": "Digits", "individual_digits": True}, {"type": "Punctuation"}, {"type": "ByteLevel"}]},
         "post_processor": {"type": "TemplateProcessing",
                            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                            "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
         "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"},
                                                      {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
         "model": {"type": "BPE", "vocab": pieces, "merges": ["a b", "\u0120 a"], "byte_fallback": True,
                   "unk_token": "<s>", "fuse_unk": True}}
write("tokenizer", "small.json", json.dumps(small).encode())
write("tokenizer", "gpt2", b"v" + json.dumps(pieces).encode() + b"\0#version: 0.2\na b\n\xc4\xa0 a\n")


def field(number, value):
    """One field of a protobuf message: bytes, a whole number or a float."""
    if isinstance(value, int):
        return bytes([number << 3]) + varint(value)
    if isinstance(value, float):
        return bytes([number << 3 | 5]) + struct.pack("<f", value)
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def sentencepiece(kind):
    out = b""
    for i, piece in enumerate(["<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab", "\u2581a", "<0x41>"]):
        message = field(1, piece.encode()) + field(2, -float(i))
        if i < 3:
            message += field(3, 2 if i == 0 else 3)
        out += field(1, message)
    return out + field(2, field(3, kind)) + field(3, field(3, 1) + field(4, 1))


for kind in (1, 2, 4):
    write("tokenizer", f"model{kind}", sentencepiece(kind))

for i, expression in enumerate([
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+",
        r"a+?b*|(c|d){2,4}", r"[a-z&&[^b]]+|\x41\u00e9|\x{1F600}", r"\d++\w*+.", r"(a|b|ab)*c", r"((a*)b)*c",
        r"[\p{Lu}\p{Lt}]+(?=x)|\P{L}"]):
    write("pattern", str(i), expression.encode() + "\0It's 12 été, aabbcd  \n\tABx 漢字 😀".encode())
