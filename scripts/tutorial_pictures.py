#!/usr/bin/env python3
"""Draws the pictures of docs/tutorial.md into a folder: scripts/tutorial_pictures.py docs/pictures [RUN]
Those of measured numbers need RUN, a folder where the tutorial's commands have run, the long training included; without it
they are left out. Colours are those of `OUT attention`, for light and dark pages."""
import json
import math
import os
import subprocess
import sys

SENTENCE = "the cat sat on the mat"
WORDS = SENTENCE.split()
LOOK = """<style>
text { font-family: system-ui, "Noto Sans", sans-serif; font-size: 13px; fill: #1c2128 }
.mono { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12px } .small { font-size: 11px }
.bold { font-weight: 600 } .dim { fill: #6a737d } .accent { fill: #0b5cad }
.page { fill: #ffffff } .cell { fill: #0b5cad; shape-rendering: crispEdges } .warm { fill: #b3541e }
.box { fill: #eef2f6; stroke: #b4bcc6 } .blue { fill: #dbe9f8; stroke: #0b5cad } .frame { fill: none; stroke: #b4bcc6 }
.line { stroke: #6a737d; fill: none } .strong { stroke: #0b5cad; fill: none; stroke-width: 1.8 }
.head { fill: #6a737d }
@media (prefers-color-scheme: dark) {
  text { fill: #dfe4ea } .dim { fill: #929ba6 } .accent { fill: #79b8ff }
  .page { fill: #14171b } .cell { fill: #79b8ff } .warm { fill: #f0a35e }
  .box { fill: #232830; stroke: #4a525c } .blue { fill: #16304c; stroke: #79b8ff } .frame { stroke: #4a525c }
  .line { stroke: #929ba6 } .strong { stroke: #79b8ff } .head { fill: #929ba6 }
}
</style>
<defs><marker id="tip" markerWidth="7" markerHeight="7" refX="6" refY="3" orient="auto"><path class="head"
d="M0 0L6 3L0 6z"/></marker></defs>
"""


def number(value):
    return f"{value:.1f}".removesuffix(".0")


class Canvas:
    """An SVG that grows by shapes; coordinates are pixels from the upper left."""

    def __init__(self, width, height):
        self.width, self.height, self.body = width, height, []
        self.cells = {}  # of equal look and strength: one path

    def add(self, text):
        self.body.append(text)

    def text(self, x, y, words, look="", anchor="middle"):
        words = words.replace("&", "&amp;").replace("<", "&lt;")
        look = f' class="{look}"' if look else ""
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.add(f'<text x="{number(x)}" y="{number(y)}"{look}{where}>{words}</text>')

    def box(self, x, y, width, height, words="", look="box"):
        self.add(f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}" rx="5" '
                 f'class="{look}"/>')
        lines = words.split("\n") if words else []
        for i, line in enumerate(lines):
            self.text(x + width / 2, y + height / 2 + 4.5 + 16 * (i - (len(lines) - 1) / 2), line)

    def path(self, points, look="line", arrow=False, more=""):
        d = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
        self.add(f'<path class="{look}" d="{d}"{more}' + (' marker-end="url(#tip)"' if arrow else "") + "/>")

    def arrow(self, *points):
        self.path(points, arrow=True)

    def cell(self, x, y, width, strength, look="cell", height=0):
        shade = round(strength, 1) if strength >= 0.1 else round(strength, 2)
        if shade > 0.01:
            place = f"M{number(x)} {number(y)}h{number(width)}v{number(height or width)}h-{number(width)}z"
            self.cells[look, shade] = self.cells.get((look, shade), "") + place

    def grid(self, x, y, size, weights):
        """A table of weights between 0 and 1 in a frame, rows downwards."""
        for r, row in enumerate(weights):
            for c, weight in enumerate(row):
                self.cell(x + c * size, y + r * size, size - 1, weight)
        self.add(f'<rect x="{number(x - 1)}" y="{number(y - 1)}" width="{number(len(weights[0]) * size + 1)}" '
                 f'height="{number(len(weights) * size + 1)}" class="frame"/>')

    def save(self, path):
        for (look, shade), places in sorted(self.cells.items()):
            self.add(f'<path class="{look}" fill-opacity="{shade}" d="{places}"/>')
        with open(path, "w", encoding="utf-8") as out:
            out.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
                      f'viewBox="0 0 {self.width} {self.height}">\n{LOOK}<rect class="page" width="100%" '
                      'height="100%"/>\n' + "\n".join(self.body) + "\n</svg>\n")


