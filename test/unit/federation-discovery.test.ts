/** Discovery with a scripted DNS: every branch of "Resolving server names", and what hosts and attackers may answer. */
import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/errors.js";
import {
  advanceDiscovery,
  MAX_ADDRESSES,
  MAX_SRV_TARGETS,
  MAX_WELL_KNOWN_BYTES,
  orderSrvRecords,
  readWellKnown,
  startDiscovery,
  WELL_KNOWN_ERROR_LIFETIME,
  wellKnownLifetime,
} from "../../src/federation/index.js";
import type {
  Discovery,
  DiscoveryAnswer,
  DiscoveryStep,
  HeaderFields,
  SrvAnswer,
  SrvRecord,
} from "../../src/federation/index.js";
import { parseHttpDate } from "../../src/federation/discovery/http-date.js";
import { utf8Encode } from "../../src/json/index.js";
import type { Random } from "../../src/ports/index.js";

/** What the world answers by name; what is not in it does not exist. */
interface World {
  /** The body of `/.well-known/matrix/server`, or a status other than 200. */
  readonly documents?: Readonly<Record<string, string | number>> | undefined;
  readonly srv?: Readonly<Record<string, readonly SrvRecord[] | "failed">>;
  readonly addresses?: Readonly<Record<string, readonly string[]>>;
}

const lowest: Random = { bytes: (length) => new Uint8Array(length) };

function answerOf(
  step: DiscoveryStep,
  { documents = {}, srv = {}, addresses = {} }: World,
): DiscoveryAnswer | undefined {
  if (step.do === "fetch well-known") {
    const document = documents[step.host];
    const status = typeof document === "number" ? document : 200;
    const body = utf8Encode(typeof document === "string" ? document : "");
    return { to: step.do, wellKnown: readWellKnown(document === undefined ? undefined : { status, body }) };
  }
  if (step.do === "lookup srv") {
    const records = srv[step.name];
    const result: SrvAnswer =
      records === undefined
        ? { status: "none" }
        : records === "failed"
          ? { status: "failed", reason: "SERVFAIL" }
          : { status: "found", records };
    return { to: step.do, result };
  }
  if (step.do === "lookup addresses")
    return { to: step.do, addresses: step.hosts.map((host) => addresses[host] ?? []) };
  return undefined;
}

/** The steps that were taken in words, and how it ended. */
function discover(name: string, world: World = {}, random = lowest) {
  const asked: string[] = [];
  let discovery = startDiscovery(name);
  for (;;) {
    const { step } = discovery;
    expect(Object.isFrozen(discovery) && Object.isFrozen(step)).toBe(true);
    const answer = answerOf(step, world);
    if (answer === undefined) return { asked, end: step };
    asked.push(
      step.do === "fetch well-known"
        ? step.url
        : step.do === "lookup srv"
          ? `SRV ${step.name}`
          : step.do === "lookup addresses"
            ? `A ${step.hosts.join(" ")}`
            : step.do,
    );
    expect(asked.length).toBeLessThanOrEqual(4);
    discovery = advanceDiscovery(discovery, answer, random);
  }
}

const WELL_KNOWN = "https://hs.example/.well-known/matrix/server";
const delegate = (server: string): World["documents"] => ({ "hs.example": JSON.stringify({ "m.server": server }) });
const record = (target: string, port = 443, priority = 10, weight = 5): SrvRecord => ({
  target,
  port,
  priority,
  weight,
});

