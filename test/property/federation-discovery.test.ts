/** Discovery in worlds made at random: it ends, soon, and as whom to connect is never for DNS to say. */
import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import {
  advanceDiscovery,
  orderSrvRecords,
  readWellKnown,
  startDiscovery,
  wellKnownLifetime,
} from "../../src/federation/index.js";
import type { DiscoveryAnswer, DiscoveryStep, WellKnown } from "../../src/federation/index.js";
import { parseHttpDate } from "../../src/federation/discovery/http-date.js";
import { parseServerName } from "../../src/ids/index.js";
import { utf8Encode } from "../../src/json/index.js";
import type { Random } from "../../src/ports/index.js";

const host = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("a.example", "b.example", "c") },
  fc.domain(),
  fc.ipV4(),
  fc.ipV6().map((address) => `[${address}]`),
);
const name = fc.oneof(
  { weight: 3, arbitrary: host },
  fc.tuple(host, fc.nat(70_000)).map(([text, port]) => `${text}:${port}`),
  fc.string({ unit: "binary", maxLength: 10 }),
);

const document = fc.oneof(
  name.map((server) => JSON.stringify({ "m.server": server })),
  fc.json(),
  fc.constant(undefined),
);
const response = fc.record({ status: fc.constantFrom(200, 200, 200, 404), text: document });

const number = fc.oneof({ weight: 8, arbitrary: fc.nat(65_535) }, fc.constantFrom(-1, 0.5, NaN, Infinity, 70_000));
const target = fc.oneof(host, fc.constantFrom(".", "", "a.example."), fc.string({ maxLength: 5 }));
const records = fc.array(fc.record({ priority: fc.nat(3), weight: number, port: number, target }), { maxLength: 30 });
const srv = fc.oneof(
  records.map((list) => ({ status: "found" as const, records: list })),
  fc.constantFrom({ status: "none" as const }, { status: "failed" as const, reason: "?" }),
);
const address = fc.oneof({ weight: 3, arbitrary: fc.oneof(fc.ipV4(), fc.ipV6()) }, fc.string());
const addresses = fc.array(fc.array(address, { maxLength: 12 }), { maxLength: 20 });
const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 });

function randomOf(pool: Uint8Array): Random {
  let at = 0;
  return { bytes: (length) => Uint8Array.from({ length }, () => pool[at++ % pool.length] ?? 0) };
}

function read({ status, text }: { readonly status: number; readonly text: string | undefined }): WellKnown {
  return readWellKnown(text === undefined ? undefined : { status, body: utf8Encode(text) });
}

test.prop([name, response, srv, srv, addresses, bytes], { numRuns: 1000 })(
  "whatever names, documents and DNS say, at most four answers lead to an end, and never to DNS's own word for a name",
  (serverName, wellKnown, modern, deprecated, found, pool) => {
    const random = randomOf(pool);
    const document = read(wellKnown);
    const asked: DiscoveryStep["do"][] = [];
    let discovery = startDiscovery(serverName);
    for (let answers = 0; ; answers++) {
      const { step } = discovery;
      if (step.do === "connect" || step.do === "give up") break;
      expect(answers).toBeLessThan(4);
      const answer: DiscoveryAnswer =
        step.do === "fetch well-known"
          ? { to: step.do, wellKnown: document }
          : step.do === "lookup srv"
            ? { to: step.do, result: asked.includes("lookup srv") ? deprecated : modern }
            : { to: step.do, addresses: found };
      asked.push(step.do);
      discovery = advanceDiscovery(discovery, answer, random);
    }
    const { step } = discovery;
    if (step.do !== "connect") return;
    const expected = asked[0] === "fetch well-known" && document.valid ? document.server : serverName;
    expect(step.hostHeader).toBe(expected);
    const parsed = parseServerName(expected);
    const certified = parsed.ok ? parsed.value.host.replace(/^\[|\]$/g, "") : undefined;
    expect(step.certificate.kind === "dns" ? step.certificate.name : step.certificate.address).toBe(certified);
    expect(step.targets.length).toBeGreaterThan(0);
    expect(step.targets.length).toBeLessThanOrEqual(16 * 8);
    for (const { address: ip, port } of step.targets) {
      const literal = parseServerName(ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`);
      expect(literal.ok && literal.value.kind !== "dns" && port > 0 && port <= 65_535).toBe(true);
    }
  },
);

test.prop([records, bytes], { numRuns: 500 })("SRV targets are records, each once, by priority", (list, pool) => {
  const before = structuredClone(list);
  const targets = orderSrvRecords(list, randomOf(pool));
  expect(list).toEqual(before);
  const left = [...list];
  let priority = 0;
  for (const { host: chosen, port } of targets) {
    const candidates = left.filter((each) => each.target.replace(/\.$/, "") === chosen && each.port === port);
    const match = candidates.sort((a, b) => a.priority - b.priority).find((each) => each.priority >= priority);
    expect(match).toBeDefined();
    left.splice(left.indexOf(match!), 1);
    priority = match!.priority;
  }
});

test.prop([fc.uint8Array({ maxLength: 100 }), fc.integer()])("no body makes the reader throw", (body, status) => {
  expect(typeof readWellKnown({ status, body }).valid).toBe("boolean");
});

const headerName = fc.constantFrom("Cache-Control", "expires", "DATE", "age", "other");
const headerValue = fc.oneof(
  fc.string(),
  fc.nat().map((seconds) => `max-age=${seconds}`),
  fc.nat().map(String),
  fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
);

test.prop([fc.array(fc.tuple(headerName, headerValue), { maxLength: 6 }), fc.nat(2 ** 42)], { numRuns: 1000 })(
  "whatever headers say, a lifetime is from 0 to 48 hours",
  (headers, now) => {
    const lifetime = wellKnownLifetime(headers, now);
    expect(lifetime).toBeGreaterThanOrEqual(0);
    expect(lifetime).toBeLessThanOrEqual(48 * 3_600_000);
  },
);

const date = fc.date({ min: new Date("0001-01-01"), max: new Date("9999-12-31"), noInvalidDate: true });

test.prop([date])("a date is read as the platform wrote it", (value) => {
  expect(parseHttpDate(value.toUTCString(), 0)).toBe(Math.floor(value.getTime() / 1000) * 1000);
});

test.prop([fc.string()])("no text makes the reader of dates throw", (text) => {
  expect(parseHttpDate(text, 0)).toBeUndefined();
});
