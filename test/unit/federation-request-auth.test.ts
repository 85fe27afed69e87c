/** X-Matrix: what is signed, every form that a header may have, and who is believed. */
import { describe, expect, it } from "vitest";
import { createKeyDirectory, createMemoryKeys } from "../../src/adapters/memory/index.js";
import { decodeBase64, encodeUnpadded, publicKeyFromSeed, sign, verify } from "../../src/crypto/index.js";
import { UsageError } from "../../src/errors.js";
import type { VerifyKey } from "../../src/event/index.js";
import {
  formatXMatrix,
  MAX_X_MATRIX_HEADERS,
  MAX_X_MATRIX_LENGTH,
  MAX_X_MATRIX_PARAMETERS,
  parseXMatrix,
  requestSignedBytes,
  signRequest,
  verifyRequest,
} from "../../src/federation/request-auth.js";
import type { ReceivedRequest, SignedRequest, XMatrix } from "../../src/federation/request-auth.js";
import { parseLax, utf8Decode } from "../../src/json/index.js";
import type { JsonValue } from "../../src/json/index.js";
import type { KeyRequest, Keys, VerifyRequest } from "../../src/ports/index.js";

const NOW = 1_700_000_000_000;
const DAY = 24 * 60 * 60 * 1000;
const seed = new Uint8Array(32).fill(7);
const otherSeed = new Uint8Array(32).fill(8);
const ORIGIN = "origin.example";
const SERVER = "here.example:8448";
const KEY = "ed25519:a_1";
const SIG = encodeUnpadded(new Uint8Array(64).fill(255));

const put: SignedRequest = {
  method: "PUT",
  uri: "/_matrix/federation/v1/send/1?a=b&c=%20d",
  origin: ORIGIN,
  destination: SERVER,
  content: { pdus: [], origin: ORIGIN },
};

const reason = (header: string): string => {
  const parsed = parseXMatrix(header);
  if (parsed.ok) return "accepted";
  expect(parsed.error).toMatchObject({ status: 401, errcode: "M_UNAUTHORIZED" });
  return parsed.error.reason;
};

describe("what a request's signature covers [cap:request-auth]", () => {
  const text = (request: SignedRequest): string | undefined => utf8Decode(requestSignedBytes(request));

  it("is canonical JSON of method, target with its query, both servers and the body", () => {
    expect(text(put)).toBe(
      '{"content":{"origin":"origin.example","pdus":[]},"destination":"here.example:8448","method":"PUT",' +
        '"origin":"origin.example","uri":"/_matrix/federation/v1/send/1?a=b&c=%20d"}',
    );
  });

  it("has no `content` without a body, and an empty one for an empty object", () => {
    const { content: _, ...get } = put;
    expect(text(get)).not.toContain("content");
    expect(text({ ...put, content: {} })).toContain('"content":{},');
    expect(text({ ...put, content: null })).toContain('"content":null,');
  });

  it("keeps the floats of a body that was parsed without loss", () => {
    const content = parseLax('{"a":1.0,"b":1e2,"c":12345678901234567890}');
    expect(content.ok && text({ ...put, content: content.value })).toContain(
      '"content":{"a":1.0,"b":100.0,"c":12345678901234567890},',
    );
  });
});

