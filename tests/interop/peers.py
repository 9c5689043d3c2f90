# SPDX-License-Identifier: Apache-2.0
"""The published packages of the other implementations as programs: how each is built, and asked (README.md).

As a program of its own it builds them all, for others that run side by side and would each begin to build.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("AEL_INTEROP_CACHE") or ROOT / "build" / "interop").absolute()

# Where every peer runs: its account at the stand-in for DynamoDB, whose tables belong to a region and an access key; and the
# zone of the dates in SQL, which Java takes from its machine.
SURROUNDINGS = {"AWS_REGION": "us-west-2", "AWS_ACCESS_KEY_ID": "AKIDINTEROP", "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_EC2_METADATA_DISABLED": "true", "TZ": "UTC"}


class Missing(Exception):
    """A toolchain that is not there."""


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Missing(f"{program} is not installed")


def command(*args, cwd=None, env=None):
    done = subprocess.run(args, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, args))}\n{done.stdout[-4000:]}")
    return done.stdout


def newer(product, *sources):
    return product.exists() and all(product.stat().st_mtime > s.stat().st_mtime for s in sources)


def build_go():
    need("go")
    out = CACHE / "go" / "peer"
    if not newer(out, *(HERE / "go" / name for name in ("main.go", "go.mod", "go.sum"))):
        out.parent.mkdir(parents=True, exist_ok=True)
        go = command(ROOT / "tests" / "support" / "go", HERE / "go").splitlines()[-1]
        command(go, "build", "-mod=readonly", "-o", str(out), ".", cwd=HERE / "go")
    return [str(out)]


def build_rust():
    out = CACHE / "rust_py"
    python = out / "bin" / "python"
    stamp = out / "stamp"
    requirements = HERE / "rust_py" / "requirements.txt"
    if not newer(stamp, requirements):
        if subprocess.run([sys.executable, "-c", "import venv, ensurepip"], capture_output=True).returncode != 0:
            raise Missing("python3 has no venv module")
        command(sys.executable, "-m", "venv", "--clear", str(out))
        command(str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements))
        stamp.touch()
    return [str(python), str(HERE / "rust_py" / "peer.py")]


def build_java():
    need("java", "javac", "mvn")
    out = CACHE / "java"
    source = HERE / "java" / "src" / "main" / "java" / "Peer.java"
    if not newer(out / "classes" / "Peer.class", source, HERE / "java" / "pom.xml"):
        command("mvn", "-q", "-B", f"-Dpeer.target={out}", "compile", cwd=HERE / "java")
        os.utime(out / "classes" / "Peer.class")
    return ["java", "-Xshare:auto", "-cp", f"{out / 'classes'}{os.pathsep}{out / 'lib' / '*'}", "Peer"]


# name, what it is, how it is built, whether it opens the SQLite file itself
PEERS = [
    ("go", "Go appencryption v0.9.0", build_go, False),
    ("rust", "Rust core in the Python wheel asherah 0.5.56", build_rust, True),
    ("java", "Java appencryption 0.3.3", build_java, False),
]


def talk(peer, operation, setup, requests, surroundings=None):
    """Runs one peer over a list of requests and gives back as many answers."""
    text = "\n".join(json.dumps(line) for line in [setup, *requests]) + "\n"
    done = subprocess.run([*peer["command"], operation], input=text, capture_output=True, text=True, encoding="utf-8",
                          env={**os.environ, **(surroundings or SURROUNDINGS)})
    if done.returncode != 0:
        raise RuntimeError(f"{peer['name']} {operation}: exit code {done.returncode}\n{done.stderr[-4000:]}")
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    if len(answers) != len(requests):
        raise RuntimeError(f"{peer['name']} {operation}: {len(answers)} answers to {len(requests)} requests")
    return answers


def main():
    for name, _, build, _ in PEERS:
        try:
            build()
        except Missing as reason:
            print(f"LEFT OUT: {name}: {reason}")
            if os.environ.get("CI") == "true":
                sys.exit(1)


if __name__ == "__main__":
    main()
