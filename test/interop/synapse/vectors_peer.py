"""Answers the questions of fixtures/vectors/v1 with Synapse: says who it is, then one answer a line.

An answer is {"ok": ...}, {"error": name} or {"unasked": true} for what is no question to Synapse.
"""
import asyncio
import hashlib
import io
import json
import sys

import synapse
from canonicaljson import encode_canonical_json
from signedjson.key import decode_signing_key_base64, decode_verify_key_bytes
from signedjson.sign import verify_signed_json
from synapse import event_auth
from synapse.api.errors import SynapseError
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.crypto import event_signing
from synapse.crypto.event_signing import redact_event_dict
from synapse.crypto.keyring import VerifyJsonRequest
from synapse.events import make_event_from_dict
from synapse.events.utils import validate_canonicaljson
from synapse.federation.federation_base import InvalidEventSignatureError, _check_sigs_on_pdu
from synapse.util.json import json_decoder
from unpaddedbase64 import decode_base64, encode_base64

requests = sys.stdin
# peer.py answers what stands on standard input; here its operations are wanted alone.
sys.stdin = io.StringIO("")
import peer  # noqa: E402


def cited_event(pdu, version, rejected):
    """Ids in these vectors are the events' own."""
    reason = "it was rejected" if pdu["event_id"] in rejected else None
    if version.identifier not in ("1", "2"):
        pdu = {key: value for key, value in pdu.items() if key != "event_id"}
    return make_event_from_dict(pdu, version, rejected_reason=reason)


def auth(request, version):
    event = peer.event_of(request["event"], version)
    rejected = set(request.get("rejected", []))
    cited = [cited_event(pdu, version, rejected) for pdu in request["auth_events"]]
    if "event_id" in request.get("create", {}):
        cited.append(cited_event(request["create"], version, rejected))
    store = peer.Store({other.event_id: other for other in cited})
    state = [peer.event_of(pdu, version) for pdu in request["state"]] if "state" in request else cited
    try:
        asyncio.run(event_auth.check_state_independent_auth_rules(store, event))
        event_auth.check_state_dependent_auth_rules(event, state)
        return True
    except SynapseError:
        return False


def canonical(request, version):
    value = json_decoder.decode(request["raw"])
    if version is None or version.strict_canonicaljson:
        validate_canonicaljson(value)
    return encode_canonical_json(value).decode()


def redact(request, version):
    return redact_event_dict(version, request["event"])


def content_hash(request, version):
    return encode_base64(event_signing.compute_content_hash(request["event"], hashlib.sha256)[1])


def event_id(request, version):
    return make_event_from_dict(request["event"], version).event_id


def sign(request, version):
    event = request["event"]
    algorithm, key_version = request["key_id"].split(":")
    key = decode_signing_key_base64(algorithm, key_version, request["seed"])
    event_signing.add_hashes_and_signatures(version, event, request["server"], key)
    return event


class Keyring:
    """Keys of a request, used as Synapse uses those that it fetched: a key that is valid long enough decides."""

    def __init__(self, keys):
        self.keys = keys

    async def verify_event_for_server(self, server, event, minimum_valid_until_ms):
        wanted = VerifyJsonRequest.from_event(server, event, minimum_valid_until_ms)
        for key_id in wanted.key_ids:
            entry = self.keys.get(server, {}).get(key_id)
            entry = {"key": entry} if isinstance(entry, str) else entry
            if entry is None or entry.get("valid_until_ts", float("inf")) < minimum_valid_until_ms:
                continue
            key = decode_verify_key_bytes(key_id, decode_base64(entry["key"]))
            verify_signed_json(wanted.get_json_object(), server, key)
            return
        raise SynapseError(401, "no key")


def verify(request, version):
    event = make_event_from_dict(request["event"], version)
    try:
        asyncio.run(_check_sigs_on_pdu(Keyring(request["keys"]), version, event))
        signed = True
    except InvalidEventSignatureError:
        signed = False
    return {"signatures": signed, "content_hash": event_signing.check_event_content_hash(event)}


operations = {
    "auth": auth,
    "canonical": canonical,
    "content_hash": content_hash,
    "event_id": event_id,
    "redact": redact,
    "resolve": peer.resolve,
    "sign": sign,
    "verify": verify,
}

print(json.dumps({"name": "Synapse " + synapse.__version__.split(" ")[0]}))
for line in requests:
    request = json.loads(line)
    operation = operations.get(request["op"])
    if operation is None:
        print(json.dumps({"unasked": True}))
        continue
    try:
        answer = {"ok": operation(request, KNOWN_ROOM_VERSIONS.get(request.get("room_version")))}
    except Exception as error:
        answer = {"error": type(error).__name__}
    print(json.dumps(answer))
