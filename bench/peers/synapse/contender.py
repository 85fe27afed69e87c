"""Synapse as a contender of `npm run bench:peers`: one JSON request a line on stdin, one JSON answer a line on stdout.

Only what lies between two readings of the clock counts; files are read and parsed before. The database is replaced by
dicts in memory, and its part of the work by the quickest walk there is in Python, which is timed apart.
"""
import base64
import gc
import json
import sys
from importlib.metadata import version
from time import perf_counter

from canonicaljson import encode_canonical_json
from nacl.signing import VerifyKey
from signedjson.key import decode_verify_key_bytes
from signedjson.sign import verify_signed_json
from synapse import event_auth  # noqa: F401 (before synapse.state, which it imports in a circle)
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.crypto.event_signing import check_event_content_hash
from synapse.events import make_event_from_json
from synapse.state.v2 import resolve_events_with_store
from synapse.storage.databases.main.event_federation import StateDifference
from synapse.synapse_rust.events import redact_event
from synapse.util.json import json_decoder


def milliseconds(seconds):
    return seconds * 1000


def sum_of(run):
    return run["resolve"] + run["walk"]


def finished(work):
    """The result of a coroutine that never waits, without the cost of an event loop."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("the coroutine waits for something")


def lines_of(file):
    with open(file) as lines:
        head = json.loads(next(lines))
        return head, [line.rstrip("\n") for line in lines]


class Clock:
    async def sleep(self, duration):
        pass


class Store:
    """What Synapse's resolver asks of its database."""

    def __init__(self):
        self.events = {}
        self.cites = {}
        self.places = {}
        self.walked = 0.0

    async def get_events(self, event_ids, allow_rejected=False):
        events = self.events
        return {event_id: events[event_id] for event_id in event_ids if event_id in events}

    def chain(self, event_ids, known):
        """What these events cite, and what that cites, over and over, but for what is in `known`."""
        seen, waiting = set(), list(event_ids)
        while waiting:
            for parent in self.cites[waiting.pop()]:
                if parent not in seen and parent not in known:
                    seen.add(parent)
                    waiting.append(parent)
        return seen

    def difference(self, state_sets):
        # What all states hold has its chain in the chain of each, so it is walked once and not once for each state.
        common = set.intersection(*state_sets)
        shared = self.chain(common, ())
        shared |= common
        chains = []
        for event_ids in state_sets:
            own = event_ids - common
            chains.append((self.chain(own, shared) | own) - shared)
        return set.union(*chains) - set.intersection(*chains)

    def subgraph(self, conflicted):
        """Everything on a path of citations from one conflicted event to another."""
        below = self.chain(conflicted, ()) | conflicted
        # What an event cites lies before it in the file.
        leads_there = set(conflicted)
        for event_id in sorted(below, key=self.places.__getitem__):
            if not leads_there.isdisjoint(self.cites[event_id]):
                leads_there.add(event_id)
        return leads_there

    async def get_auth_chain_difference(self, room_id, state_sets, conflicted_state, additional):
        started = perf_counter()
        difference = self.difference(state_sets)
        subgraph = None if conflicted_state is None else self.subgraph(conflicted_state | (additional or set()))
        self.walked += perf_counter() - started
        return StateDifference(auth_difference=difference, conflicted_subgraph=subgraph)


