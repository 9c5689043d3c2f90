# SPDX-License-Identifier: Apache-2.0
"""Tables and plots of what scripts/bench-peers measured."""
import html
import json
import math
import xml.etree.ElementTree

PEERS = ("rust", "rust-safe", "go")
SECTIONS = (("Protected memory", ("secret/", "key/")), ("Sessions", ("session/",)), ("The key cache", ("keycache/",)),
            ("Many partitions", ("growth/",)))
DEFAULT_LEVEL = {"secret": "strict"}  # of the other groups: leased

# What we aim at, for the default level and one thread: "floor" = at most so many times the floor; a peer's name = at
# least so many times faster than it; "ns" = at most. "2", "16": with so many threads at least so many times the
# throughput of one.
GOALS = {
    "secret/strict/lone": {"floor": 1.1},
    "secret/strict/nested": {"ns": 25},
    "secret/leased/hot": {"ns": 5, "2": 1.9},
    "secret/reader/read": {"floor": 1.15},
    "secret/reader/read_full": {"floor": 1.15},
    "secret/reader/read_all": {"floor": 1.15},
    "secret/create_random": {"ns": 600},
    "secret/create_random/1000000": {"ns": 600},
    "key/seal": {"ns": 300},
    "key/cycle": {"ns": 250, "2": 1.9},
    "session/encrypt/64": {"floor": 1.2, "rust": 5, "2": 1.9, "16": 1.8},
    "session/encrypt/1024": {"floor": 1.15, "rust": 5, "2": 1.9, "16": 1.8},
    "session/encrypt/8192": {"floor": 1.1, "rust": 6},
    "session/encrypt/65536": {"floor": 1.05, "rust": 6.5},
    "session/encrypt/1048576": {"floor": 1.05, "rust": 6.5},
    "session/decrypt/64": {"floor": 1.2, "rust": 4, "2": 1.9, "16": 1.8},
    "session/decrypt/1024": {"floor": 1.15, "rust": 4.5, "2": 1.9, "16": 1.8},
    "session/decrypt/65536": {"floor": 1.05, "rust": 7},
    "session/encrypt_json/64": {"rust": 5, "2": 1.9, "16": 1.8},
    "session/encrypt_json/1024": {"rust": 5, "2": 1.9, "16": 1.8},
    "session/encrypt_json/8192": {"rust": 6},
    "session/decrypt_json/64": {"rust": 4, "2": 1.9, "16": 1.8},
    "session/decrypt_json/1024": {"rust": 5, "2": 1.9, "16": 1.8},
    "session/decrypt_json/8192": {"rust": 6},
    "growth/1000/1": {"floor": 2},
    "growth/10000/1": {"floor": 2},
    "growth/10000/16": {"16": 1.8},
    "growth/1000000/1": {"floor": 4},
}
STRICT = {"pair": 1.1}  # sessions at strict: the floor and at most so many times what opens and shuts a page
PORTABLE = "ael-portable"  # this library built without intel-ipsec-mb
PORTABLE_GOALS = {"64": {"rust": 2.5}, "1024": {"rust": 2}}  # by the payload's bytes
WARM_BYTES = 400  # resident, of a warm partition: at most
EVERY_THREADS = {  # at each number of threads
    "keycache/read_existing": {"go": 20},
    "keycache/write_same": {"go": 15},
    "keycache/write_unique": {"go": 5},
    "keycache/read_revoked": {"go": 20},
    "keycache/need_reload": {"go": 8},
    "keycache/read_unique": {"go": 15},
    "keycache/latest_existing": {"go": 25},
    "keycache/latest_unique": {"go": 20},
}


# ---- tables ----

