#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""AWS KMS and Secrets Manager in two regions for tests: the Python package moto with its signatures and policies verified, behind a door of its
own for each region that can be shut, slowed and counted.

usage: aws_kms_server.py FOLDER [tls]

Prints "name value" lines: access_key, secret_key, stranger_access_key and stranger_secret_key (of a user who may do
nothing), and for each region url_<region>, key_<region> (an ARN),
alias_<region> (an ARN), other_<region> (another key); then "ready". Then takes lines on standard input and answers each with
one: "open R", "shut R" (connections are refused), "hang R" (nothing is answered), "delay R MS", "say R FILE" (these bytes
instead of an answer), "count R ACTION" (requests so far; of "connections": those that were made), "reveal R BLOB" (the plaintext of an encrypted data key, in
hexadecimal digits), "secret R NAME text|binary VALUE" (a secret gets this value, as text in which \\n stands for a line end, or
as the bytes of hexadecimal digits; one that exists keeps its earlier value as AWSPREVIOUS. Answers the version's id). Ends with its standard input. With tls the doors speak TLS with the certificate
FOLDER/server.pem for 127.0.0.1, whose CA is FOLDER/ca.pem.
"""
import base64
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import threading
import time

import moto_python

moto_python.become()
import boto3  # noqa: E402

REGIONS = ("us-west-2", "us-east-1")
FREE_CALLS = 5 + 3 * len(REGIONS)  # what set_up does before signatures are verified
ACCESS = {}
ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:*","secretsmanager:*"],"Resource":"*"}]}'


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_certificates(folder):
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(folder, "req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA", "-days", "30")
    openssl(folder, "req", *ec, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server")
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
            "server.pem", "-days", "30", "-extfile", "ext")


class Door:
    """Relays whole requests to moto, one after the other on each connection, which stays open as those of AWS do."""

    def __init__(self, port, context):
        self.upstream_port = port
        self.context = context
        self.mode, self.delay, self.bytes = "open", 0.0, b""
        self.counts = {}
        self.live = set()
        self.listener = None
        self.port = 0
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def set(self, mode):
        if mode == "shut" and self.listener is not None:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        elif mode != "shut" and self.listener is None:
            self.open()
        self.mode = mode
        if mode == "shut":
            for one in list(self.live):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    @staticmethod
    def read(stream):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return None
            head += line
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return head + stream.read(length)

    def serve(self, client):
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context is not None:
                client = self.context.wrap_socket(client, server_side=True)
            self.live.add(client)
            self.counts["connections"] = self.counts.get("connections", 0) + 1
            self.relay(client)
        except (OSError, ValueError):
            pass
        finally:
            self.live.discard(client)
            client.close()

    def forward(self, request):
        """moto's server closes after each answer, and says so."""
        with socket.create_connection(("127.0.0.1", self.upstream_port)) as upstream:
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            upstream.sendall(request)
            answer = self.read(upstream.makefile("rb"))
        return answer and answer.replace(b"\r\nConnection: close\r\n", b"\r\n", 1)

    def relay(self, client):
        stream = client.makefile("rb")
        while (request := self.read(stream)) is not None:
            target = request.lower().partition(b"x-amz-target:")
            action = request[len(target[0]) + len(target[1]):].partition(b"\r")[0].rpartition(b".")[2].decode()
            self.counts[action] = self.counts.get(action, 0) + 1
            if self.delay:
                time.sleep(self.delay)
            while self.mode == "hang":
                time.sleep(0.01)
            if self.mode == "shut":
                return
            if self.mode == "say":
                client.sendall(self.bytes)
                return
            answer = self.forward(request)
            if answer is None:
                return
            client.sendall(answer)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(1200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the server does not start")


def client(service, region, port):
    return boto3.client(service, endpoint_url=f"http://127.0.0.1:{port}", region_name=region, aws_access_key_id="x",
                        aws_secret_access_key="x")


def set_up(port):
    iam = client("iam", "us-east-1", port)
    iam.create_user(UserName="u")
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=ALL)
    access = iam.create_access_key(UserName="u")["AccessKey"]
    print("access_key", access["AccessKeyId"])
    print("secret_key", access["SecretAccessKey"])
    iam.create_user(UserName="stranger")
    stranger = iam.create_access_key(UserName="stranger")["AccessKey"]
    print("stranger_access_key", stranger["AccessKeyId"])
    print("stranger_secret_key", stranger["SecretAccessKey"])
    ACCESS.update(port=port, key=access["AccessKeyId"], secret=access["SecretAccessKey"])
    for region in REGIONS:
        kms = client("kms", region, port)
        key = kms.create_key()["KeyMetadata"]["Arn"]
        print(f"key_{region}", key)
        print(f"other_{region}", kms.create_key()["KeyMetadata"]["Arn"])
        kms.create_alias(AliasName="alias/asherah", TargetKeyId=key)
        print(f"alias_{region}", key.partition(":key/")[0] + ":alias/asherah")


def allowed_client(service, region):
    return boto3.client(service, endpoint_url=f"http://127.0.0.1:{ACCESS['port']}", region_name=region,
                        aws_access_key_id=ACCESS["key"], aws_secret_access_key=ACCESS["secret"])


def keep_secret(region, name, kind, value=""):
    manager = allowed_client("secretsmanager", region)
    if kind == "binary":
        content = {"SecretBinary": bytes.fromhex(value)}
    else:
        content = {"SecretString": value.replace("\\n", "\n")}
    try:
        return manager.create_secret(Name=name, **content)["VersionId"]
    except manager.exceptions.ResourceExistsException:
        return manager.put_secret_value(SecretId=name, **content)["VersionId"]


def reveal(region, blob):
    kms = allowed_client("kms", region)
    return kms.decrypt(CiphertextBlob=base64.b64decode(blob))["Plaintext"].hex()


def obey(doors, words):
    door = doors[words[1]]
    if words[0] == "delay":
        door.delay = int(words[2]) / 1000
    elif words[0] == "count":
        return str(door.counts.get(words[2], 0))
    elif words[0] == "reveal":
        return reveal(words[1], words[2])
    elif words[0] == "secret":
        return keep_secret(*words[1:])
    elif words[0] == "say":
        door.bytes = pathlib.Path(words[2]).read_bytes()
        door.set("say")
    else:
        door.set(words[0])
    return "done"


def main():
    folder = pathlib.Path(sys.argv[1])
    context = None
    if "tls" in sys.argv[2:]:
        make_certificates(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
    port = free_port()
    env = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(FREE_CALLS)}
    code = ("import os, sys, threading; from moto.server import main; "
            "threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start(); main(sys.argv[1:])")
    server = subprocess.Popen([sys.executable, "-c", code, "-H", "127.0.0.1", "-p", str(port)], env=env,
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        set_up(port)
        doors = {region: Door(port, context) for region in REGIONS}
        for region, door in doors.items():
            print(f"url_{region}", f"{'https' if context else 'http'}://127.0.0.1:{door.port}")
        print("ready", "yes", flush=True)
        for line in sys.stdin:
            print(obey(doors, line.split()), flush=True)
    finally:
        server.terminate()
        server.wait()


main()