describe("signing a request [cap:request-auth]", () => {
  const keys = createMemoryKeys({ server: ORIGIN, keyId: KEY, seed }, createKeyDirectory());

  it("writes the header as the spec shows it", async () => {
    const header = await signRequest(put, keys);
    const sig = encodeUnpadded(sign(requestSignedBytes(put), seed));
    expect(header).toBe(
      `X-Matrix origin="origin.example",destination="here.example:8448",key="ed25519:a_1",sig="${sig}"`,
    );
    expect(verify(decodeBase64(sig)!, requestSignedBytes(put), publicKeyFromSeed(seed))).toBe(true);
  });

  it("hands on the signal to cancel", async () => {
    const seen: unknown[] = [];
    const signer: Pick<Keys, "sign"> = {
      sign: (message, cancel) => {
        seen.push(cancel);
        return { keyId: KEY, signature: sign(message, seed) };
      },
    };
    const cancel = { cancelled: false, onCancel: () => () => undefined } as never;
    await signRequest(put, signer, cancel);
    expect(seen).toEqual([cancel]);
  });

  it.each([
    ["a method in lower case", { method: "put" }],
    ["no method", { method: "" }],
    ["a target with its host", { uri: "https://here.example/_matrix" }],
    ["an origin that is no server", { origin: "a b" }],
    ["a destination that is no server", { destination: "" }],
    ["a body that is no JSON", { content: Number.NaN }],
    ["a lone surrogate in the target", { uri: "/\ud800" }],
  ])("throws for %s", async (_, change) => {
    await expect(signRequest({ ...put, ...change }, keys)).rejects.toThrow(UsageError);
  });
});

describe("writing a header", () => {
  it("leaves out an absent destination", () => {
    expect(formatXMatrix({ origin: "a", key: KEY, sig: "s" })).toBe(`X-Matrix origin="a",key="ed25519:a_1",sig="s"`);
  });

  it("escapes quotes and backslashes", () => {
    expect(formatXMatrix({ origin: 'a"\\b', key: "k", sig: "" })).toBe('X-Matrix origin="a\\"\\\\b",key="k",sig=""');
  });

  it.each(["a\r\nHost: evil", "a\0", "é", "\t", "\u007f"])("throws for %j, which would end or break it", (origin) => {
    expect(() => formatXMatrix({ origin, key: KEY, sig: SIG })).toThrow(UsageError);
  });
});