def number(value):
    """Three digits that count, with a comma between thousands."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def measured(line):
    return f"{number(line['ns_per_op'])} ({number(line['min'])}–{number(line['max'])})"


class Figures:
    """The lines of one run, by what they are about."""

    def __init__(self, results):
        self.timed = [line for line in results if "ns_per_op" in line]
        self.locked = [line for line in results if "locked_kib" in line]
        self.warm = [line for line in results if "resident_bytes" in line]

    def ours(self, prefixes, impl="ael"):
        lines = [line for line in self.timed if line["impl"] == impl and line["case"].startswith(prefixes)]
        return sorted(lines, key=self.place)

    @staticmethod
    def place(line):
        head, _, tail = line["case"].rpartition("/")
        size = int(tail) if tail.isdigit() else 0
        return (head if size else line["case"], size, line["threads"], not is_default(line), line["level"])

    def peers(self, case, threads, impl):
        """The lines of a peer, the fastest first: Go has two kinds of secret memory."""
        lines = [line for line in self.timed
                 if (line["case"], line["threads"], line["impl"]) == (case, threads, impl)]
        return sorted(lines, key=lambda line: line["ns_per_op"])

    def factor(self, line, impl):
        lines = self.peers(line["case"], line["threads"], impl)
        return lines[0]["ns_per_op"] / line["ns_per_op"] if lines else None

    def pair(self):
        """What it takes to open and shut a page; None when it was not measured."""
        return next((line["ns_per_op"] for line in self.timed
                     if line["case"] == "floor/mprotect_pair" and line["threads"] == 1), None)

    def alone(self, line):
        """The same with one thread."""
        case = alone_name(line["case"])
        same = [other for other in self.timed if other["threads"] == 1 and other["case"] == case
                and all(other[key] == line[key] for key in ("impl", "level"))]
        return same[0] if same else None


def alone_name(case):
    """What a case is called with one thread: growth's names end in their number."""
    return case.rpartition("/")[0] + "/1" if case.startswith("growth/") else case


def is_default(line):
    """Whether this is the level that users get, or the one that the case is about."""
    group, _, case = line["case"].partition("/")
    if case.startswith("leased/") or line["level"] == "none" or group == "keycache":
        return True
    return line["level"] == DEFAULT_LEVEL.get(group, "leased")


def goals_of(line):
    """What is asked of a line: pairs of a name in GOALS and a figure."""
    if line["impl"] == PORTABLE:
        return PORTABLE_GOALS[line["case"].rpartition("/")[2]]
    if line["level"] == "strict" and line["floor_ns"] and line["case"].startswith("session/") and line["threads"] == 1:
        return STRICT
    if not is_default(line):
        return {}
    every = EVERY_THREADS.get(line["case"], {})
    all_goals = GOALS.get(line["case"], {})
    threads = str(line["threads"])
    if threads != "1":
        return every | {name: figure for name, figure in all_goals.items() if name == threads}
    return every | {name: figure for name, figure in all_goals.items() if not name.isdigit()}


def reached(figures, line, name, figure):
    """Whether a goal is met; None when there is nothing to hold the line against."""
    if name == "floor":
        return None if line["ratio_floor"] is None else line["ratio_floor"] <= figure
    if name == "ns":
        return line["ns_per_op"] <= figure
    if name == "pair":
        pair = figures.pair()
        return None if pair is None else line["ns_per_op"] <= line["floor_ns"] + figure * pair
    if name.isdigit():
        alone = figures.alone(line)
        return None if alone is None else alone["ns_per_op"] / line["ns_per_op"] >= figure
    factor = figures.factor(line, name)
    return None if factor is None else factor >= figure


def goal_text(name, figure):
    if name == "floor":
        return f"≤ {figure} × floor"
    if name == "ns":
        return f"≤ {figure} ns"
    if name == "pair":
        return f"≤ floor + {figure} × an mprotect pair"
    return f"≥ {figure} × one thread" if name.isdigit() else f"≥ {figure} × {name}"


def verdicts(figures, line):
    words = {True: "met", False: "**missed**", None: "not measured"}
    return "; ".join(f"{goal_text(name, figure)}: {words[reached(figures, line, name, figure)]}"
                     for name, figure in goals_of(line).items())


def peer_cell(figures, line, impl):
    lines = figures.peers(line["case"], line["threads"], impl)
    if not lines or not is_default(line):
        return ""
    several = len(lines) > 1
    text = "; ".join(measured(peer) + (f" {peer['level']}" if several else "") for peer in lines)
    return f"{text}, {figures.factor(line, impl):.1f} ×"