describe("a server name that needs no help [cap:discovery]", () => {
  it.each([
    ["1.2.3.4", { address: "1.2.3.4", port: 8448 }],
    ["1.2.3.4:443", { address: "1.2.3.4", port: 443 }],
    ["[2001:db8::1]", { address: "2001:db8::1", port: 8448 }],
    ["[2001:db8::1]:443", { address: "2001:db8::1", port: 443 }],
  ])("%s is its own address", (name, target) => {
    const { asked, end } = discover(name);
    expect(asked).toEqual([]);
    expect(end).toEqual({
      do: "connect",
      targets: [target],
      hostHeader: name,
      certificate: { kind: "ip", address: target.address },
    });
  });

  it("with a port needs addresses only: neither a document nor SRV records are asked for", () => {
    const world: World = {
      documents: delegate("evil.example"),
      srv: { "_matrix-fed._tcp.hs.example": [record("evil.example")] },
      addresses: { "hs.example": ["192.0.2.1", "2001:db8::1"] },
    };
    const { asked, end } = discover("hs.example:8080", world);
    expect(asked).toEqual(["A hs.example"]);
    expect(end).toEqual({
      do: "connect",
      targets: [
        { address: "192.0.2.1", port: 8080 },
        { address: "2001:db8::1", port: 8080 },
      ],
      hostHeader: "hs.example:8080",
      certificate: { kind: "dns", name: "hs.example" },
    });
  });

  it.each([
    ["", "not a server name"],
    ["a_b.example", "not a server name"],
    ["256.1.1.1", "not a server name"],
    ["[::1", "not a server name"],
    ["hs.example:123456", "not a server name"],
    ["hs.example:0", "no port 0"],
    ["hs.example:65536", "no port 65536"],
    ["1.2.3.4:99999", "no port 99999"],
    ["1.2.3.010", "leading zero"],
    ["01.2.3.4:443", "leading zero"],
  ])("%j is given up at once", (name, reason) => {
    const { asked, end } = discover(name);
    expect(asked).toEqual([]);
    expect(end).toEqual({ do: "give up", reason: expect.stringContaining(reason) as string });
  });

  it.each(["hs.example:65535", "hs.example:1", "hs.example:00443"])("%s has a usable port", (name) => {
    const { end } = discover(name, { addresses: { "hs.example": ["192.0.2.1"] } });
    expect(end).toMatchObject({ do: "connect", hostHeader: name, targets: [{ port: Number(name.split(":")[1]) }] });
  });
});

