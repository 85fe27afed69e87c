import { createSocket } from "node:dgram";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { createHostResolver } from "../../src/adapters/node-http/index.js";
import type { HostResolver } from "../../src/adapters/node-http/index.js";

const A = 1;
const AAAA = 28;
const SRV = 33;
const NXDOMAIN = 3;
const SERVFAIL = 2;

/** What a name server says: records in bytes, an error code, or nothing at all. */
type Zone = Readonly<Record<string, readonly Buffer[] | number | "silence">>;

function labels(name: string): Buffer {
  const parts = name.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
  return Buffer.concat([...parts, Buffer.of(0)]);
}

function srv(priority: number, weight: number, port: number, target: string): Buffer {
  const numbers = Buffer.alloc(6);
  [priority, weight, port].forEach((number, at) => numbers.writeUInt16BE(number, at * 2));
  return Buffer.concat([numbers, labels(target)]);
}

/** RFC 1035 section 4.1: as little of it as it takes. */
function answerTo(query: Buffer, zone: Zone): Buffer | undefined {
  let at = 12;
  const parts: string[] = [];
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    parts.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = query.readUInt16BE(at + 1);
  const question = query.subarray(12, at + 5);
  const found = zone[`${parts.join(".").toLowerCase()} ${type}`] ?? NXDOMAIN;
  if (found === "silence") return undefined;
  const records = typeof found === "number" ? [] : found;
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(0x8180 | (typeof found === "number" ? found : 0), 2);
  [1, records.length, 0, 0].forEach((count, index) => header.writeUInt16BE(count, 4 + index * 2));
  const answers = records.map((data) => {
    const fixed = Buffer.alloc(12);
    [0xc00c, type, 1, 0, 60, data.length].forEach((number, index) => fixed.writeUInt16BE(number, index * 2));
    return Buffer.concat([fixed, data]);
  });
  return Buffer.concat([header, question, ...answers]);
}

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function resolverOf(zone: Zone): Promise<{ readonly resolver: HostResolver; readonly asked: () => number }> {
  const socket = createSocket("udp4");
  let asked = 0;
  socket.on("message", (query, { port, address }) => {
    asked++;
    const answer = answerTo(query, zone);
    if (answer !== undefined) socket.send(answer, port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  closing.push(() => socket.close());
  const servers = [`127.0.0.1:${socket.address().port}`];
  return { resolver: createHostResolver({ timeout: 200, tries: 1, servers }), asked: () => asked };
}

const waiting = new AbortController().signal;

describe("the resolver of the system", () => {
  it("finds the addresses of both families, IPv4 first, and either without the other", async () => {
    const one = Buffer.of(192, 0, 2, 1);
    const six = Buffer.from("20010db8000000000000000000000001", "hex");
    const { resolver } = await resolverOf({
      [`both.example ${A}`]: [one, Buffer.of(192, 0, 2, 2)],
      [`both.example ${AAAA}`]: [six],
      [`four.example ${A}`]: [one],
      [`six.example ${AAAA}`]: [six],
      [`six.example ${A}`]: SERVFAIL,
      [`half.example ${A}`]: [one],
      [`half.example ${AAAA}`]: "silence",
    });
    const both = await resolver.addresses("both.example", waiting);
    expect([...both].sort()).toEqual(["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    expect(both[2]).toBe("2001:db8::1");
    expect(await resolver.addresses("four.example", waiting)).toEqual(["192.0.2.1"]);
    expect(await resolver.addresses("six.example", waiting)).toEqual(["2001:db8::1"]);
    expect(await resolver.addresses("half.example", waiting)).toEqual(["192.0.2.1"]);
    expect(await resolver.addresses("none.example", waiting)).toEqual([]);
  });

  it("tells a name without SRV records from one that could not be looked up", async () => {
    const { resolver } = await resolverOf({
      [`found.example ${SRV}`]: [srv(10, 5, 8448, "a.example"), srv(20, 0, 443, "b.example")],
      [`empty.example ${SRV}`]: [],
      [`broken.example ${SRV}`]: SERVFAIL,
      [`silent.example ${SRV}`]: "silence",
    });
    const found = await resolver.srv("found.example", waiting);
    expect(found.status === "found" ? [...found.records].sort((a, b) => a.priority - b.priority) : found).toEqual([
      { priority: 10, weight: 5, port: 8448, target: "a.example" },
      { priority: 20, weight: 0, port: 443, target: "b.example" },
    ]);
    expect(await resolver.srv("absent.example", waiting)).toEqual({ status: "none" });
    expect(await resolver.srv("empty.example", waiting)).toEqual({ status: "none" });
    expect(await resolver.srv("broken.example", waiting)).toEqual({ status: "failed", reason: "ESERVFAIL" });
    expect(await resolver.srv("silent.example", waiting)).toMatchObject({ status: "failed" });
  });

  it("knows localhost without asking", async () => {
    const { resolver, asked } = await resolverOf({ [`localhost ${A}`]: [Buffer.of(192, 0, 2, 1)] });
    for (const name of ["localhost", "LOCALHOST", "a.localhost", "localhost."]) {
      expect(await resolver.addresses(name, waiting), name).toEqual(["127.0.0.1", "::1"]);
    }
    expect(asked()).toBe(0);
    expect(await resolver.addresses("notlocalhost", waiting)).toEqual([]);
    expect(asked()).toBeGreaterThan(0);
  });

  it("stops asking when it is told to", async () => {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    closing.push(() => socket.close());
    const patient = createHostResolver({ timeout: 60_000, tries: 1, servers: [`127.0.0.1:${socket.address().port}`] });
    const stop = new AbortController();
    const arrived = once(socket, "message");
    const under = patient.addresses("slow.example", stop.signal);
    await arrived;
    stop.abort();
    expect(await under).toEqual([]);
    expect(await patient.addresses("slow.example", stop.signal)).toEqual([]);
    expect(await patient.srv("slow.example", stop.signal)).toMatchObject({ status: "failed" });
  });
});