def row(figures, line):
    floor = "" if line["floor_ns"] is None or not is_default(line) else f"{number(line['floor_ns'])}, {line['ratio_floor']:.2f} ×"
    cells = [f"`{line['case']}`", str(line["threads"]), line["level"], measured(line), floor,
             *(peer_cell(figures, line, impl) for impl in PEERS), verdicts(figures, line)]
    return "| " + " | ".join(cells) + " |"


def section(figures, title, prefixes, impl="ael"):
    lines = figures.ours(prefixes, impl)
    if not lines:
        return ""
    head = ("| case | threads | level | ours | floor | rust | rust-safe | go | goal |\n"
            "|---|--:|---|--:|--:|--:|--:|--:|---|\n")
    return f"## {title}\n\n{head}" + "\n".join(row(figures, line) for line in lines) + "\n"


def locked_section(figures):
    if not figures.locked:
        return ""
    rows = "\n".join(f"| {line['impl']} | {line['keys']:,} | {line['locked_kib']:,} KiB | {line['limit']} |"
                     for line in figures.locked)
    return f"## Locked memory\n\n| | warm keys | locked | limit |\n|---|--:|--:|--:|\n{rows}\n"


def is_light(line):
    return line["resident_bytes"] <= WARM_BYTES


def warm_section(figures):
    """The memory of a warm partition; ours alone, and judged."""
    if not figures.warm:
        return ""
    rows = "\n".join(f"| {line['impl']} | {line['partitions']:,} | {number(line['resident_bytes'])} | "
                     f"≤ {WARM_BYTES}: {'met' if is_light(line) else '**missed**'} |" for line in figures.warm)
    return f"## A warm partition\n\n| | partitions | resident bytes each | goal |\n|---|--:|--:|---|\n{rows}\n"


def missed(figures):
    names = [f"- `{line['case']}`, threads {line['threads']}{'' if is_default(line) else ', ' + line['level']}: "
             f"{goal_text(name, figure)}" for line in figures.ours("")
             for name, figure in goals_of(line).items() if reached(figures, line, name, figure) is False]
    names += [f"- `{line['case']}` without intel-ipsec-mb: {goal_text(name, figure)}"
              for line in figures.ours("", PORTABLE) for name, figure in goals_of(line).items()
              if reached(figures, line, name, figure) is False]
    names += [f"- `{line['case']}`: ≤ {WARM_BYTES} bytes a partition" for line in figures.warm if not is_light(line)]
    return "## Missed\n\n" + ("\n".join(names) or "No goal was missed.") + "\n"


def tables(results):
    figures = Figures(results)
    parts = [section(figures, title, prefixes) for title, prefixes in SECTIONS]
    parts.append(section(figures, "Sessions without intel-ipsec-mb", ("session/",), PORTABLE))
    return "\n".join(part for part in [*parts, locked_section(figures), warm_section(figures), missed(figures)] if part)


# ---- plots ----

COLOURS = {"floor": "#9aa0a6", "ael": "#1a73e8", "ael strict": "#174ea6", "ael leased": "#1a73e8",
           "ael open": "#8ab4f8", "rust": "#e8710a", "rust-safe": "#f9ab00", "go": "#188038"}
WIDTH, LEFT, RIGHT, BAR, GAP, TOP, BOTTOM = 860, 210, 90, 13, 10, 58, 30


def ticks(low, high):
    return [10.0 ** power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def svg_text(x, y, text, anchor="start", size=12, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}">'
            f'{html.escape(text)}</text>')