def softmax(scores):
    exps = [math.exp(score - max(scores)) for score in scores]
    return [value / sum(exps) for value in exps]


def alike(query):
    """Weights of lookup.heed: the score of a key is 4 if it is the same word, else 0."""
    return softmax([4 if word == query else 0 for word in WORDS])


def pseudo(seed):
    """Some shade for a cell of a table whose numbers do not matter."""
    return 0.12 + 0.6 * ((seed * 7919 + 104729) % 97) / 97


def axes():
    canvas = Canvas(640, 224)
    for r, word in enumerate(WORDS):
        canvas.text(92, 67 + 20 * r, word, anchor="end")
        for c in range(12):
            canvas.cell(100 + 16 * c, 54 + 20 * r, 14, pseudo(12 * r + c if r != 4 else c))
    canvas.text(196, 40, "model: 512 numbers a word", "accent bold")
    canvas.text(52, 40, "src", "accent bold")
    canvas.text(196, 200, "x[src, model]", "mono")
    canvas.text(322, 118, "@model", "mono bold")
    for r in range(4):
        for c in range(12):
            canvas.cell(360 + 10 * c, 84 + 14 * r, 9, pseudo(500 + 12 * r + c), "warm")
    canvas.text(420, 72, "model", "accent bold")
    canvas.text(420, 166, "W[key, model]", "mono")
    canvas.text(504, 118, "=", "bold")
    for r, word in enumerate(WORDS):
        canvas.text(560, 67 + 20 * r, word, anchor="end")
        for c in range(4):
            canvas.cell(568 + 14 * c, 54 + 20 * r, 12, pseudo(900 + 4 * r + c if r != 4 else 900 + c))
    canvas.text(596, 40, "key", "accent bold")
    canvas.text(584, 200, "[src, key]", "mono")
    return canvas


def lookup():
    canvas = Canvas(640, 250)
    weights = alike("the")
    canvas.box(24, 104, 96, 44, "query\nthe", "blue")
    for i, word in enumerate(WORDS):
        y = 42 + 32 * i
        canvas.path([(120, 126), (212, y + 11)], "strong" if word == "the" else "line",
                    more=f' stroke-opacity="{0.35 + 0.65 * weights[i]:.2f}"')
        canvas.box(212, y, 62, 23, word)
        canvas.text(304, y + 16, "4" if word == "the" else "0", "mono")
        canvas.add(f'<rect x="342" y="{y + 4}" width="{number(2 + 120 * weights[i])}" height="15" class="cell"/>')
        canvas.text(350 + 120 * weights[i], y + 16, f"{weights[i]:.2f}", "mono", "start")
        canvas.box(486, y, 40, 23, str(i))
    for x, name in ((243, "keys"), (304, "score"), (380, "weight"), (506, "values")):
        canvas.text(x, 26, name, "bold accent")
    canvas.arrow((534, 126), (562, 126))
    canvas.text(596, 131, f"{sum(i * weight for i, weight in enumerate(weights)):.2f}", "mono bold")
    canvas.text(596, 150, "the mix", "small dim")
    return canvas