describe("reading a header [cap:request-auth]", () => {
  const full: XMatrix = { origin: ORIGIN, destination: SERVER, key: KEY, sig: SIG };

  it.each([
    ["as it is written", formatXMatrix(full)],
    ["in another order", `X-Matrix sig="${SIG}",key="${KEY}",destination="${SERVER}",origin="${ORIGIN}"`],
    ["with the scheme in lower case", formatXMatrix(full).replace("X-Matrix", "x-matrix")],
    ["with the scheme in capitals", formatXMatrix(full).replace("X-Matrix", "X-MATRIX")],
    ["with names in capitals", `X-Matrix ORIGIN="${ORIGIN}",Destination="${SERVER}",kEY="${KEY}",Sig="${SIG}"`],
    ["with many spaces after the scheme", formatXMatrix(full).replace(" ", "     ")],
    ["with spaces and tabs around commas", formatXMatrix(full).replaceAll(",", " \t,\t  ")],
    ["with spaces around `=`", formatXMatrix(full).replaceAll('="', ' \t= "')],
    ["with space at the end", `${formatXMatrix(full)} \t`],
    ["with empty elements", `X-Matrix ,, ${formatXMatrix(full).slice(9).replaceAll(",", " , ,,")},`],
    [
      "with values that are tokens unquoted",
      `X-Matrix origin=${ORIGIN},destination="${SERVER}",key="${KEY}",sig="${SIG}"`,
    ],
    ["with colons unquoted", `X-Matrix origin=${ORIGIN},destination=${SERVER},key=${KEY},sig="${SIG}"`],
    ["with needless escapes", formatXMatrix(full).replace("origin.", "\\o\\rigin\\.")],
    ["with unknown parameters", `${formatXMatrix(full)},signature="x",a=b,c="d,e=\\"f\\""`],
    ["with text outside ASCII in an unknown parameter", `${formatXMatrix(full)},x="é\\é\\\u2028"`],
    ["with an empty unknown parameter", `${formatXMatrix(full)},x=""`],
  ])("takes one %s", (_, header) => {
    expect(parseXMatrix(header)).toEqual({ ok: true, value: full });
  });

  it("takes one without a destination", () => {
    const { destination: _, ...rest } = full;
    expect(parseXMatrix(formatXMatrix(rest))).toEqual({ ok: true, value: rest });
  });

  it("unescapes what a backslash precedes, the backslash too", () => {
    const header = `${formatXMatrix({ ...full, sig: "" }).slice(0, -2)}"a\\"b\\\\c\\,d,e=f"`;
    expect(parseXMatrix(header)).toMatchObject({ value: { sig: 'a"b\\c,d,e=f' } });
  });

  it("takes an address in brackets where it is quoted", () => {
    const header = formatXMatrix({ ...full, origin: "[2001:db8::1]:8448" });
    expect(parseXMatrix(header)).toMatchObject({ value: { origin: "[2001:db8::1]:8448" } });
    expect(reason(header.replace('"[2001:db8::1]:8448"', "[2001:db8::1]:8448"))).toContain("malformed at character 16");
  });

  it.each([
    ["", "scheme"],
    ["Bearer abc", "scheme"],
    ["X-Matrix", "lacks"],
    ["X-Matrix ", "lacks"],
    ["X-Matrix ,", "lacks"],
    ["X-Matrixx origin=a", "scheme"],
    [`X-Matrix\torigin=a,key=${KEY},sig=s`, "scheme"],
    ["X-Matrix abcdef", "malformed"],
    ["X-Matrix abcdef==", "malformed"],
    ["X-Matrix origin", "malformed"],
    ["X-Matrix origin=", "malformed"],
    ["X-Matrix origin=,key=a", "malformed"],
    ["X-Matrix =a", "malformed"],
    ['X-Matrix origin="a', "malformed"],
    ['X-Matrix origin="a\\"', "malformed"],
    ['X-Matrix origin="a\nb"', "malformed"],
    ['X-Matrix origin="a\\\nb"', "malformed"],
    ["X-Matrix origin='a'b\"", "malformed"],
    [`X-Matrix origin="a" key="${KEY}" sig="s"`, "malformed"],
    [`X-Matrix origin="a"x,key="${KEY}",sig="s"`, "malformed"],
    [`X-Matrix origin="a";key="${KEY}";sig="s"`, "malformed"],
    [`X-Matrix origin=a,key=${KEY},sig=a/b`, "malformed"],
    [`X-Matrix or:igin=a,key=${KEY},sig=a`, "malformed"],
    [`X-Matrix key="${KEY}",sig="s"`, "lacks"],
    [`X-Matrix origin="a",sig="s"`, "lacks"],
    [`X-Matrix origin="a",key="${KEY}"`, "lacks"],
    [`X-Matrix origin="a",key="${KEY}",signature="s"`, "lacks"],
    [`X-Matrix origin="a",key="${KEY}",sig="s",origin="a"`, "`origin` twice"],
    [`X-Matrix origin="a",key="${KEY}",sig="s",SIG="t"`, "`sig` twice"],
    [`X-Matrix origin="a",key="${KEY}",sig="s",x="1",X="2"`, "`x` twice"],
    [`X-Matrix origin="",key="${KEY}",sig="s"`, "no server name"],
    [`X-Matrix origin="a_b",key="${KEY}",sig="s"`, "no server name"],
    [`X-Matrix origin="256.1.1.1",key="${KEY}",sig="s"`, "no server name"],
    [`X-Matrix origin="a",key="ed25519",sig="s"`, "no key id"],
    [`X-Matrix origin="a",key="ed25519:",sig="s"`, "no key id"],
  ])("refuses %j", (header, why) => {
    expect(reason(header)).toContain(why);
  });

  it("is bounded in length and in the number of parameters", () => {
    const header = formatXMatrix(full);
    expect(reason(header.padEnd(MAX_X_MATRIX_LENGTH))).toBe("accepted");
    expect(reason(header.padEnd(MAX_X_MATRIX_LENGTH + 1))).toContain("4096 characters");
    const more = (count: number): string => Array.from({ length: count }, (_, i) => `,x${i}=y`).join("");
    expect(reason(header + more(MAX_X_MATRIX_PARAMETERS - 4))).toBe("accepted");
    expect(reason(header + more(MAX_X_MATRIX_PARAMETERS - 3))).toContain("16 parameters");
  });

  it("does not go back over a quoted string that never ends", () => {
    expect(reason(`X-Matrix origin="${"\\a".repeat(2000)}`)).toContain("malformed");
    expect(reason(`X-Matrix ${",".repeat(4000)}`)).toContain("lacks");
  });
});

