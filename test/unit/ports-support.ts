import {
  createKeyDirectory,
  createListDirectory,
  createListIdentity,
  createListPolicy,
  createManualClock,
  createMemoryKeys,
  createMemoryNetwork,
  createSeededRandom,
} from "../../src/adapters/memory/index.js";
import { publicKeyFromSeed } from "../../src/crypto/ed25519.js";
import { parsePdu } from "../../src/event/index.js";
import type { Pdu } from "../../src/event/index.js";
import type { KeyStore, StoredKeys } from "../../src/federation/index.js";
import type { Directory, EventAttempt, Identity, Keys, Policy, Transport } from "../../src/ports/index.js";
import { testKeyOf } from "../../src/testing/index.js";
import type {
  DirectoryHost,
  IdentityHost,
  KeysHost,
  PolicyAttempts,
  PolicyHost,
  PortCheck,
  TestedClock,
  TransportNetwork,
} from "../../src/testing/index.js";
import { v11 } from "../../src/versions/v11.js";

const SERVERS = ["one.example", "two.example", "three.example"] as const;

/** Three servers in memory, each transport seen through `wrap`. */
export function memoryServers(wrap: (transport: Transport, server: string) => Transport): TransportNetwork {
  const network = createMemoryNetwork();
  const [one, two, three] = SERVERS;
  const end = (server: string) => ({ server, transport: wrap(network.transport(server), server) });
  return { ends: [end(one), end(two), end(three)], unknown: "nobody.example" };
}

const policySeed = createSeededRandom("policy").bytes(32);

/** The real keys of a policy server, seen through `wrap`. */
export function memoryKeys(wrap: (keys: Keys) => Keys): KeysHost {
  return {
    create: () => {
      const directory = createKeyDirectory();
      createMemoryKeys(testKeyOf("two.example"), directory);
      const keys = createMemoryKeys(testKeyOf("one.example"), directory, { policySeed });
      return { keys: wrap(keys), server: "one.example", policyKey: publicKeyFromSeed(policySeed) };
    },
  };
}

export function manualClock(wrap: (clock: TestedClock["clock"]) => TestedClock["clock"]): TestedClock {
  const clock = createManualClock(1_700_000_000_000);
  return { clock: wrap(clock), advance: (ms) => clock.advance(ms) };
}

export function messageFrom(sender: string): Pdu {
  const parsed = parsePdu(v11.rules, {
    type: "m.room.message",
    room_id: "!r:x.example",
    sender,
    content: { body: "text" },
    hashes: { sha256: "AAAA" },
    signatures: {},
    depth: 1,
    origin_server_ts: 1,
    auth_events: [],
    prev_events: [],
  });
  if (!parsed.ok) throw new Error(parsed.error.reason);
  return parsed.value;
}

/** All that one user and their server may attempt. */
function attemptsOf(sender: string): PolicyAttempts {
  const event: EventAttempt = { event: messageFrom(sender), roomVersion: "11", origin: "y.example" };
  const roomId = "!r:x.example";
  return {
    invites: [{ roomId, roomVersion: "11", sender, target: "@me:one.example", state: [] }],
    joins: (["join", "knock"] as const).map((membership) => ({ roomId, userId: sender, membership })),
    events: [event],
    recommendations: [{ ...event, origin: "z.example" }],
  };
}

/** The two lists with what they must refuse and let through, seen through `wrap`. */
export function listPolicy(wrap: (policy: Policy) => Policy): PolicyHost {
  const [user, server] = [attemptsOf("@spam:x.example"), attemptsOf("@any:bad.example")];
  const { invites = [], joins = [], events = [], recommendations = [] } = server;
  return {
    create: () =>
      wrap(createListPolicy({ blockedUsers: ["@spam:x.example"], blockedServers: new Set(["bad.example"]) })),
    refused: {
      invites: [...(user.invites ?? []), ...invites],
      joins: [...(user.joins ?? []), ...joins],
      events: [...(user.events ?? []), ...events],
      recommendations: [...(user.recommendations ?? []), ...recommendations],
      servers: ["bad.example"],
    },
    allowed: { ...attemptsOf("@good:x.example"), servers: ["x.example", "notbad.example", "bad.example.org"] },
  };
}

const people = [
  { medium: "email", address: "a@x.example", userId: "@a:x.example" },
  { medium: "msisdn", address: "491701234567", userId: "@b:y.example" },
  { medium: "handle", address: "a@x.example", userId: "@c:y.example" },
];

/** Three people in a list, seen through `wrap`. */
export function listIdentity(wrap: (identity: Identity) => Identity): IdentityHost {
  return {
    create: () => wrap(createListIdentity(people)),
    known: people,
    unknown: [{ medium: "msisdn", address: "a@x.example" }],
  };
}

const known = {
  server: "one.example:8448",
  aliases: [
    { alias: "#room:one.example:8448", roomId: "!r:one.example", servers: ["one.example:8448", "[::1]"] },
    { alias: "#Räum b/:one.example:8448", roomId: `!${"h".repeat(43)}` },
  ],
  profiles: [
    { userId: "@a:one.example:8448", profile: { displayname: "Ä", avatar_url: "mxc://x/y", "m.tz": "UTC" } },
    { userId: "@b:one.example:8448", profile: {} },
    { userId: "@shy:one.example:8448", profile: "withheld" },
  ],
  openIdTokens: [
    { accessToken: "aB3/+=", userId: "@a:one.example:8448" },
    { accessToken: "aB3/+=4", userId: "@b:one.example:8448" },
  ],
} satisfies Partial<DirectoryHost>;

/** A server's lists with what they must tell and what not, seen through `wrap`. */
export function listDirectory(wrap: (directory: Directory) => Directory): DirectoryHost {
  const publishedRooms = [
    { roomId: "!z:one.example" },
    { roomId: "!irc:one.example", instanceId: "irc" },
    { roomId: "!a:one.example" },
    { roomId: "!z:one.example", instanceId: "irc" },
  ];
  const software = { name: "example", version: "1.0" };
  return {
    ...known,
    create: () => wrap(createListDirectory({ ...known, publishedRooms, software })),
    published: [
      { roomIds: ["!z:one.example", "!a:one.example"] },
      { allNetworks: false, roomIds: ["!z:one.example", "!a:one.example"] },
      { allNetworks: true, roomIds: ["!z:one.example", "!irc:one.example", "!a:one.example"] },
      { instanceId: "irc", roomIds: ["!irc:one.example", "!z:one.example"] },
    ],
    unknown: {
      aliases: ["#gone:one.example:8448"],
      users: ["@gone:one.example:8448"],
      openIdTokens: ["expired"],
    },
  };
}

/** Rows as text by server, as a table would have them. */
export function textKeyStore(rows = new Map<string, string>()): KeyStore {
  return {
    get: (server) => {
      const row = rows.get(server);
      return row === undefined ? undefined : (JSON.parse(row) as StoredKeys);
    },
    put: (keys) => void rows.set(keys.server, JSON.stringify(keys)),
  };
}

/** The names of the checks that fail, with what each says. */
export async function failures(checks: readonly PortCheck[]): Promise<readonly string[]> {
  const failed: string[] = [];
  for (const { run } of checks) {
    try {
      await run();
    } catch (error) {
      failed.push(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
    }
  }
  return failed;
}
