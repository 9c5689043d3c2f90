# SPDX-License-Identifier: Apache-2.0
"""What scripts/bench-metastores and scripts/bench-kms share: runs of examples/performance_tuning, and what is written of them."""
import json
import os
import pathlib
import platform
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
OUT = ROOT / "docs" / "benchmarks"
ROUNDS, QUICK_ROUNDS = 7, 3


class Failure(Exception):
    """What the user is told."""


def build(programs):
    for step in (["cmake", "--preset", "bench"], ["cmake", "--build", "--preset", "bench", "--target", *programs]):
        subprocess.run(step, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def tune(options, seconds):
    """One run, under a master key of its own unless --kms says otherwise, so that keys of earlier runs are nobody's."""
    command = [str(BUILD / "examples" / "performance_tuning"), "--json", "--payload", "1024", "--threads", "1",
               "--duration", str(seconds), *options]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise Failure(result.stderr.strip() or "performance_tuning failed")
    return json.loads(result.stdout)


def measure(backends, kinds, seconds, counts, prefix, quick):
    """The lines of each backend and kind, interleaved: round by round, each once.

    backends and kinds: name -> options. seconds: by kind. counts: of a report, further members of a line.
    """
    found = {}
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        for backend, place in backends.items():
            for kind, options in kinds.items():
                report = tune([*place, *options], 1 if quick else seconds[kind])
                found.setdefault((backend, kind), []).append(report)
    return [summary(f"{prefix}/{backend}/{kind}", reports, counts) for (backend, kind), reports in found.items()]


def summary(case, reports, counts):
    rates = [report["ops_per_second"] for report in reports]
    half = [report["latency_ns"]["all"]["p50"] for report in reports]
    late = [report["latency_ns"]["all"]["p99"] for report in reports]
    return {"case": case, "impl": "ael", "rounds": len(reports),
            "ops_per_second": statistics.median(rates), "min": min(rates), "max": max(rates),
            "p50_ns": statistics.median(half), "p99_ns": statistics.median(late), **counts(reports[-1])}


def micro(ns):
    return f"{ns / 1000:,.1f}"


def row(line, counts):
    """A line of a table: the case, its rate and times, and the members named in counts."""
    return (f"| `{line['case']}` | {line['ops_per_second']:,.0f} ({line['min']:,.0f}-{line['max']:,.0f}) | {micro(line['p50_ns'])} "
            f"| {micro(line['p99_ns'])} | " + " | ".join(f"{line[name]:g}" for name in counts) + " |")


def heading(title, command, arguments, of_machine=""):
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    yield f"# {title}: one run\n"
    yield f"Written by `scripts/{command} --write`; what each case includes is in [benchmarks.md](../benchmarks.md).\n"
    yield f"- machine: {os.cpu_count()} CPUs, {platform.system()} {platform.release()}{of_machine}"
    yield f"- load when it was over: {os.getloadavg()[0]:.1f}"
    yield f"- commit: {commit or 'unknown'}"
    yield f"- command: scripts/{command} {' '.join(arguments)}\n"


def report(lines, tables, head, name, as_json, write):
    """Prints the lines or their tables; with write both go into docs/benchmarks."""
    text = [json.dumps(line) for line in lines]
    print("\n".join(text if as_json else tables(lines)))
    if write:
        (OUT / f"{name}.jsonl").write_text("\n".join(text) + "\n")
        (OUT / f"{name}.md").write_text("\n".join([*head, *tables(lines)]) + "\n")
