# SPDX-License-Identifier: Apache-2.0
"""Verifies a request's signature by botocore, over what arrived."""
import datetime
import hashlib

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def verdict(method, target, headers, body, known, now_s):
    """"accepted", "skewed" or "refused". headers: an email.message.Message; known: key id -> {"secret", "token"}."""
    scheme, _, fields = (headers["Authorization"] or "").partition(" ")
    fields = dict(field.strip().partition("=")[::2] for field in fields.split(","))
    if scheme != "AWS4-HMAC-SHA256" or not {"Credential", "SignedHeaders", "Signature"} <= set(fields):
        return "refused"
    key, day, region, service, end = fields["Credential"].split("/")
    date = headers["X-Amz-Date"] or ""
    then = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
    if abs(then - now_s) > 300:
        return "skewed"
    names = fields["SignedHeaders"].split(";")
    must = [n.lower() for n in headers.keys() if n.lower() == "host" or n.lower().startswith("x-amz-")]
    if names != sorted(names) or not set(must) <= set(names) or not date.startswith(day) or end != "aws4_request":
        return "refused"
    if key not in known or (headers["X-Amz-Security-Token"] or "") != known[key]["token"]:
        return "refused"
    content_hash = headers["X-Amz-Content-SHA256"]
    if content_hash is not None and content_hash != hashlib.sha256(body).hexdigest():
        return "refused"
    request = AWSRequest(method, f"http://{headers['Host']}{target}", data=body)
    for name in names:
        for value in headers.get_all(name):
            request.headers[name] = value
    request.context["timestamp"] = date
    auth = SigV4Auth(Credentials(key, known[key]["secret"], known[key]["token"] or None), service, region)
    auth.headers_to_sign = lambda _: request.headers
    text = auth.string_to_sign(request, auth.canonical_request(request))
    return "accepted" if auth.signature(text, request) == fields["Signature"] else "refused"