class Plot:
    """Bars in groups on a logarithmic scale; a thin line shows the least and the greatest sample."""

    def __init__(self, title, groups):
        self.title = title
        self.groups = [(label, bars) for label, bars in groups if bars]
        lines = [line for _, bars in self.groups for _, line in bars]
        self.ticks = ticks(min(line["min"] for line in lines), max(line["max"] for line in lines))
        count = len(lines)
        self.height = TOP + BOTTOM + count * BAR + (len(self.groups)) * GAP

    def x(self, value):
        low, high = math.log10(self.ticks[0]), math.log10(self.ticks[-1])
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(value) - low) / (high - low)

    def bar(self, y, series, line):
        left, right, middle = self.x(line["min"]), self.x(line["max"]), y + BAR / 2
        width = self.x(line["ns_per_op"]) - LEFT
        return (f'<rect x="{LEFT}" y="{y:.1f}" width="{width:.1f}" height="{BAR - 2}" fill="{COLOURS[series]}"/>'
                f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{middle - 1:.1f}" y2="{middle - 1:.1f}" stroke="#202124"/>'
                + svg_text(max(right, LEFT + width) + 4, y + BAR - 3, f"{number(line['ns_per_op'])}", size=10))

    def grid(self):
        for tick in self.ticks:
            x = self.x(tick)
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{self.height - BOTTOM}" stroke="#dadce0"/>'
            yield svg_text(x, self.height - BOTTOM + 14, f"{tick:,g} ns", "middle", 10)

    def legend(self):
        x = LEFT
        for series in COLOURS:
            if any(series == name for _, bars in self.groups for name, _ in bars):
                yield f'<rect x="{x}" y="32" width="11" height="11" fill="{COLOURS[series]}"/>'
                yield svg_text(x + 15, 42, series, size=11)
                x += 30 + 8 * len(series)

    def bars(self):
        y = TOP
        for label, bars in self.groups:
            yield svg_text(LEFT - 8, y + len(bars) * BAR / 2 + 4, label, "end", 11)
            for series, line in bars:
                yield self.bar(y, series, line)
                y += BAR
            y += GAP

    def svg(self):
        body = "\n".join([svg_text(12, 20, self.title, size=14, weight="bold"), *self.legend(), *self.grid(),
                          *self.bars()])
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.height}" '
                f'viewBox="0 0 {WIDTH} {self.height}" font-family="sans-serif">\n'
                f'<rect width="{WIDTH}" height="{self.height}" fill="#ffffff"/>\n{body}\n</svg>\n')


def compared(figures, prefix, threads):
    """A group a case: the floor, ours at the default level, the peers."""
    for line in figures.ours(prefix):
        if line["threads"] != threads or not is_default(line):
            continue
        bars = [("ael", line)]
        if line["floor_ns"] is not None:
            floor = line["floor_ns"]
            bars.insert(0, ("floor", {"ns_per_op": floor, "min": floor, "max": floor}))
        bars += [(impl, lines[0]) for impl in PEERS if (lines := figures.peers(line["case"], threads, impl))]
        yield line["case"], bars


def by_level(figures, prefixes):
    """A group a case that was measured at several levels."""
    cases = {}
    for line in figures.ours(prefixes):
        if line["threads"] == 1 and f"ael {line['level']}" in COLOURS:
            cases.setdefault(line["case"], []).append((f"ael {line['level']}", line))
    return [(case, bars) for case, bars in cases.items() if len(bars) > 1]


def by_threads(figures, case):
    for threads in (1, 2, 16):
        for _, bars in compared(figures, case, threads):
            yield f"{case}, {threads} threads", bars


def plots(results):
    """Names of files and what is in them."""
    figures = Figures(results)
    some = {
        "protected-memory": ("Protected memory, one thread", compared(figures, ("secret/", "key/"), 1)),
        "session": ("Records as structs, one thread",
                    [*compared(figures, "session/encrypt/", 1), *compared(figures, "session/decrypt/", 1)]),
        "session-json": ("Records as JSON, one thread",
                         [*compared(figures, "session/encrypt_json/", 1), *compared(figures, "session/decrypt_json/", 1)]),
        "session-threads": ("Wall time an operation, by threads",
                            [*by_threads(figures, "session/encrypt/64"), *by_threads(figures, "session/encrypt/1024"),
                             *by_threads(figures, "session/decrypt/1024")]),
        "keycache": ("The key cache, 16 threads", compared(figures, "keycache/", 16)),
        "levels": ("The price of protection, one thread", by_level(figures, ("secret/", "key/", "session/"))),
    }
    for name, (title, groups) in some.items():
        groups = list(groups)
        if groups:
            yield f"{name}.svg", Plot(title, groups).svg()


# ---- output ----

def print_lines(results):
    for line in results:
        print(json.dumps(line))


