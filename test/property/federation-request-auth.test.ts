/** X-Matrix headers: whatever way a sender quotes, the reader sees the same; whatever comes, nothing throws. */
import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { encodeUnpadded, publicKeyFromSeed, sign, verify } from "../../src/crypto/index.js";
import { formatXMatrix, parseXMatrix, requestSignedBytes, verifyRequest } from "../../src/federation/request-auth.js";
import type { Keys } from "../../src/ports/index.js";

const host = fc.oneof(
  fc.domain(),
  fc.ipV4(),
  fc.ipV6().map((address) => `[${address}]`),
);
const server = fc.oneof(
  host,
  fc.tuple(host, fc.nat(65_535)).map(([name, port]) => `${name}:${port}`),
);
const keyId = fc.stringMatching(/^ed25519:[0-9A-Za-z_]{1,10}$/);
const printable = fc.string({ unit: "grapheme-ascii", maxLength: 100 });
const xMatrix = fc.record(
  { origin: server, destination: printable, key: keyId, sig: printable },
  { requiredKeys: ["origin", "key", "sig"] },
);

test.prop([xMatrix])("a header is read as it was written", (value) => {
  expect(parseXMatrix(formatXMatrix(value))).toEqual({ ok: true, value });
});

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z:-]+$/;
const space = fc.stringMatching(/^[ \t]{0,3}$/);
const separator = fc.tuple(space, fc.constantFrom(",", ",,", ", \t,"), space).map((parts) => parts.join(""));
const flags = fc.array(fc.boolean(), { minLength: 1, maxLength: 20 });

/** One parameter by a sender's choices: capitals, quotes, escapes, space around `=`. */
function written(name: string, value: string, choices: readonly boolean[], gap: string): string {
  const choose = (index: number): boolean => choices[index % choices.length] === true;
  const spelled = Array.from(name, (char, index) => (choose(index) ? char.toUpperCase() : char)).join("");
  const escaped = Array.from(value, (char, index) => (/["\\]/.test(char) || choose(index) ? `\\${char}` : char)).join(
    "",
  );
  return `${spelled}${gap}=${gap}${choose(0) && TOKEN.test(value) ? value : `"${escaped}"`}`;
}

test.prop(
  [xMatrix, fc.constantFrom("X-Matrix ", "x-matrix  ", "X-MATRIX "), flags, space, separator, fc.nat(23), printable],
  { numRuns: 1000 },
)("a header may be written in any way that RFC 9110 leaves open", (value, scheme, choices, gap, comma, turn, extra) => {
  const entries = [...Object.entries(value), ["unknown", extra] as const];
  const order = [...entries.slice(turn % entries.length), ...entries.slice(0, turn % entries.length)];
  const header = scheme + order.map(([name, text]) => written(name, text, choices, gap)).join(comma) + gap;
  expect(parseXMatrix(header)).toEqual({ ok: true, value });
});

const scraps = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "X-Matrix ",
        "origin",
        "key",
        "sig",
        "=",
        '"',
        "\\",
        ",",
        " ",
        "\t",
        ":",
        "a.b",
        "ed25519:k",
        "\n",
      ),
      fc.string({ maxLength: 3, unit: "binary" }),
    ),
    { maxLength: 40 },
  )
  .map((parts) => parts.join(""));

test.prop(
  [
    fc.oneof(
      scraps,
      scraps.map((rest) => `X-Matrix ${rest}`),
      fc.string({ unit: "binary" }),
    ),
  ],
  { numRuns: 3000 },
)("no header makes the reader throw, and what it takes can be written again", (header) => {
  const parsed = parseXMatrix(header);
  if (!parsed.ok) expect(parsed.error).toMatchObject({ status: 401, errcode: "M_UNAUTHORIZED" });
  else if (/^[ -~]*$/.test(Object.values(parsed.value).join(""))) {
    expect(parseXMatrix(formatXMatrix(parsed.value))).toEqual(parsed);
  }
});

const seed = new Uint8Array(32).fill(3);
const keys: Pick<Keys, "lookup" | "verify"> = {
  lookup: (requests) => requests.map(() => ({ key: publicKeyFromSeed(seed) })),
  verify: (requests) => requests.map(({ key, message, signature }) => verify(signature, message, key)),
};

test.prop(
  [server, server, fc.webPath(), fc.webQueryParameters(), fc.option(fc.dictionary(fc.string(), fc.integer()))],
  {
    numRuns: 30,
  },
)("a request is believed as it was signed, and in no other form", async (origin, destination, path, query, body) => {
  const request = { method: "PUT", uri: `/${path}?${query}`, ...(body === null ? {} : { content: body }) };
  const sig = encodeUnpadded(sign(requestSignedBytes({ ...request, origin, destination }), seed));
  const authorization = [formatXMatrix({ origin, destination, key: "ed25519:k", sig })];
  const judge = { server: destination, now: 0, keys };
  expect(await verifyRequest({ ...request, authorization }, judge)).toMatchObject({ ok: true, value: { origin } });
  const uri = `${request.uri}&`;
  expect(await verifyRequest({ ...request, uri, authorization }, judge)).toMatchObject({ ok: false });
  const content = { ...body, "": null };
  expect(await verifyRequest({ ...request, content, authorization }, judge)).toMatchObject({ ok: false });
});

test.prop([
  fc.array(
    scraps.map((rest) => `X-Matrix ${rest}`),
    { maxLength: 3 },
  ),
  fc.string({ unit: "binary" }),
  fc.anything(),
])("no request makes the verifier throw", async (authorization, uri, content) => {
  // What was parsed from JSON has no undefined, functions or instances; `anything` shows that they do no harm either.
  const request = { method: "PUT", uri, content: content as null, authorization };
  expect(await verifyRequest(request, { server: "here", now: 0, keys })).toMatchObject({ ok: false });
});
