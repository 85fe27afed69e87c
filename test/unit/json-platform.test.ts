/** When the platform's own parser cannot be trusted. */
import { afterEach, describe, expect, it, vi } from "vitest";

describe("a platform that misreads keys", () => {
  afterEach(() => {
    vi.restoreAllMocks();
    vi.resetModules();
  });

  /** V8 15.0, as Deno 2.9.6 has it: after a lone backslash as a key, keys that begin with an escape are one, too. */
  const misreading = (parse: typeof JSON.parse): typeof JSON.parse => {
    let met = false;
    return (text: string): unknown => {
      const value: unknown = parse(met ? text.replace(/(?<=[{,])"\\(?:u[0-9a-f]{4}|.)":/g, '"\\\\":') : text);
      met ||= text.includes('"\\\\":');
      return value;
    };
  };

  it("is found out, and texts with escapes are not given to it", async () => {
    const platform = JSON.parse;
    vi.spyOn(JSON, "parse").mockImplementation(misreading(platform));
    vi.resetModules();
    const fresh = await import("../../src/json/parse.js");
    for (const parse of [fresh.parseStrict, fresh.parseLax]) {
      expect(parse('{"a":1,"\\\\":2}')).toEqual({ ok: true, value: { a: 1, "\\": 2 } });
      expect(parse('{"a":1,"\\n":2}')).toEqual({ ok: true, value: { a: 1, "\n": 2 } });
      expect(parse('{"a":1,"\\uffff":2}')).toEqual({ ok: true, value: { a: 1, "\uffff": 2 } });
      expect(parse('{"a":1,"b":2}')).toEqual({ ok: true, value: { a: 1, b: 2 } });
    }
  });
});
