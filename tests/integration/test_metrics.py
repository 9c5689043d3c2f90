#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: test_metrics.py text|scrape|cost PROGRAM

text:   promtool accepts what examples/metrics (PROGRAM) writes, and refuses it with an error in it.
scrape: Prometheus scrapes PROGRAM and answers queries with its figures.
cost:   a warm encrypt of PROGRAM (integration_test_counted_work), with no hook set, executes nothing of the metrics but
        a look whether anybody listens: told by callgrind, instruction by instruction.
"""
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

LIMIT_S = 120


def check(good, what):
    print(("ok: " if good else "FAILED: ") + what)
    if not good:
        sys.exit(1)


def promtool(text):
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def run_text(program):
    text = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    code, said = promtool(text)
    check(code == 0 and said == "", f"promtool accepts {len(text.splitlines())} lines {said}")
    for name in ("ael_operation_duration_seconds_bucket", "ael_metastore_call_duration_seconds_count",
                 "ael_kms_call_duration_seconds_sum", "ael_cache_lookups_total", "ael_errors_total",
                 "ael_protection_level", "ael_cache_entries", "ael_sealed", "ael_root_keys", "ael_locked_bytes"):
        check(f"\n{name}" in text, f"{name} is there")
    line = next(line for line in text.splitlines() if line.startswith("ael_cache_lookups_total"))
    for wrong in (line.replace('"', ""), line + "x", "ael_wrong_milliseconds 1"):
        check(promtool(text + wrong + "\n")[0] != 0, f"promtool refuses {wrong}")
    samples = [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]
    check(len(samples) == len(set(samples)), f"{len(samples)} samples, none twice")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ask(port, query):
    """The value of a query, or None while there is none."""
    url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            result = json.load(answer)["data"]["result"]
    except OSError:
        return None
    return float(result[0]["value"][1]) if result else None


def wait_for(port, query, least):
    value, until = None, time.monotonic() + LIMIT_S
    while time.monotonic() < until and (value is None or value < least):
        value = ask(port, query)
        time.sleep(0.05)  # asks another program, whose answer nothing here can announce
    check(value is not None and value >= least, f"{query} is {value}, {least} or more")


def scrape(folder, target, port, servers):
    config = folder / "prometheus.yml"
    config.write_text("global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                      f"scrape_configs: [{{job_name: ael, static_configs: [{{targets: ['{target}']}}]}}]\n")
    servers.append(subprocess.Popen(
        ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
         f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL))
    wait_for(port, "up", 1)
    wait_for(port, 'ael_operation_duration_seconds_count{operation="encrypt"}', 200)
    wait_for(port, 'ael_errors_total{source="decrypt",status="AEL_E_RECORD"}', 200)
    wait_for(port, 'ael_cache_entries{factory="orders",cache="intermediate_key"}', 2)
    wait_for(port, 'histogram_quantile(0.5, ael_operation_duration_seconds_bucket{operation="encrypt"})', 1e-8)


def run_scrape(program):
    servers = [subprocess.Popen([program, "0"], stdout=subprocess.PIPE, text=True)]
    try:
        target = servers[0].stdout.readline().strip().removeprefix("http://").removesuffix("/metrics")
        with tempfile.TemporaryDirectory(prefix="ael-metrics-") as folder:
            try:
                scrape(pathlib.Path(folder), target, free_port(), servers)
            finally:
                for server in servers[1:]:
                    server.terminate()
                    server.wait()
    finally:
        servers[0].kill()
        servers[0].wait()


def instructions(out):
    """Of a callgrind file: {(file, function): instructions of its own}."""
    names, totals = {}, {}
    place = {"fl": "", "fn": ""}
    skip = False
    for line in out.read_text().splitlines():
        given = re.match(r"(fl|fi|fe|fn)=\((\d+)\)(?: (.*))?$", line)
        if given:
            kind, number, name = given.groups()
            table = "fn" if kind == "fn" else "fl"
            if name:
                names[table, number] = name
            place[table] = names.get((table, number), "?")
        elif re.match(r"(cfn|cfi|cfl|cob|ob)=\((\d+)\)(?: (.*))?$", line):
            kind, number, name = re.match(r"(cfn|cfi|cfl|cob|ob)=\((\d+)\)(?: (.*))?$", line).groups()
            if name and kind != "ob" and kind != "cob":
                names["fn" if kind == "cfn" else "fl", number] = name
        elif line.startswith("calls="):
            skip = True  # the next line is what the call cost in all
        elif re.match(r"[+*\-\d]", line):
            if not skip:
                key = (place["fl"], place["fn"])
                totals[key] = totals.get(key, 0) + int(line.split()[1])
            skip = False
    return totals


def run_cost(program):
    count = 1000
    with tempfile.TemporaryDirectory(prefix="ael-metrics-") as folder:
        out = pathlib.Path(folder) / "callgrind.out"
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=repeat_for_callgrind",
             f"--callgrind-out-file={out}", program, "repeat", str(count)], capture_output=True, text=True)
        check(done.returncode == 0, "callgrind ran " + done.stderr[-300:] * (done.returncode != 0))
        totals = instructions(out)
    whole = sum(totals.values()) / count
    encrypts = sum(n for (_, fn), n in totals.items() if fn.startswith("ael_session_encrypt"))
    check(whole > 500 and encrypts > 0, f"an encrypt of 64 bytes takes {whole:.0f} instructions")
    called = sorted({fn for (file, fn) in totals if re.search(r"_heard|tell_metric|metric_series|ael_metric", fn)})
    check(not called, f"no function of the metrics is called {called}")
    looks = sum(n for (file, _), n in totals.items() if file.endswith("base/hooks.h")) / count
    check(0 < looks <= 16, f"{looks:.1f} instructions of it look whether anybody listens")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("text", "scrape", "cost"):
        sys.exit(__doc__)
    {"text": run_text, "scrape": run_scrape, "cost": run_cost}[sys.argv[1]](sys.argv[2])
