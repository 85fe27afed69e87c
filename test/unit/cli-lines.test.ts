import { Writable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { splitLines } from "../../src/cli/lines.js";
import { runOracle } from "../../src/cli/oracle.js";
import { Output } from "../../src/cli/output.js";

// eslint-disable-next-line @typescript-eslint/require-await
async function* chunksOf(...chunks: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === "string" ? Buffer.from(chunk) : chunk;
}

async function linesOf(chunks: readonly (string | Uint8Array)[], maxBytes = 1000): Promise<readonly unknown[]> {
  const lines: unknown[] = [];
  for await (const line of splitLines(chunksOf(...chunks), maxBytes)) {
    lines.push("bytes" in line ? Buffer.from(line.bytes).toString() : line);
  }
  return lines;
}

/** A stream that keeps what it is given, as slowly as its buffer of one byte makes it. */
class Memory extends Writable {
  text = "";
  constructor() {
    super({ highWaterMark: 1 });
  }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    setImmediate(done);
  }
}

async function answers(...chunks: readonly (string | Uint8Array)[]): Promise<readonly Record<string, unknown>[]> {
  const memory = new Memory();
  await runOracle(chunksOf(...chunks), new Output(memory));
  const lines = memory.text.split("\n");
  expect(lines.pop()).toBe("");
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

const request = (id: unknown): string =>
  JSON.stringify({ id, op: "canonical", value: { b: "line\u2028separator\u0085", a: 1 } });

describe("splitLines", () => {
  it("ends lines at \\n only", async () => {
    expect(await linesOf(["a\rb\u2028c\u2029d\u0085e\u000bf\n"])).toEqual(["a\rb\u2028c\u2029d\u0085e\u000bf"]);
    expect(await linesOf(["a\r\nb"])).toEqual(["a\r", "b"]);
  });

  it("keeps empty lines and a last line without newline, and makes none up", async () => {
    expect(await linesOf([])).toEqual([]);
    expect(await linesOf(["\n\na\n"])).toEqual(["", "", "a"]);
    expect(await linesOf(["a\n", "b"])).toEqual(["a", "b"]);
  });

  it("does not depend on how the bytes were cut", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: fc.constantFrom("\n", "é", "😀", "\r") }), fc.nat(5), async (text, size) => {
        const bytes = Buffer.from(text);
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < bytes.length; at += size + 1) pieces.push(bytes.subarray(at, at + size + 1));
        expect(await linesOf(pieces)).toEqual(await linesOf([text]));
      }),
    );
  });

  it("skips over what is too long and goes on after it", async () => {
    expect(await linesOf(["abc", "def", "gh\nok\nabcde\n12345", "6"], 5)).toEqual([
      { tooLong: 8 },
      "ok",
      "abcde",
      { tooLong: 6 },
    ]);
  });
});

describe("runOracle", () => {
  it("answers a line with a line, in order, whatever separators the strings hold", async () => {
    const found = await answers(`${request(1)}\r\n${request("b")}\n`, request(null));
    expect(found.map(({ id }) => id)).toEqual([1, "b", null]);
    for (const { ok } of found) expect(ok).toBe('{"a":1,"b":"line\u2028separator\u0085"}');
  });

  it("answers what is no request with an error, and goes on", async () => {
    const bytes = Buffer.from([0xff, 0xfe, 0x0a]);
    const found = await answers("not json\n", "\n", bytes, "\ufeff{}\n", "[]\n", '{"id":7,"op":"none"}\n', request(8));
    expect(found.map(({ id, code }) => [id, code])).toEqual([
      [null, "bad_json"],
      [null, "bad_json"],
      [null, "bad_json"],
      [null, "bad_json"],
      [null, "bad_request"],
      [7, "bad_request"],
      [8, undefined],
    ]);
  });

  it("survives nesting and lines beyond its limit", async () => {
    const deep = `{"id":1,"op":"canonical","value":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
    const found = await answers(`${deep}\n${request(2)}\n`);
    expect(found.map(({ id }) => id)).toEqual([1, 2]);
    const memory = new Memory();
    await runOracle(chunksOf(`${"x".repeat(50)}\n{"op":1}\n`), new Output(memory), 20);
    const [long, short] = memory.text.split("\n").map((line) => (line === "" ? {} : (JSON.parse(line) as object)));
    expect(long).toMatchObject({ id: null, code: "too_large" });
    expect(short).toMatchObject({ id: null, code: "bad_request" });
  });

  it("stops when the reader has gone", async () => {
    let asked = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        asked++;
        await new Promise((resume) => setImmediate(resume));
        yield Buffer.from(`${request(asked)}\n`);
      }
    }
    const broken = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error("gone"), { code: "EPIPE" }));
      },
    });
    await runOracle(endless(), new Output(broken));
    expect(asked).toBeLessThan(5);
  });
});