describe("the document of a host [cap:discovery]", () => {
  it("is asked for with what bounds the fetch", () => {
    expect(startDiscovery("hs.example").step).toEqual({
      do: "fetch well-known",
      host: "hs.example",
      url: WELL_KNOWN,
      maxRedirects: 10,
      maxBytes: MAX_WELL_KNOWN_BYTES,
    });
  });

  it.each([
    ["192.0.2.7", { address: "192.0.2.7", port: 8448 }],
    ["192.0.2.7:443", { address: "192.0.2.7", port: 443 }],
    ["[2001:db8::7]", { address: "2001:db8::7", port: 8448 }],
    ["[2001:db8::7]:443", { address: "2001:db8::7", port: 443 }],
  ])("may delegate to the address %s", (server, target) => {
    const { asked, end } = discover("hs.example", { documents: delegate(server) });
    expect(asked).toEqual([WELL_KNOWN]);
    expect(end).toEqual({
      do: "connect",
      targets: [target],
      hostHeader: server,
      certificate: { kind: "ip", address: target.address },
    });
  });

  it("may delegate to a name with a port", () => {
    const world = { documents: delegate("m.example:443"), addresses: { "m.example": ["192.0.2.1"] } };
    const { asked, end } = discover("hs.example", world);
    expect(asked).toEqual([WELL_KNOWN, "A m.example"]);
    expect(end).toEqual({
      do: "connect",
      targets: [{ address: "192.0.2.1", port: 443 }],
      hostHeader: "m.example:443",
      certificate: { kind: "dns", name: "m.example" },
    });
  });

  const delegated = { hostHeader: "m.example", certificate: { kind: "dns", name: "m.example" } };

  it("may delegate to a name with SRV records, whose target is neither asked for nor to be proven", () => {
    const { asked, end } = discover("hs.example", {
      documents: delegate("m.example"),
      srv: {
        "_matrix-fed._tcp.m.example": [record("srv.example.", 4443)],
        "_matrix._tcp.m.example": [record("old.example")],
      },
      addresses: { "srv.example": ["192.0.2.1"] },
    });
    expect(asked).toEqual([WELL_KNOWN, "SRV _matrix-fed._tcp.m.example", "A srv.example"]);
    expect(end).toEqual({ do: "connect", targets: [{ address: "192.0.2.1", port: 4443 }], ...delegated });
  });

  it("may delegate to a name with the deprecated SRV records", () => {
    const { asked, end } = discover("hs.example", {
      documents: delegate("m.example"),
      srv: { "_matrix._tcp.m.example": [record("old.example", 4443)] },
      addresses: { "old.example": ["192.0.2.1"] },
    });
    expect(asked).toEqual([
      WELL_KNOWN,
      "SRV _matrix-fed._tcp.m.example",
      "SRV _matrix._tcp.m.example",
      "A old.example",
    ]);
    expect(end).toEqual({ do: "connect", targets: [{ address: "192.0.2.1", port: 4443 }], ...delegated });
  });

  it("may delegate to a name without SRV records: port 8448; its own document is not asked for", () => {
    const { asked, end } = discover("hs.example", {
      documents: { ...delegate("m.example"), "m.example": '{"m.server":"further.example"}' },
      addresses: { "m.example": ["192.0.2.1"] },
    });
    expect(asked).toEqual([WELL_KNOWN, "SRV _matrix-fed._tcp.m.example", "SRV _matrix._tcp.m.example", "A m.example"]);
    expect(end).toEqual({ do: "connect", targets: [{ address: "192.0.2.1", port: 8448 }], ...delegated });
  });

  it("may delegate to its own name, which goes on to SRV records and not round in a circle", () => {
    const { asked } = discover("hs.example", { documents: delegate("hs.example") });
    expect(asked).toEqual([
      WELL_KNOWN,
      "SRV _matrix-fed._tcp.hs.example",
      "SRV _matrix._tcp.hs.example",
      "A hs.example",
    ]);
  });

  it.each([
    ["is not there", 404],
    ["is a redirect that was not followed", 302],
    ["has another status of success", 204],
    ["is not JSON", "m.server=m.example"],
    ["is JSON and more", '{"m.server":"m.example"} x'],
    ["is no object", '["m.example"]'],
    ["is null", "null"],
    ["has no m.server", '{"server":"m.example"}'],
    ["has no m.server of its own", '{"__proto__":{"m.server":"m.example"}}'],
    ["has an m.server that is no string", '{"m.server":8448}'],
    ["names an empty server", '{"m.server":""}'],
    ["names what is no server", '{"m.server":"https://m.example"}'],
    ["names a server with a space", '{"m.server":" m.example"}'],
    ["names a server and a path", '{"m.server":"m.example:443/x"}'],
    ["names a port that does not exist", '{"m.server":"m.example:70000"}'],
    ["names port 0", '{"m.server":"m.example:0"}'],
    ["names an address that may be octal", '{"m.server":"192.0.2.010"}'],
    ["is nested too deep", `{"m.server":"m.example","a":${"[".repeat(200)}${"]".repeat(200)}}`],
    ["is too large", `{"m.server":"m.example"}${" ".repeat(MAX_WELL_KNOWN_BYTES)}`],
  ])("that %s counts for nothing: discovery goes on with the host itself", (_, document) => {
    const { asked, end } = discover("hs.example", {
      documents: { "hs.example": document },
      addresses: { "hs.example": ["192.0.2.1"], "m.example": ["192.0.2.66"] },
    });
    expect(asked).toEqual([
      WELL_KNOWN,
      "SRV _matrix-fed._tcp.hs.example",
      "SRV _matrix._tcp.hs.example",
      "A hs.example",
    ]);
    expect(end).toMatchObject({
      do: "connect",
      targets: [{ address: "192.0.2.1", port: 8448 }],
      hostHeader: "hs.example",
    });
  });

  it("says why it counts for nothing", () => {
    expect(readWellKnown(undefined)).toEqual({ valid: false, reason: "it could not be fetched" });
    expect(readWellKnown({ status: 200, body: new Uint8Array([0xff]) })).toEqual({
      valid: false,
      reason: "it is not UTF-8",
    });
  });

  it("may hold more than what is asked for, be as large as it may, and spell it as it likes", () => {
    const text = '{"x":1.5,"m.server":"M.example:443","y":{"m.server":1}}'.padEnd(MAX_WELL_KNOWN_BYTES);
    expect(readWellKnown({ status: 200, body: utf8Encode(text) })).toEqual({ valid: true, server: "M.example:443" });
  });

  it("is judged again when it comes from a host's memory", () => {
    const start = startDiscovery("hs.example");
    const wellKnown = { valid: true, server: "m.example:0" as never } as const;
    const next = advanceDiscovery(start, { to: "fetch well-known", wellKnown }, lowest);
    expect(next.step).toEqual({ do: "lookup srv", name: "_matrix-fed._tcp.hs.example" });
    const broken = { valid: true, server: "no server" as never } as const;
    expect(advanceDiscovery(start, { to: "fetch well-known", wellKnown: broken }, lowest).step).toEqual(next.step);
  });
});