def page(results, about, names):
    facts = "\n".join(f"- {name}: {text}" for name, text in about.items())
    pictures = "\n".join(f"![{name}]({name})" for name in names)
    return ("# Benchmarks: one run\n\nWritten by `scripts/bench-peers --write`; what each case includes and how to read "
            "this is in [benchmarks.md](../benchmarks.md). ns an operation: median (least–greatest sample). Behind a "
            "floor's figure: ours over it; behind a peer's: its over ours.\n\n"
            f"{facts}\n\n{tables(results)}\n{pictures}\n")


def write(folder, results, about):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in results), encoding="utf-8")
    names = []
    for name, text in plots(results):
        (folder / name).write_text(text, encoding="utf-8")
        names.append(name)
    (folder / "README.md").write_text(page(results, about, names), encoding="utf-8")


# ---- self-check ----

def made_up(case, impl, level, threads, ns, floor=None):
    return {"case": case, "impl": impl, "level": level, "engine": "none", "threads": threads, "ns_per_op": ns,
            "min": ns * 0.9, "max": ns * 1.1, "floor_ns": floor, "ratio_floor": None if floor is None else ns / floor}


def self_check(folder):
    """Fails when the tables or the plots of a made-up run are not what they should be."""
    results = [
        made_up("session/encrypt/64", "ael", "leased", 1, 220.0, 200.0),
        made_up("session/encrypt/64", "ael", "strict", 1, 9000.0, 200.0),
        made_up("session/encrypt/64", "ael", "leased", 2, 150.0, 200.0),
        made_up("session/encrypt/64", PORTABLE, "leased", 1, 380.0, 300.0),
        made_up("session/encrypt/1024", PORTABLE, "leased", 1, 600.0, 500.0),
        made_up("session/encrypt/1024", "rust", "own", 1, 1100.0),
        made_up("floor/mprotect_pair", "floor", "none", 1, 1500.0),
        made_up("session/encrypt/64", "rust", "own", 1, 1000.0),
        made_up("session/encrypt/64", "go", "memguard", 1, 50000.0),
        made_up("keycache/read_existing", "ael", "none", 16, 10.0),
        made_up("keycache/read_existing", "go", "none", 16, 300.0),
        made_up("growth/10000/1", "ael", "leased", 1, 400.0, 220.0),
        made_up("growth/10000/16", "ael", "leased", 16, 250.0, 130.0),
        made_up("growth/1000000/1", "ael", "leased", 1, 800.0, 220.0),
        {"case": "memory/warm", "impl": "ael", "partitions": 10, "resident_bytes": 401.0, "allocated_bytes": 400.0},
        {"case": "memory/locked", "impl": "ael", "level": "leased", "keys": 10, "locked_kib": 56, "limit": "64 KiB"},
    ]
    write(folder, results, {"machine": "none"})
    text = (folder / "README.md").read_text(encoding="utf-8")
    for wanted in ("≤ 1.2 × floor: met", "≥ 5 × rust: **missed**", "≥ 1.9 × one thread: **missed**",
                   "≥ 20 × go: met", "| ael | 10 | 56 KiB | 64 KiB |", "- `session/encrypt/64`, threads 1: ≥ 5 × rust", "| `growth/10000/16` | 16 |", "≤ 2 × floor: met",
                   "≤ 4 × floor: met", "- `growth/10000/16`, threads 16: ≥ 1.8 × one thread", "| ael | 10 | 401 |",
                   "- `memory/warm`: ≤ 400 bytes a partition",
                   "- `session/encrypt/64`, threads 1, strict: ≤ floor + 1.1 × an mprotect pair",
                   "- `session/encrypt/1024` without intel-ipsec-mb: ≥ 2 × rust", "≥ 2.5 × rust: met"):
        if wanted not in text:
            raise SystemExit(f"not in the tables: {wanted}\n{text}")
    pictures = sorted(folder.glob("*.svg"))
    for picture in pictures:
        if len(list(xml.etree.ElementTree.parse(picture).getroot())) < 5:
            raise SystemExit(f"{picture.name} shows nothing")
    if [picture.name for picture in pictures] != ["keycache.svg", "levels.svg", "session-threads.svg", "session.svg"]:
        raise SystemExit(f"plots: {[picture.name for picture in pictures]}")
    print(f"bench-peers: tables and {len(pictures)} plots are well-formed")
