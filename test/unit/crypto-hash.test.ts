/** SHA-256, in JavaScript or by the platform. */
import { createHash } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { sha256, useSha256 } from "../../src/crypto/index.js";
import type { Sha256 } from "../../src/crypto/index.js";
import { UsageError } from "../../src/errors.js";
import { contentHash, eventIdOf } from "../../src/event/index.js";
import { utf8Encode } from "../../src/json/index.js";
import { rulesOf } from "../support/auth.js";

const platform: Sha256 = (data) => createHash("sha256").update(data).digest();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

afterEach(() => useSha256(undefined));

describe.each([
  ["the library's own", undefined],
  ["the platform's", platform],
] as const)("SHA-256, %s", (_name, implementation) => {
  it("is that of FIPS 180-4, of bytes and of text", () => {
    useSha256(implementation);
    expect(hex(sha256(new Uint8Array(0)))).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(hex(sha256("abc"))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const text = "aé€😀".repeat(500);
    expect(hex(sha256(text))).toBe(hex(platform(text)));
    expect(hex(sha256(utf8Encode(text)))).toBe(hex(platform(text)));
  });

  it("gives events the same hashes and ids", () => {
    useSha256(implementation);
    const event = {
      type: "m.room.message",
      sender: "@é😀:one.example",
      room_id: "!r:one.example",
      content: { body: "€" },
    };
    expect(hex(contentHash(event))).toBe("a5c28441a0e00a88001b4e0669b61d7af1bd0afa49525ec5f7bf7618814388f9");
    expect(eventIdOf(rulesOf("10"), event)).toBe("$MOdTwE5uVXKNBnloox8CqvmekdQPUYS2TmfZFWqpkAg");
  });
});

describe("a platform's hash that is not SHA-256", () => {
  const wrong: readonly (readonly [what: string, implementation: Sha256])[] = [
    ["is another hash", (data) => createHash("sha512-256").update(data).digest()],
    ["is too short", (data) => platform(data).subarray(0, 31)],
    ["is text", ((data: Uint8Array) => hex(platform(data))) as unknown as Sha256],
    ["takes text for Latin-1", (data) => platform(typeof data === "string" ? Buffer.from(data, "latin1") : data)],
    [
      "takes all of a buffer for a part",
      (data) => platform(typeof data === "string" ? data : new Uint8Array(data.buffer)),
    ],
    ["goes wrong at the end of a block", (data) => platform(data.length === 56 ? new Uint8Array(56) : data)],
  ];

  it.each(wrong)("because it %s is refused, and the one before stays", (_what, implementation) => {
    expect(() => useSha256(implementation)).toThrow(UsageError);
    expect(hex(sha256("abc"))).toBe(hex(platform("abc")));
  });
});