/** Keys of the origin, and what was asked of them. */
function keyring(published: Readonly<Record<string, VerifyKey>>) {
  const lookups: (readonly KeyRequest[])[] = [];
  const checks: (readonly VerifyRequest[])[] = [];
  const keys: Pick<Keys, "lookup" | "verify"> = {
    lookup: (requests) => {
      lookups.push(requests);
      return Promise.resolve(requests.map(({ server, keyId }) => (server === ORIGIN ? published[keyId] : undefined)));
    },
    verify: (requests) => {
      checks.push(requests);
      return requests.map(({ key, message, signature }) => verify(signature, message, key));
    },
  };
  return { keys, lookups, checks };
}

const published: VerifyKey = { key: publicKeyFromSeed(seed), validUntilTs: NOW + DAY };

/** The header by which a key signs `request`. */
function header(change: Partial<XMatrix> = {}, request: SignedRequest = put, by = seed): string {
  const sig = encodeUnpadded(sign(requestSignedBytes(request), by));
  return formatXMatrix({ origin: request.origin, destination: request.destination, key: KEY, sig, ...change });
}

function received(change: Partial<ReceivedRequest> = {}): ReceivedRequest {
  const { origin: _, destination: __, ...request } = put;
  return { ...request, authorization: [header()], ...change };
}