def heads():
    canvas = Canvas(640, 212)
    canvas.box(16, 84, 92, 44, "x, m\nmodel 512")
    for h in range(8):
        x = 160 + 38 * h
        canvas.path([(108, 106), (134, 106), (134, 24), (x + 15, 24)], "line")
        canvas.arrow((x + 15, 24), (x + 15, 40))
        canvas.box(x, 42, 30, 26, "", "blue")
        canvas.text(x + 15, 59, "q k v", "small")
        for r in range(4):
            shades = softmax([6 * pseudo(40 * h + 5 * r + c) for c in range(4)])
            for c in range(4):
                canvas.cell(x + 1 + 7 * c, 82 + 7 * r, 6, 0.1 + 0.9 * shades[c])
        canvas.arrow((x + 15, 68), (x + 15, 80))
        canvas.box(x, 124, 30, 22, "64")
        canvas.arrow((x + 15, 110), (x + 15, 122))
        canvas.path([(x + 15, 146), (x + 15, 164)], "line")
    canvas.path([(175, 164), (500, 164)], "line")
    canvas.arrow((482, 164), (500, 164), (500, 106), (526, 106))
    canvas.box(528, 84, 96, 44, "Wo\nmodel 512", "blue")
    canvas.text(308, 192, "heads: 8 of them, each with its own matrices and its own weights", "dim small")
    return canvas