class Room:
    def __init__(self, file):
        head, texts = lines_of(file)
        self.version = KNOWN_ROOM_VERSIONS[head["room_version"]]
        self.sets = head["state_sets"]
        self.store = Store()
        for text in texts:
            pdu = json.loads(text)
            event_id = pdu.pop("event_id")
            event = make_event_from_json(json.dumps(pdu, ensure_ascii=False), self.version)
            if event.event_id != event_id:
                raise ValueError(f"{event_id} is {event.event_id} here")
            self.store.places[event_id] = len(self.store.events)
            self.store.events[event_id] = event
            self.store.cites[event_id] = pdu["auth_events"]
        self.room_id = event.room_id
        self.resolved = {}
        # Rooms stay for long: the collector need not go over them again in every run.
        gc.collect()
        gc.freeze()

    def turn(self, most, ms):
        """One run, and others while there are fewer than `most` and they have taken less than `ms`."""
        runs = [self.resolve()]
        taken = sum_of(runs[0])
        while len(runs) < most and taken < ms:
            runs.append(self.resolve())
            taken += sum_of(runs[-1])
        return {"runs": runs}

    def resolve(self):
        self.resolved = {}
        events = self.store.events
        started = perf_counter()
        states = []
        for ids in self.sets:
            state = {}
            for event_id in ids:
                event = events[event_id]
                state[event.type, event.state_key] = event_id
            states.append(state)
        made = perf_counter() - started

        self.store.walked = 0.0
        started = perf_counter()
        work = resolve_events_with_store(Clock(), self.room_id, self.version, states, None, self.store)
        self.resolved = finished(work)
        whole = perf_counter() - started
        return {
            "states": milliseconds(made),
            "walk": milliseconds(self.store.walked),
            "resolve": milliseconds(whole - self.store.walked),
        }


class Samples:
    def __init__(self, file):
        head, self.texts = lines_of(file)
        self.version = KNOWN_ROOM_VERSIONS[head["room_version"]]
        self.dicts = [json.loads(text) for text in self.texts]
        self.events = [make_event_from_json(text, self.version) for text in self.texts]
        self.server = head["server"]
        key = base64.b64decode(head["public_key"] + "=")
        self.key = decode_verify_key_bytes(head["key_id"], key)
        bare = VerifyKey(key)
        self.signed = self.events[: head["signed"]]
        self.checks = []
        for event in self.signed:
            redacted = redact_event(event).get_pdu_json()
            signature = redacted.pop("signatures")[head["server"]][head["key_id"]]
            redacted.pop("unsigned", None)
            self.checks.append((bare, encode_canonical_json(redacted), base64.b64decode(signature + "==")))

    def verify(self, event):
        # As Synapse's keyring and federation base do: the signature over the redacted event, then the content hash.
        verify_signed_json(redact_event(event).get_pdu_json(), self.server, self.key)
        if not check_event_content_hash(event):
            raise ValueError("the content hash does not match")

    def task(self, name):
        if name == "parse":
            return self.texts, json_decoder.decode
        if name == "canonical":
            return self.dicts, encode_canonical_json
        if name == "id from text":
            return self.texts, lambda text: make_event_from_json(text, self.version).event_id
        if name == "verify":
            return self.signed, self.verify
        if name == "Ed25519":
            return self.checks, lambda check: check[0].verify(check[1], check[2])
        raise ValueError(f"{name} is no task")

    def run(self, name, times):
        items, run = self.task(name)
        started = perf_counter()
        for _ in range(times):
            for item in items:
                run(item)
        return milliseconds(perf_counter() - started) / times / len(items)


class Contender:
    def __init__(self):
        self.rooms = {}
        self.samples = None

    def about(self, request):
        packages = ["matrix-synapse", "PyNaCl"]
        python = ".".join(map(str, sys.version_info[:3]))
        return {"about": ", ".join([f"{name} {version(name)}" for name in packages] + [f"Python {python}"])}

    def load(self, request):
        room = self.rooms[request["room"]] = Room(request["file"])
        return {"events": len(room.store.events)}

    def resolve(self, request):
        return self.rooms[request["room"]].turn(request["runs"], request["ms"])

    def answer(self, request):
        return {"ids": sorted(self.rooms[request["room"]].resolved.values())}

    def drop(self, request):
        self.rooms.pop(request["room"], None)
        gc.unfreeze()
        return {}

    def load_samples(self, request):
        self.samples = Samples(request["file"])
        return {}

    def sample(self, request):
        return {"ms": self.samples.run(request["task"], request["times"])}

    def ids(self, request):
        return {"ids": [event.event_id for event in self.samples.events]}


contender = Contender()
operations = {
    "about": contender.about,
    "load": contender.load,
    "resolve": contender.resolve,
    "answer": contender.answer,
    "drop": contender.drop,
    "samples": contender.load_samples,
    "sample": contender.sample,
    "ids": contender.ids,
}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = operations[request["op"]](request)
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