describe("SRV records of the name itself [cap:discovery]", () => {
  const own = { hostHeader: "hs.example", certificate: { kind: "dns", name: "hs.example" } };

  it("lead to hosts that are looked up together, in the records' order", () => {
    const { asked, end } = discover("hs.example", {
      srv: { "_matrix-fed._tcp.hs.example": [record("b.example", 2, 20), record("a.example", 1, 10)] },
      addresses: { "a.example": ["192.0.2.1", "192.0.2.2"], "b.example": ["2001:db8::3"] },
    });
    expect(asked).toEqual([WELL_KNOWN, "SRV _matrix-fed._tcp.hs.example", "A a.example b.example"]);
    expect(end).toEqual({
      do: "connect",
      targets: [
        { address: "192.0.2.1", port: 1 },
        { address: "192.0.2.2", port: 1 },
        { address: "2001:db8::3", port: 2 },
      ],
      ...own,
    });
  });

  it("of the deprecated service are asked for last", () => {
    const { asked, end } = discover("hs.example", {
      srv: { "_matrix._tcp.hs.example": [record("old.example", 4443)] },
      addresses: { "old.example": ["192.0.2.1"] },
    });
    expect(asked.slice(1)).toEqual(["SRV _matrix-fed._tcp.hs.example", "SRV _matrix._tcp.hs.example", "A old.example"]);
    expect(end).toEqual({ do: "connect", targets: [{ address: "192.0.2.1", port: 4443 }], ...own });
  });

  it("that are an empty list are none", () => {
    const { asked } = discover("hs.example", {
      srv: { "_matrix-fed._tcp.hs.example": [], "_matrix._tcp.hs.example": [] },
    });
    expect(asked.at(-1)).toBe("A hs.example");
  });

  it.each(["_matrix-fed._tcp.hs.example", "_matrix._tcp.hs.example"])(
    "that could not be looked up end it: %s may well be there",
    (name) => {
      const { end } = discover("hs.example", { srv: { [name]: "failed" }, addresses: { "hs.example": ["192.0.2.1"] } });
      expect(end).toEqual({ do: "give up", reason: `${name} could not be looked up: SERVFAIL` });
    },
  );

  it.each([
    ["with the target `.`", record(".")],
    ["with port 0", record("a.example", 0)],
    ["with an address for a target", record("192.0.2.1")],
    ["with a target that is no host", record("a b")],
    ["with a target that has a port", record("a.example:1")],
    ["with an empty target", record("")],
    ["with a weight that is none", record("a.example", 1, 1, -1)],
    ["with a priority that is none", record("a.example", 1, 0.5)],
    ["with a port that is none", record("a.example", 65_536)],
  ])("one %s leads nowhere; when it is the only one, there is no such service", (_, bad) => {
    const name = "_matrix-fed._tcp.hs.example";
    const world = { addresses: { "a.example": ["192.0.2.1"], "hs.example": ["192.0.2.2"] } };
    const { end } = discover("hs.example", { ...world, srv: { [name]: [bad] } });
    expect(end).toEqual({ do: "give up", reason: `${name} says that there is no such service` });
    const beside = discover("hs.example", { ...world, srv: { [name]: [bad, record("a.example", 7)] } });
    expect(beside.end).toMatchObject({ targets: [{ address: "192.0.2.1", port: 7 }] });
  });

  it("whose hosts have no addresses do not lead back to the name itself", () => {
    const { end } = discover("hs.example", {
      srv: { "_matrix-fed._tcp.hs.example": [record("gone.example"), record("too.example")] },
      addresses: { "hs.example": ["192.0.2.1"] },
    });
    expect(end).toEqual({ do: "give up", reason: "no address was found for gone.example, too.example" });
  });
});