def positions():
    canvas = Canvas(640, 236)
    for p in range(24):
        for i in range(16):
            angle = p / 10000 ** ((i // 2) / 8)
            value = math.sin(angle) if i % 2 == 0 else math.cos(angle)
            canvas.cell(84 + 32 * i, 30 + 8 * p, 32, 0.5 + 0.5 * value, height=8)
    canvas.add('<rect x="84" y="30" width="512" height="192" class="frame"/>')
    canvas.text(340, 20, "model: sin, cos, sin, cos ... of ever longer waves", "small")
    canvas.text(76, 42, "position 0", "small", "end")
    canvas.text(76, 218, "23", "small", "end")
    return canvas


def frame_of(canvas, x, y, width, parts):
    """Sub-layers upwards from y, each with its residual connection; returns where the last one ends."""
    for words, look in parts:
        middle = x + width / 2
        canvas.arrow((middle, y), (middle, y - 18))
        canvas.box(x, y - 56, width, 36, words, look)
        canvas.arrow((middle, y - 56), (middle, y - 68))
        canvas.box(x, y - 94, width, 24, "add, norm")
        canvas.arrow((middle, y - 8), (x - 16, y - 8), (x - 16, y - 82), (x - 2, y - 82))
        y -= 94
    return y


def encoder():
    canvas = Canvas(640, 272)
    canvas.text(150, 264, "x[src, model]", "mono")
    canvas.add('<rect x="40" y="36" width="212" height="208" rx="8" class="frame"/>')
    top = frame_of(canvas, 76, 238, 148, [("self-attention", "blue"), ("feed-forward", "box")])
    canvas.arrow((150, top), (150, 22))
    canvas.text(150, 16, "x[src, model]", "mono")
    canvas.text(30, 140, "× 6", "bold", "end")
    canvas.text(300, 204, "words look at each other: the only place", anchor="start")
    canvas.text(300, 222, "where positions meet", anchor="start")
    canvas.text(300, 102, "each word by itself: 512 → 2048 → 512,", anchor="start")
    canvas.text(300, 120, "the same matrices at every position", anchor="start")
    canvas.text(300, 160, "what went in is added to what came out", "dim", "start")
    return canvas


def decoder():
    canvas = Canvas(640, 366)
    canvas.text(150, 358, "y[tgt, model]", "mono")
    canvas.add('<rect x="40" y="36" width="212" height="302" rx="8" class="frame"/>')
    top = frame_of(canvas, 76, 332, 148,
                   [("masked self-attention", "blue"), ("cross-attention", "blue"), ("feed-forward", "box")])
    canvas.arrow((150, top), (150, 22))
    canvas.text(150, 16, "y[tgt, model]", "mono")
    canvas.text(30, 186, "× 6", "bold", "end")
    canvas.box(456, 178, 148, 44, "the encoder's\nm[src, model]", "box")
    canvas.path([(456, 200), (226, 200)], "strong", True)
    canvas.text(352, 192, "keys, values", "accent")
    canvas.text(280, 298, "tgt' <= tgt: what has been written so far", "", "start")
    canvas.text(280, 222, "queries: tgt, keys: src", "dim", "start")
    canvas.text(280, 108, "each word by itself", "", "start")
    return canvas


def transformer():
    canvas = Canvas(640, 320)
    canvas.text(150, 312, "The cat is here .", "mono")
    canvas.text(430, 312, "<s> Le chat est", "mono")
    for x, name in ((150, "src"), (430, "tgt")):
        canvas.arrow((x, 298), (x, 288))
        canvas.box(x - 84, 256, 168, 30, "E[...] + position")
        canvas.arrow((x, 256), (x, 224))
        canvas.text(x + 10, 246, f"{name}, model", "mono small dim", "start")
    for i in range(3):
        canvas.box(72 + 6 * i, 130 - 6 * i, 156, 92, "encoder\n× 6" if i == 2 else "", "blue")
        canvas.box(352 + 6 * i, 130 - 6 * i, 156, 92, "decoder\n× 6" if i == 2 else "", "blue")
    canvas.path([(162, 118), (162, 84), (296, 84), (296, 164), (350, 164)], "strong", True)
    canvas.text(230, 76, "m: src, model", "mono small")
    canvas.arrow((430, 118), (430, 92))
    canvas.text(440, 108, "tgt, model", "mono small dim", "start")
    canvas.box(346, 60, 168, 30, "E @model z")
    canvas.arrow((430, 60), (430, 42))
    canvas.text(440, 54, "tgt, vocab", "mono small dim", "start")
    canvas.text(430, 32, "Le chat est ici", "mono")
    canvas.path([(516, 270), (560, 270), (560, 75), (516, 75)], "line", more=' stroke-dasharray="4 3"')
    canvas.text(566, 176, "one table E", "small dim", "start")
    return canvas


def bars(canvas, x, weights, title, read):
    canvas.text(x + 105, 24, title, "bold accent")
    for i, weight in enumerate(weights):
        canvas.add(f'<rect x="{x + 35 * i}" y="{number(144 - 100 * weight)}" width="27" '
                   f'height="{number(1 + 100 * weight)}" class="cell"/>')
        canvas.text(x + 35 * i + 13.5, 160, WORDS[i], "small")
        canvas.text(x + 35 * i + 13.5, 138 - 100 * weight, f"{weight:.2f}", "small dim")
    canvas.text(x + 105, 188, read, "small")


def soft_hard():
    canvas = Canvas(640, 204)
    soft = alike("the")
    hard = [1.0 if i == soft.index(max(soft)) else 0.0 for i in range(len(soft))]
    place = sum(i * weight for i, weight in enumerate(soft))
    bars(canvas, 64, soft, "soft: a mix", f"reads {place:.2f}; moves with every score")
    bars(canvas, 376, hard, "hard: one", "reads 0; no gradient")
    return canvas


def global_local():
    canvas = Canvas(640, 194)
    masks = [("global", "no mask", lambda q, k: True), ("global, causal", "seq' <= seq", lambda q, k: k <= q),
             ("local", "abs(seq - seq') <= 2", lambda q, k: abs(q - k) <= 2),
             ("local, causal", "... and seq - seq' < 3", lambda q, k: k <= q and q - k < 3)]
    for i, (title, rule, seen) in enumerate(masks):
        x = 28 + 156 * i
        canvas.grid(x, 40, 10, [[0.8 if seen(q, k) else 0.0 for k in range(12)] for q in range(12)])
        canvas.text(x + 60, 26, title, "bold accent")
        canvas.text(x + 60, 182, rule, "mono small")
    return canvas


def table_of(run, program, entry):
    """All numbers that a command of a program of the run gives for the sentence."""
    command = [f"./{program}", entry, "--weights", f"{program}.safetensors", "--x", "sentence.txt", "--json"]
    return json.loads(subprocess.run(command, cwd=run, check=True, capture_output=True, text=True).stdout)


def four_steps(run):
    """The word `cat`, from its embedding to its output."""
    scores, scaled, weights = (table_of(run, "steps", entry)[1] for entry in ("scores", "scaled", "weights"))
    canvas = Canvas(640, 304)
    canvas.box(20, 24, 96, 44, "cat\n512 numbers", "blue")
    for i, (name, size) in enumerate((("query", "64"), ("keys", "6 × 64"), ("values", "6 × 64"))):
        canvas.box(192 + 132 * i, 24, 100, 44, f"{name}\n{size}")
    canvas.arrow((116, 46), (190, 46))
    canvas.text(153, 40, "Wq", "mono small")
    canvas.text(392, 16, "of all six words, by Wk and Wv", "small dim")
    rows = (("2  query · key", scores, "{:.1f}"), ("3a  ÷ √64 = 8", scaled, "{:.2f}"),
            ("3b  softmax", weights, "{:.2f}"))
    canvas.text(20, 92, "1  queries, keys, values", "bold accent", "start")
    for c, word in enumerate(WORDS):
        canvas.text(228 + 64 * c, 124, word, "bold")
    for r, (name, values, form) in enumerate(rows):
        y = 150 + 34 * r
        canvas.text(20, y + (10 if r == 2 else 0), name, "bold accent", "start")
        for c, value in enumerate(values):
            if r == 2:
                canvas.cell(206 + 64 * c, y - 17, 44, value * 0.6)
            canvas.text(228 + 64 * c, y + (10 if r == 2 else 0), form.format(value), "mono")
    canvas.text(20, 284, "4  sum of values", "bold accent", "start")
    canvas.text(206, 284, " + ".join(f"{w:.2f} v({word})" for w, word in zip(weights, WORDS) if w > 0.05)
                + " + ...  = 64 numbers", "mono", "start")
    return canvas


def training(run):
    with open(f"{run}/mt.jsonl", encoding="utf-8") as log:
        steps = [json.loads(line) for line in log]
    last, top = len(steps), 8.0
    canvas = Canvas(640, 252)

    def at(step, loss):
        return 56 + 548 * step / last, 214 - 190 * loss / top

    for loss in (0, 2, 4, 6, 8):
        canvas.path([at(0, loss), at(last, loss)], "frame")
        canvas.text(46, at(0, loss)[1] + 4, str(loss), "small", "end")
    guess = math.log(1000)
    canvas.path([at(0, guess), at(last, guess)], "line", more=' stroke-dasharray="4 3"')
    canvas.text(600, at(0, guess)[1] - 6, "ln 1000: a guess", "small dim", "end")
    # Means of five steps, so that the line is a line.
    means = [sum(s["loss"] for s in steps[i:i + 5]) / len(steps[i:i + 5]) for i in range(0, last, 5)]
    canvas.path([at(5 * i + 3, mean) for i, mean in enumerate(means)], "strong")
    for s in steps:
        if "valid_nll" in s:
            x, y = at(s["step"], s["valid_nll"])
            canvas.add(f'<circle cx="{number(x)}" cy="{number(y)}" r="4" class="warm"/>')
            canvas.text(x, at(0, 0)[1] + 16, str(s["step"]), "small")
    canvas.path([(300, 86), (322, 86)], "strong")
    canvas.text(332, 90, "loss in training, label smoothing included", anchor="start")
    canvas.add('<circle cx="311" cy="104" r="4" class="warm"/>')
    canvas.text(332, 108, "sentences never trained on, without it", anchor="start")
    canvas.text(330, 246, "step", "small dim")
    return canvas


def shown(run, command):
    subprocess.run(command, cwd=run, check=True, capture_output=True)


def measured(run, folder):
    four_steps(run).save(f"{folder}/four-steps.svg")
    training(run).save(f"{folder}/training.svg")
    target = os.path.abspath(folder)
    shown(run, ["./masked", "attention", "--weights", "masked.safetensors", "--text", SENTENCE, "--heads", "0", "-o",
                f"{target}/masked.svg"])
    shown(run, ["./mt", "attention", "--weights", "mt.safetensors", "--source", "The cat is on the table.", "--site",
                "dec.1.cross", "--heads", "2", "--style", "lines", "-o", f"{target}/alignment.svg"])


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for draw in (axes, lookup, heads, positions, encoder, decoder, transformer, soft_hard, global_local):
        draw().save(f"{folder}/{draw.__name__.replace('_', '-')}.svg")
    if len(sys.argv) > 2:
        measured(sys.argv[2], folder)


if __name__ == "__main__":
    main()
