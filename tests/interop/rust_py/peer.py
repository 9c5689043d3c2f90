# SPDX-License-Identifier: Apache-2.0
"""The Rust peer of the interop test: the published Python wheel, which wraps the Rust core.

It opens the SQLite file, or the database, itself. The protocol is described in ../README.md.
"""
import base64
import json
import os
import sys

import asherah


def store_settings(store):
    """Where the wheel looks for a store, by the scheme of its name."""
    scheme, _, address = store.partition("://")
    if scheme == "dynamodb":
        return {"DDB_TABLE": "EncryptionKey", "AWS_ENDPOINT_URL": f"http://{address}"}
    return {{"postgres": "POSTGRES_URL", "mysql": "MYSQL_URL"}.get(scheme, "SQLITE_PATH"): store}


def perform(factory, operation, request):
    with factory.get_session(request["partition"]) as session:
        if operation == "encrypt":
            drr = session.encrypt_bytes(base64.b64decode(request["payload_b64"]))
            return {"drr": drr.decode() if isinstance(drr, bytes) else drr}
        plain = session.decrypt_bytes(request["drr"])
        return {"payload_b64": base64.b64encode(plain).decode()}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in ("encrypt", "decrypt"):
        sys.exit("usage: peer.py encrypt|decrypt")
    setup = json.loads(sys.stdin.readline())
    os.environ.update({
        "SERVICE_NAME": setup["service"],
        "PRODUCT_ID": setup["product"],
        **store_settings(setup["store"]),
        "KMS": "static",
        "STATIC_MASTER_KEY_HEX": setup["master_key"].encode().hex(),
        "REGION_SUFFIX": setup.get("suffix", ""),
        # one file for all regions: the wheel notes its own settings in it and would refuse others
        "ASHERAH_CONFIG_DRIFT_FORCE_RUN": "true",
    })
    with asherah.SessionFactory.from_env() as factory:
        for line in sys.stdin:
            try:
                answer = perform(factory, sys.argv[1], json.loads(line))
            except Exception as error:  # whatever the wheel raises is the answer
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer))


if __name__ == "__main__":
    main()