describe("addresses [cap:discovery]", () => {
  const found = (...addresses: readonly string[]): DiscoveryStep =>
    discover("hs.example:1", { addresses: { "hs.example": addresses } }).end;

  it("that are none are passed over", () => {
    expect(
      found("fe80::1%eth0", "[::1]", "hs.example", "1.2.3.4:5", "1.2.3", "1.2.3.010", "256.0.0.1", "", "::1"),
    ).toMatchObject({
      targets: [{ address: "::1", port: 1 }],
    });
    expect(found("localhost")).toEqual({ do: "give up", reason: "no address was found for hs.example" });
  });

  it("that are missing from the answer are none", () => {
    const start = startDiscovery("hs.example:1");
    expect(advanceDiscovery(start, { to: "lookup addresses", addresses: [] }, lowest).step).toMatchObject({
      do: "give up",
    });
    const surplus = advanceDiscovery(start, { to: "lookup addresses", addresses: [["::1"], ["::2"]] }, lowest);
    expect(surplus.step).toMatchObject({ targets: [{ address: "::1", port: 1 }] });
  });

  it("of one host are bounded", () => {
    const end = found(...Array.from({ length: 200 }, (_, i) => `192.0.2.${i}`));
    expect(end.do === "connect" && end.targets).toHaveLength(MAX_ADDRESSES);
  });
});

describe("a host that answers out of turn", () => {
  it("is told so", () => {
    const answers: readonly DiscoveryAnswer[] = [
      { to: "fetch well-known", wellKnown: { valid: false, reason: "" } },
      { to: "lookup srv", result: { status: "none" } },
      { to: "lookup addresses", addresses: [["::1"]] },
    ];
    const [document, srv, addresses] = answers as [DiscoveryAnswer, DiscoveryAnswer, DiscoveryAnswer];
    const first = startDiscovery("hs.example");
    const second = advanceDiscovery(first, document, lowest);
    const third = startDiscovery("hs.example:1");
    const refused: readonly (readonly [Discovery, readonly DiscoveryAnswer[]])[] = [
      [first, [srv, addresses]],
      [second, [document, addresses]],
      [third, [document, srv]],
      [advanceDiscovery(third, addresses, lowest), answers],
      [startDiscovery(""), answers],
    ];
    for (const [discovery, wrong] of refused) {
      for (const answer of wrong) expect(() => advanceDiscovery(discovery, answer, lowest)).toThrow(UsageError);
    }
  });

  it("with a state that it made up itself is told so", () => {
    const made: Discovery = { step: { do: "lookup addresses", hosts: ["a"] }, name: "a b", ports: [1] };
    expect(() => advanceDiscovery(made, { to: "lookup addresses", addresses: [["::1"]] }, lowest)).toThrow(UsageError);
  });
});

/** Answers the numbers of a list, one for each call, as big-endian bytes. */
function lots(...numbers: readonly number[]): Random {
  const rest = [...numbers];
  return {
    bytes: (length) => {
      const bytes = new Uint8Array(length);
      let number = rest.shift() ?? 0;
      for (let i = length - 1; i >= 0; i--, number = Math.floor(number / 256)) bytes[i] = number % 256;
      return bytes;
    },
  };
}