describe("believing a request [cap:request-auth]", () => {
  const judge = async (request: ReceivedRequest, known: Readonly<Record<string, VerifyKey>> = { [KEY]: published }) => {
    const ring = keyring(known);
    const result = await verifyRequest(request, { server: SERVER, now: NOW, keys: ring.keys });
    if (!result.ok) expect(result.error).toMatchObject({ status: 401, errcode: "M_UNAUTHORIZED" });
    return { ...ring, origin: result.ok ? result.value.origin : undefined, result };
  };
  const why = async (...args: Parameters<typeof judge>): Promise<string> => {
    const { result } = await judge(...args);
    return result.ok ? "believed" : result.error.reason;
  };

  it("asks for the key as of now, and names who signed with what", async () => {
    const { result, lookups } = await judge(received());
    expect(result).toEqual({ ok: true, value: { origin: ORIGIN, keyIds: [KEY] } });
    expect(lookups).toEqual([[{ server: ORIGIN, keyId: KEY, validAt: NOW }]]);
  });

  it("takes what `signRequest` made, with a body and without", async () => {
    const directory = createKeyDirectory();
    const keys = createMemoryKeys({ server: ORIGIN, keyId: KEY, seed }, directory);
    for (const content of [{ a: [1, "é", null] }, {}, undefined]) {
      const request = { method: "GET", uri: "/_matrix/x?y=%C3%A9", ...(content === undefined ? {} : { content }) };
      const authorization = [await signRequest({ ...request, origin: ORIGIN, destination: SERVER }, keys)];
      const result = await verifyRequest({ ...request, authorization }, { server: SERVER, now: NOW, keys });
      expect(result).toMatchObject({ ok: true, value: { origin: ORIGIN } });
    }
  });

  it("takes an older server's header, which names no destination but signs it", async () => {
    const sig = encodeUnpadded(sign(requestSignedBytes(put), seed));
    expect(await why(received({ authorization: [formatXMatrix({ origin: ORIGIN, key: KEY, sig })] }))).toBe("believed");
  });

  it.each(["elsewhere.example", "here.example", "HERE.example:8448", ""])(
    "refuses a request for %j, and asks nobody for keys",
    async (destination) => {
      const request = received({ authorization: [header({ destination })] });
      expect(await why(request)).toBe("the request is for another server");
      expect((await judge(request)).lookups).toEqual([]);
    },
  );

  it("refuses a request that was signed for another server", async () => {
    const elsewhere = { ...put, destination: "elsewhere.example" };
    expect(await why(received({ authorization: [header({ destination: SERVER }, elsewhere)] }))).toContain(
      "not verify",
    );
  });

  it.each([
    ["method", { method: "POST" }],
    ["path", { uri: "/_matrix/federation/v1/send/2?a=b&c=%20d" }],
    ["query", { uri: "/_matrix/federation/v1/send/1" }],
    ["encoding of the query", { uri: "/_matrix/federation/v1/send/1?a=b&c=+d" }],
    ["body", { content: { pdus: [null], origin: ORIGIN } }],
  ])("refuses a request whose %s was changed on the way", async (_, change) => {
    expect(await why(received(change))).toBe(`the signature by ${KEY} of ${ORIGIN} does not verify`);
  });

  it("refuses a request whose body was taken away, or was added", async () => {
    const { content: _, ...bare } = received();
    expect(await why(bare)).toContain("does not verify");
    const { content: __, ...get } = put;
    expect(await why(received({ content: {}, authorization: [header({}, get)] }))).toContain("does not verify");
  });

  it("refuses a foreign origin: its keys are other keys", async () => {
    expect(await why(received({ authorization: [header({ origin: "victim.example" })] }))).toContain("no such key");
  });

  it("refuses a signature by another key under the same id", async () => {
    expect(await why(received({ authorization: [header({}, put, otherSeed)] }))).toContain("does not verify");
  });

  it.each([
    ["has no validity of its own, as one that the host trusts", { key: published.key }, true],
    ["is valid until now", { key: published.key, validUntilTs: NOW }, true],
    ["was valid until a moment ago", { key: published.key, validUntilTs: NOW - 1 }, false],
    ["is retired", { key: published.key, expiredTs: NOW - 1 }, false],
    ["is to be retired", { key: published.key, expiredTs: NOW + DAY }, false],
    ["is retired and valid all the same", { key: published.key, expiredTs: NOW + DAY, validUntilTs: NOW + DAY }, false],
    ["was fetched seven days ago", { key: published.key, validUntilTs: NOW + DAY, fetchedTs: NOW - 7 * DAY }, true],
    ["was fetched before that", { key: published.key, validUntilTs: NOW + DAY, fetchedTs: NOW - 7 * DAY - 1 }, false],
  ] as readonly (readonly [string, VerifyKey, boolean])[])("of a key that %s", async (_, key, believed) => {
    const { origin, checks } = await judge(received(), { [KEY]: key });
    expect(origin).toBe(believed ? ORIGIN : undefined);
    expect(checks).toHaveLength(believed ? 1 : 0);
  });

  it("refuses a request by a key that is not known", async () => {
    expect(await why(received(), {})).toBe(`${ORIGIN} has no such key that is known and valid now`);
  });

  describe("with several headers", () => {
    const OTHER = "ed25519:b_2";
    const other: VerifyKey = { key: publicKeyFromSeed(otherSeed) };
    const two = [header(), header({ key: OTHER }, put, otherSeed)];

    it("takes one for each key", async () => {
      const { result } = await judge(received({ authorization: two }), { [KEY]: published, [OTHER]: other });
      expect(result).toMatchObject({ value: { keyIds: [KEY, OTHER] } });
    });

    it("passes over keys that are not known or not valid now", async () => {
      for (const known of [{ [OTHER]: other }, { [OTHER]: other, [KEY]: { key: published.key, expiredTs: 1 } }]) {
        const { result } = await judge(received({ authorization: two }), known);
        expect(result).toMatchObject({ value: { keyIds: [OTHER] } });
      }
    });

    it("refuses when one by a valid key does not verify", async () => {
      const authorization = [header(), header({ key: OTHER })];
      expect(await why(received({ authorization }), { [KEY]: published, [OTHER]: other })).toContain(OTHER);
    });

    it("passes over other schemes and other algorithms", async () => {
      const authorization = ["Bearer secret", "X-Matrix-2 a=b", header({ key: "rsa:1", sig: "?" }), header()];
      expect(await why(received({ authorization }))).toBe("believed");
    });

    it("refuses two origins, and a header that does not hold beside one that does", async () => {
      const foreign = header({ origin: "victim.example" });
      expect(await why(received({ authorization: [header(), foreign] }))).toBe("the request names two origins");
      expect(await why(received({ authorization: [header(), "X-Matrix origin"] }))).toContain("malformed");
      const elsewhere = header({ destination: "elsewhere.example" });
      expect(await why(received({ authorization: [header(), elsewhere] }))).toBe("the request is for another server");
    });

    it("takes a bounded number", async () => {
      const many = (count: number): string[] => Array.from({ length: count }, () => header());
      expect(await why(received({ authorization: many(MAX_X_MATRIX_HEADERS) }))).toBe("believed");
      const { result, lookups } = await judge(received({ authorization: many(MAX_X_MATRIX_HEADERS + 1) }));
      expect(result).toMatchObject({ error: { reason: "the request has over 8 signatures" } });
      expect(lookups).toEqual([]);
    });
  });

  it.each([
    ["no header", [], "the request has no X-Matrix signature"],
    ["another scheme", ["Bearer x"], "the request has no X-Matrix signature"],
    ["no Ed25519 key", [header({ key: "rsa:1" })], "the request has no Ed25519 signature"],
    ["no base64", [header({ sig: "a b" })], "not 64 bytes in base64"],
    ["a short signature", [header({ sig: SIG.slice(0, 80) })], "not 64 bytes in base64"],
    ["an empty signature", [header({ sig: "" })], "not 64 bytes in base64"],
  ])("refuses %s and asks nobody for keys", async (_, authorization, expected) => {
    const { result, lookups } = await judge(received({ authorization }));
    expect(result).toMatchObject({ ok: false });
    expect(await why(received({ authorization }))).toContain(expected);
    expect(lookups).toEqual([]);
  });

  it("takes a signature with padding and in the other alphabet", async () => {
    const sig = `${encodeUnpadded(sign(requestSignedBytes(put), seed), "url-safe")}==`;
    expect(await why(received({ authorization: [header({ sig })] }))).toBe("believed");
  });

  it.each([Number.NaN, 1.5, "\ud800", { a: ["\udfff"] }] as readonly JsonValue[])(
    "refuses the body %j, which was parsed with loss, instead of failing",
    async (content) => {
      expect(await why(received({ content }))).toContain("such as JSON can hold");
    },
  );

  it("refuses a target that is no text", async () => {
    expect(await why(received({ uri: "/\ud800" }))).toContain("such as JSON can hold");
  });

  it("hides no bug of a port, and believes nothing that a port leaves out", async () => {
    const broken = { ...keyring({ [KEY]: published }).keys, lookup: () => Promise.reject(new Error("store is gone")) };
    await expect(verifyRequest(received(), { server: SERVER, now: NOW, keys: broken })).rejects.toThrow(
      "store is gone",
    );
    const short = { ...keyring({ [KEY]: published }).keys, verify: () => [] };
    expect(await verifyRequest(received(), { server: SERVER, now: NOW, keys: short })).toMatchObject({ ok: false });
  });

  it("hides no bug in what the host hands over as a body", async () => {
    const content = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new RangeError("a host's bug");
        },
      },
    );
    await expect(judge(received({ content }))).rejects.toThrow(RangeError);
  });
});
