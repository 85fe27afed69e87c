"""Answers the questions of fixtures/vectors/v1 with Synapse: says who it is, then one answer a line.

An answer is {"ok": ...}, {"error": name} or {"unasked": true} for what is no question to Synapse.
"""
import asyncio
import io
import json
import sys

import synapse
from synapse import event_auth
from synapse.api.errors import SynapseError
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.events import make_event_from_dict

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


operations = {"auth": auth, "resolve": peer.resolve}

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