describe("the order of SRV records", () => {
  const order = (records: readonly SrvRecord[], random: Random = lowest): string =>
    orderSrvRecords(records, random)
      .map(({ host }) => host)
      .join("");
  const weights = (...list: readonly number[]): SrvRecord[] =>
    list.map((weight, index) => record("abcdef".charAt(index), 1, 0, weight));

  it("is by priority first, whatever the weights", () => {
    expect(order([record("c", 1, 30, 9), record("a", 1, 0, 0), record("d", 1, 65_535, 9), record("b", 1, 7, 0)])).toBe(
      "abcd",
    );
  });

  it("is by the lot within a priority: the record at which the running sum reaches it", () => {
    expect(order(weights(10, 20, 30), lots(0, 0, 0))).toBe("abc");
    expect(order(weights(10, 20, 30), lots(10, 0, 0))).toBe("abc");
    expect(order(weights(10, 20, 30), lots(11, 0, 0))).toBe("bac");
    expect(order(weights(10, 20, 30), lots(30, 11, 0))).toBe("bca");
    expect(order(weights(10, 20, 30), lots(31, 10, 0))).toBe("cab");
    expect(order(weights(10, 20, 30), lots(60, 30, 10))).toBe("cba");
    expect(order(weights(10, 20, 30), lots(61, 0, 0))).toBe("abc");
  });

  it("finds records without weight by the lot 0 alone", () => {
    expect(order(weights(5, 0, 0), lots(0, 0, 0))).toBe("bca");
    expect(order(weights(5, 0, 0), lots(1, 0, 0))).toBe("abc");
    expect(order(weights(0, 0, 0), lots(7, 7, 7))).toBe("abc");
  });

  it("gives each record the share of its weight", () => {
    let state = 1;
    const random: Random = {
      // A small generator of its own, so that the shares are the same in each run.
      bytes: (length) => Uint8Array.from({ length }, () => ((state = (state * 48_271) % 2_147_483_647) >>> 8) & 255),
    };
    const first = new Map<string, number>();
    for (let i = 0; i < 4000; i++) {
      const host = order(weights(10, 30, 60), random).charAt(0);
      first.set(host, (first.get(host) ?? 0) + 1);
    }
    expect(first.get("a")! / 4000).toBeCloseTo(0.1, 1);
    expect(first.get("b")! / 4000).toBeCloseTo(0.3, 1);
    expect(first.get("c")! / 4000).toBeCloseTo(0.6, 1);
  });

  it("is of a bounded number of targets, the best ones", () => {
    const many = Array.from({ length: 500 }, (_, i) => record(`h${i}`, 1, 500 - i, i % 3));
    const targets = orderSrvRecords(many, lowest);
    expect(targets.map(({ host }) => host)).toEqual(Array.from({ length: MAX_SRV_TARGETS }, (_, i) => `h${499 - i}`));
    expect(
      orderSrvRecords(
        many.map((each) => ({ ...each, priority: 1 })),
        lowest,
      ),
    ).toHaveLength(MAX_SRV_TARGETS);
  });

  it("keeps one target for two ports, and drops the dot at the end of a name", () => {
    expect(orderSrvRecords([record("a.example.", 1), record("a.example", 2)], lowest)).toEqual([
      { host: "a.example", port: 1 },
      { host: "a.example", port: 2 },
    ]);
  });

  it("does not end without records or with a source of randomness that has run dry", () => {
    expect(order([])).toBe("");
    expect(order(weights(1, 2, 3), { bytes: () => new Uint8Array() })).toBe("abc");
  });
});

describe("how long a document is remembered", () => {
  const now = Date.UTC(2024, 1, 28, 12, 0, 0);
  const SECOND = 1000;
  const HOUR = 3600 * SECOND;
  const after = (ms: number): string => new Date(now + ms).toUTCString();

  it.each([
    ["24 hours without headers", [], 24 * HOUR],
    ["24 hours with headers that say nothing", [["Cache-Control", "public, must-revalidate"]], 24 * HOUR],
    ["as max-age says", [["Cache-Control", "max-age=600"]], 600 * SECOND],
    [
      "as max-age says, in capitals, quoted, among others",
      [["CACHE-CONTROL", 'public , Max-Age="600" ,x']],
      600 * SECOND,
    ],
    ["as the first max-age says", [["cache-control", "max-age=1, max-age=2"]], SECOND],
    [
      "as the first of two fields says",
      [
        ["Cache-Control", "x"],
        ["Cache-Control", "max-age=5"],
        ["Cache-Control", "max-age=6"],
      ],
      5 * SECOND,
    ],
    ["48 hours at most", [["Cache-Control", "max-age=31536000"]], 48 * HOUR],
    ["48 hours for more than a number holds", [["Cache-Control", `max-age=${"9".repeat(400)}`]], 48 * HOUR],
    ["not at all for max-age=0", [["Cache-Control", "max-age=0"]], 0],
    ["not at all for a max-age that is no number", [["Cache-Control", "max-age=-1"]], 0],
    ["not at all for a fraction", [["Cache-Control", "max-age=1.5"]], 0],
    ["not at all for an empty max-age", [["Cache-Control", "max-age"]], 0],
    ["not at all for no-store", [["Cache-Control", "max-age=600, no-store"]], 0],
    ["not at all for no-cache", [["Cache-Control", "No-Cache, max-age=600"]], 0],
    [
      "by no directive inside another's quotes",
      [["Cache-Control", 'x="no-store, max-age=1, \\"", max-age=9']],
      9 * SECOND,
    ],
    ["by no directive whose name only ends so", [["Cache-Control", "s-maxage=1, x-max-age=2"]], 24 * HOUR],
    ["until Expires", [["Expires", after(HOUR)]], HOUR],
    [
      "until Expires, by the sender's own clock",
      [
        ["Expires", after(9 * HOUR)],
        ["Date", after(8 * HOUR)],
      ],
      HOUR,
    ],
    [
      "until Expires, where the Date is none",
      [
        ["Expires", after(HOUR)],
        ["Date", "today"],
      ],
      HOUR,
    ],
    ["48 hours at most for Expires", [["Expires", after(1000 * HOUR)]], 48 * HOUR],
    ["not at all after Expires", [["Expires", after(-HOUR)]], 0],
    ["not at all for Expires: 0", [["Expires", "0"]], 0],
    [
      "by max-age before Expires",
      [
        ["Expires", after(HOUR)],
        ["Cache-Control", "max-age=60"],
      ],
      60 * SECOND,
    ],
    [
      "less the time that a cache kept it",
      [
        ["Cache-Control", "max-age=600"],
        ["Age", "100"],
      ],
      500 * SECOND,
    ],
    [
      "not at all when a cache kept it longer",
      [
        ["Cache-Control", "max-age=600"],
        ["Age", "601"],
      ],
      0,
    ],
    [
      "as if there were no Age where it is none",
      [
        ["Cache-Control", "max-age=600"],
        ["Age", "x"],
      ],
      600 * SECOND,
    ],
    [
      "not at all for huge numbers on both sides",
      [
        ["Cache-Control", `max-age=${"9".repeat(400)}`],
        ["Age", "9".repeat(400)],
      ],
      0,
    ],
    ["by space around values just the same", [["Cache-Control", "  max-age = 60  "]], 60 * SECOND],
  ] as readonly (readonly [string, HeaderFields, number])[])("%s", (_, headers, expected) => {
    expect(wellKnownLifetime(headers, now)).toBe(expected);
  });

  it("looks at the beginning of headers that are far too long, and soon has an answer", () => {
    const start = performance.now();
    for (const filler of ['a="', "a", "a ", " ", ',"\\']) {
      expect(wellKnownLifetime([["Cache-Control", filler.repeat(100_000)]], now)).toBe(24 * HOUR);
    }
    expect(performance.now() - start).toBeLessThan(2_000);
  });

  it("is an hour when there was none", () => {
    expect(WELL_KNOWN_ERROR_LIFETIME).toBe(HOUR);
  });
});

