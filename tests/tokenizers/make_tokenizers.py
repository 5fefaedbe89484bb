#!/usr/bin/env python3
"""Writes the small tokenizers of this folder, in the form of those of published models:

    ./make_tokenizers.py [folder]

Merges are learned from the tale in examples/data. What expected.json says about them was recorded with Hugging
Face's library (tokenizers 0.23), which is not needed otherwise.
"""
import collections
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
TALE = (HERE / "../../examples/data/tale.txt").read_text(encoding="utf-8")
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def visible_bytes():
    """GPT-2's alphabet: a character for each byte."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return {**{byte: chr(byte) for byte in seen}, **{byte: chr(256 + i) for i, byte in enumerate(hidden)}}


def learn(words, merges):
    """That many merges of the most frequent pairs."""
    counts = collections.Counter(words)
    split = {word: list(word) for word in counts}
    learned = []
    for _ in range(merges):
        pairs = collections.Counter()
        for word, count in counts.items():
            for pair in zip(split[word], split[word][1:]):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        learned.append(best)
        for word, parts in split.items():
            i = 0
            while i + 1 < len(parts):
                if (parts[i], parts[i + 1]) == best:
                    parts[i:i + 2] = [best[0] + best[1]]
                i += 1
    return learned


def model(alphabet, merges, first=(), **more):
    pieces = [*first, *alphabet, *(a + b for a, b in merges)]
    vocab = {}
    for piece in pieces:
        vocab.setdefault(piece, len(vocab))
    return {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocab,
            "merges": [f"{a} {b}" for a, b in merges], **more}


def added(model, *tokens):
    """Tokens (text, properties that are true); new ones get the ids after the model's."""
    result, next_id = [], len(model["vocab"])
    for text, *true in tokens:
        known = text in model["vocab"]
        result.append({"id": model["vocab"][text] if known else next_id, "content": text,
                       **{key: key in true for key in
                          ("single_word", "lstrip", "rstrip", "normalized", "special")}})
        next_id += not known
    return sorted(result, key=lambda token: token["id"])


def template(before, ids):
    return {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": token, "type_id": 0}} for token in before] +
                      [{"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in before}}


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def whole(model, **more):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None, **more, "model": model}


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    words = [" " + word for word in TALE.split()] + TALE.split()
    byte = visible_bytes()
    in_bytes = learn(["".join(byte[b] for b in word.encode()) for word in words], 160)
    in_marks = learn([word.replace(" ", "\u2581") for word in words], 160)
    letters = sorted(set(TALE.replace(" ", "\u2581")) - {"\n"})
    names = [f"<0x{b:02X}>" for b in range(256)]

    gpt2 = model(byte.values(), in_bytes)
    del gpt2["type"]  # as in the oldest files
    llama3 = model(byte.values(), in_bytes[:120], ignore_merges=True)
    llama3["vocab"]["\u0120whale"] = len(llama3["vocab"])  # a word that no merges lead to
    llama3_tokens = added(llama3, ("<|begin_of_text|>", "special"), ("<|end_of_text|>", "special"),
                          ("<|eot_id|>", "special"))
    ids = {token["content"]: token["id"] for token in llama3_tokens}
    qwen2 = model(byte.values(), in_bytes[:100], continuing_subword_prefix="", end_of_word_suffix="")
    qwen2["merges"] = [merge.split(" ") for merge in qwen2["merges"]]  # the newer way to write them
    llama2 = model(letters, in_marks, ["<unk>", "<s>", "</s>", *names], unk_token="<unk>", fuse_unk=True,
                   byte_fallback=True)
    marks = model(letters, in_marks[:90], ["<unk>", "<s>", "</s>"], unk_token="<unk>")
    falcon = model(byte.values(), in_bytes[:80])

    special = [("<unk>", "special"), ("<s>", "special"), ("</s>", "special")]
    to_space = {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}
    to_mark = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
    files = {
        "gpt2": whole(gpt2, added_tokens=added(gpt2, ("<|endoftext|>", "special", "normalized")),
                      pre_tokenizer=byte_level(), post_processor=byte_level(), decoder=byte_level()),
        "llama3": whole(
            llama3, added_tokens=llama3_tokens,
            pre_tokenizer={"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated", "invert": False},
                byte_level(regex=False)]},
            post_processor={"type": "Sequence", "processors": [
                byte_level(prefix=True), template(["<|begin_of_text|>"], ids)]},
            decoder=byte_level(prefix=True)),
        "qwen2": whole(
            qwen2, added_tokens=added(qwen2, ("<|endoftext|>", "special"), ("<|im_start|>", "special"),
                                      ("<think>",)),
            normalizer={"type": "NFC"},
            pre_tokenizer={"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": LLAMA3.replace("{1,3}", "")}, "behavior": "Isolated",
                 "invert": False},
                byte_level(regex=False)]},
            post_processor=byte_level(regex=False), decoder=byte_level(regex=False)),
        "llama2": whole(
            llama2, added_tokens=added(llama2, *special),
            normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, to_mark]},
            post_processor=template(["<s>"], llama2["vocab"]),
            decoder={"type": "Sequence", "decoders": [
                to_space, {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}),
        "marks": whole(
            marks, added_tokens=added(marks, *special, ("<mask>", "lstrip", "special"), ("[x]", "rstrip"),
                                      ("cat", "single_word")),
            pre_tokenizer=metaspace, decoder=metaspace),
        "falcon": whole(
            falcon, added_tokens=added(falcon, (">>TITLE<<", "special"), ("<|endoftext|>", "special")),
            pre_tokenizer={"type": "Sequence", "pretokenizers": [
                {"type": "Punctuation", "behavior": "Contiguous"}, byte_level(),
                {"type": "Digits", "individual_digits": False},
                {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated",
                 "invert": False}]},
            post_processor=byte_level(), decoder=byte_level()),
    }
    for name, content in files.items():
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        (folder / f"{name}.json").write_text(text.replace('"model":', '\n"model":') + "\n", encoding="utf-8")


main()
