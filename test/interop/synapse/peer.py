"""Answers the line protocol's `auth` and `resolve` with Synapse.

One JSON request a line on stdin, one answer a line on stdout. An answer is {"ok": ...} or {"error": name}.
"""
import asyncio
import json
import sys

from synapse import event_auth
from synapse.api.errors import AuthError
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.events import make_event_from_dict
from synapse.state import v1, v2
from synapse.storage.databases.main.event_federation import StateDifference


class Named:
    """An event under an id that the request gives, instead of its reference hash."""

    def __init__(self, event, event_id):
        self.inner = event
        self.event_id = event_id

    def __getattr__(self, name):
        if name == "room_id" and self.inner.type == "m.room.create" and self.inner.room_version.identifier == "12":
            return "!" + self.event_id[1:]
        return getattr(self.inner, name)

    def __contains__(self, key):
        return key in self.inner


def event_of(pdu, version):
    pdu = dict(pdu)
    if version.identifier in ("1", "2"):
        return make_event_from_dict(pdu, version)
    event_id = pdu.pop("event_id", None)
    event = make_event_from_dict(pdu, version)
    return event if event_id in (None, event.event_id) else Named(event, event_id)


class Store:
    """What Synapse's algorithms ask of a database, answered from one request."""

    def __init__(self, events):
        self.events = events

    async def get_events(self, event_ids, **_):
        return {i: self.events[i] for i in event_ids if i in self.events}

    def chain(self, event_ids):
        seen, stack = set(), list(event_ids)
        while stack:
            event_id = stack.pop()
            if event_id not in seen:
                seen.add(event_id)
                stack.extend(self.events[event_id].auth_event_ids())
        return seen

    async def get_auth_chain_difference(self, room_id, state_sets, conflicted, additional):
        chains = [self.chain(ids) for ids in state_sets]
        subgraph = None
        if conflicted is not None:
            subgraph = {i for i in self.chain(conflicted) if self.chain([i]) & conflicted}
        difference = set.union(*chains) - set.intersection(*chains)
        return StateDifference(auth_difference=difference, conflicted_subgraph=subgraph)


class Clock:
    async def sleep(self, duration):
        pass


def auth(request, version):
    event = event_of(request["event"], version)
    cited = [event_of(pdu, version) for pdu in request["auth_events"]]
    if "create" in request:
        cited.append(event_of(request["create"], version))
    store = Store({other.event_id: other for other in cited})
    try:
        asyncio.run(event_auth.check_state_independent_auth_rules(store, event))
        event_auth.check_state_dependent_auth_rules(event, cited)
        return True
    except AuthError:
        return False


def resolve(request, version):
    events = [event_of(pdu, version) for pdu in request["events"]]
    store = Store({event.event_id: event for event in events})
    key = lambda i: (store.events[i].type, store.events[i].get_state_key())
    sets = [{key(i): i for i in ids} for ids in request["state_sets"]]
    room_id = store.events[request["state_sets"][0][0]].room_id
    if version.identifier == "1":
        work = v1.resolve_events_with_store(room_id, version, sets, {}, store.get_events)
    else:
        work = v2.resolve_events_with_store(Clock(), room_id, version, sets, {}, store)
    return sorted(asyncio.run(work).values())


operations = {"auth": auth, "resolve": resolve}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"ok": operations[request["op"]](request, KNOWN_ROOM_VERSIONS[request["room_version"]])}
    except Exception as error:
        answer = {"error": type(error).__name__}
    print(json.dumps(answer), flush=True)