describe("a date of HTTP", () => {
  const now = Date.UTC(2024, 5, 1);
  const november = Date.UTC(1994, 10, 6, 8, 49, 37);

  it.each([
    ["Sun, 06 Nov 1994 08:49:37 GMT", november],
    ["Sunday, 06-Nov-94 08:49:37 GMT", november],
    ["Sun Nov  6 08:49:37 1994", november],
    ["Sun Nov 16 08:49:37 1994", november + 10 * 86_400_000],
    ["Thu, 29 Feb 2024 00:00:00 GMT", Date.UTC(2024, 1, 29)],
    ["Tue, 29 Feb 2000 00:00:00 GMT", Date.UTC(2000, 1, 29)],
    ["Tue, 31 Dec 2024 23:59:60 GMT", Date.UTC(2025, 0, 1)],
    ["Friday, 01-Jan-74 00:00:00 GMT", Date.UTC(2074, 0, 1)],
    ["Friday, 01-Jan-75 00:00:00 GMT", Date.UTC(1975, 0, 1)],
    ["Friday, 01-Jan-00 00:00:00 GMT", Date.UTC(2000, 0, 1)],
  ])("%s is read", (text, expected) => {
    expect(parseHttpDate(text, now)).toBe(expected);
  });

  it.each([
    "",
    "0",
    "-1",
    "1994-11-06T08:49:37Z",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "sun, 06 nov 1994 08:49:37 gmt",
    "Sun, 06 Nov 94 08:49:37 GMT",
    "Sun, 31 Nov 1994 08:49:37 GMT",
    "Sun, 29 Feb 2023 08:49:37 GMT",
    "Sun, 29 Feb 1900 08:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:49:37 GMT",
    "Sun, 06 Nov 1994 08:60:37 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sun, 06-Nov-94 08:49:37 GMT",
    "Sun Nov 6 08:49:37 1994",
    "Sun Nov  6 08:49:37 1994 GMT",
  ])("%j is none", (text) => {
    expect(parseHttpDate(text, now)).toBeUndefined();
  });
});
