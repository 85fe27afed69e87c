import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import {
  codePointLength,
  domainOf,
  isUserId,
  mapToLocalpart,
  mintUserId,
  parseRoomId,
  parseServerName,
  parseUserId,
  serverOf,
  utf8Length,
} from "../../src/ids/index.js";

const server = fc.oneof(
  fc.domain(),
  fc.ipV4(),
  fc.ipV6().map((address) => `[${address}]`),
  fc.tuple(fc.domain(), fc.nat(99_999)).map(([host, port]) => `${host}:${port}`),
);

test.prop([server])("every domain, IPv4 and IPv6 address is a server name", (name) => {
  const parsed = parseServerName(name);
  expect(parsed).toMatchObject({ ok: true, value: { name } });
});

/** Near the limits of what is taken for a usual name at a glance. */
const nearlyServer = fc
  .oneof(
    server,
    fc.string({ unit: fc.constantFrom("a", "Z", "9", ".", "-", "_", ":", "[", "]", "+", "\n", "é"), maxLength: 20 }),
    fc.tuple(
      fc.constantFrom("a", "1", "-", "."),
      fc.integer({ min: 250, max: 260 }),
      fc.constantFrom("", "z", "9", "\n"),
    ),
  )
  .map((drawn) => (typeof drawn === "string" ? drawn : drawn[0].repeat(drawn[1]) + drawn[2]));

test.prop([nearlyServer])("the server of an id is what parses as one", (name) => {
  const parsed = parseServerName(name, "historical");
  expect(serverOf(`@user:${name}`)).toBe(parsed.ok ? parsed.value.name : undefined);
});

const local = fc.string({ unit: "binary", maxLength: 30 });

test.prop([local, server])("a user id falls into the parts that made it", (localpart, name) => {
  const id = `@${localpart}:${name}`;
  const legal = !localpart.includes(":") && !localpart.includes("\0") && new TextEncoder().encode(id).length <= 255;
  expect(isUserId(id)).toBe(legal);
  if (legal) expect(parseUserId(id)).toEqual({ ok: true, value: { id, localpart, server: name } });
});

test.prop([fc.string({ unit: "binary" }), fc.boolean()])("whatever is mapped can be minted", (text, keepCase) => {
  const localpart = mapToLocalpart(text, keepCase);
  fc.pre(localpart !== "" && localpart.length < 240);
  expect(mintUserId(localpart, "h")).toBe(`@${localpart}:h`);
});

test.prop([fc.uniqueArray(fc.string({ unit: "binary", minLength: 1, maxLength: 8 }), { minLength: 2, maxLength: 2 })])(
  "keeping case, different texts map to different localparts",
  ([a = "", b = ""]) => {
    expect(mapToLocalpart(a, true)).not.toBe(mapToLocalpart(b, true));
  },
);

test.prop([fc.string({ unit: "binary" })])("lengths agree with the encoder and the iterator", (text) => {
  expect(utf8Length(text)).toBe(new TextEncoder().encode(text).length);
  expect(codePointLength(text)).toBe(Array.from(text).length);
});

test.prop([fc.string({ unit: "binary" })])("no text makes a parser throw, and what passes keeps its domain", (text) => {
  const parsed = parseRoomId(`!${text}`);
  if (parsed.ok) expect(parsed.value.server).toBe(domainOf(`!${text}`));
});
