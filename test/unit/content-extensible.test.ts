import { describe, expect, it } from "vitest";
import {
  chooseText,
  guardLocalContent,
  messageSchema,
  plainText,
  readMessage,
  readText,
  renderable,
  type EventSchema,
} from "../../src/event/content.js";
import { JsonFloat, type JsonObject } from "../../src/json/value.js";

const hello: JsonObject = {
  "m.text": [{ body: "<i>Hello world</i>", mimetype: "text/html" }, { body: "Hello world" }],
};
const temperature: JsonObject = {
  "m.text": [{ body: "It is 22 degrees at Home" }],
  "org.example.probe_value": { label: "Home", units: "org.example.celsius", value: 22 },
};
const event = (type: string, content: JsonObject, stateKey?: string) => ({ type, stateKey, content });
const probe: EventSchema = { type: "org.example.probe", matches: (c) => Object.hasOwn(c, "org.example.probe_value") };

describe("m.text [cap:text-block v:I.1]", () => {
  it("keeps the order and fills in text/plain", () => {
    expect(readText(hello)).toEqual([
      { body: "<i>Hello world</i>", mimetype: "text/html" },
      { body: "Hello world", mimetype: "text/plain" },
    ]);
  });
  it("skips invalid representations and keeps the rest", () => {
    const bad = [
      null,
      1,
      "x",
      [],
      {},
      new JsonFloat(1, "1.0"),
      { body: 1 },
      { mimetype: "text/plain" },
      { body: "x", mimetype: 1 },
      { body: "x", mimetype: null },
    ];
    expect(readText({ "m.text": [...bad, { body: "" }] })).toEqual([{ body: "", mimetype: "text/plain" }]);
  });
  it("may be empty, but not absent or of another type", () => {
    expect(readText({ "m.text": [] })).toEqual([]);
    for (const block of [null, "Hello", { body: "Hello" }, 1, true]) {
      expect(readText({ "m.text": block })).toBeUndefined();
    }
    expect(readText({})).toBeUndefined();
  });
  it("gives the first form that is understood, in the sender's order", () => {
    const block = readText(hello) ?? [];
    expect(chooseText(block)?.body).toBe("Hello world");
    expect(chooseText(block, ["text/plain", "text/html"])?.body).toBe("<i>Hello world</i>");
    expect(chooseText(block, ["text/markdown"])).toBeUndefined();
  });
  it("is what content.body means to push rules", () => {
    expect(plainText(hello)).toBe("Hello world");
    expect(plainText({ body: "not this", "m.text": [{ body: "x", mimetype: "text/html" }] })).toBeUndefined();
    expect(plainText({ body: "not this" })).toBeUndefined();
  });
});

describe("m.message [cap:message v:I.1]", () => {
  it("needs m.text", () => {
    expect(readMessage(hello)).toEqual({ ok: true, value: { text: readText(hello) } });
    expect(readMessage({ "m.text": [] })).toEqual({ ok: true, value: { text: [] } });
    expect(readMessage({ body: "Hello" })).toMatchObject({
      ok: false,
      error: { code: "bad_format", rule: "MSC1767 m.message" },
    });
  });
});

describe("rendering [cap:fallback v:I.1]", () => {
  it("shows messages, and nothing of a redacted one", () => {
    expect(renderable(event("m.message", hello))).toEqual({ kind: "message", text: readText(hello) });
    expect(renderable(event("m.message", {}))).toEqual({ kind: "unrenderable" });
  });
  it("falls back to text for the MSC's temperature event", () => {
    expect(renderable(event("org.example.temperature", temperature))).toEqual({
      kind: "fallback",
      schema: "m.message",
      text: [{ body: "It is 22 degrees at Home", mimetype: "text/plain" }],
    });
  });
  it("prefers the reader's own schemas in their order", () => {
    const known = event("org.example.probe", temperature);
    const rendered = renderable(event("org.example.temperature", temperature), [probe]);
    expect(rendered).toMatchObject({ kind: "fallback", schema: "org.example.probe" });
    expect(renderable(event("a.b", temperature), [messageSchema, probe])).toMatchObject({ schema: "m.message" });
    expect(renderable(known, [probe])).toEqual({ kind: "known", schema: "org.example.probe" });
    expect(renderable(event("org.example.probe", hello), [probe])).toEqual({ kind: "unrenderable" });
  });
  it("does not take names of Object.prototype for known or deprecated types", () => {
    for (const type of ["constructor", "__proto__", "toString"]) {
      expect(renderable(event(type, {}))).toEqual({ kind: "unrenderable" });
      expect(guardLocalContent("extensible", type)).toBeUndefined();
    }
  });
  it.each(["", "@a:b"])("never shows state as a message (state key %j)", (stateKey) => {
    for (const type of ["m.message", "org.example.temperature", "m.room.message"]) {
      expect(renderable(event(type, temperature, stateKey), [probe])).toEqual({ kind: "state" });
    }
  });
  it("does not render a deprecated type, known or not", () => {
    const schema: EventSchema = { type: "m.room.message", matches: () => true };
    expect(renderable(event("m.room.message", hello), [schema])).toEqual({
      kind: "deprecated",
      replacement: "m.message",
    });
  });
});

describe("the guard for local events [cap:deprecated-types v:I.1]", () => {
  it("stops deprecated types in extensible rooms only", () => {
    expect(guardLocalContent("extensible", "m.room.message")).toMatchObject({
      code: "bad_format",
      rule: "MSC1767 Room version",
      events: [],
    });
    expect(guardLocalContent("plain", "m.room.message")).toBeUndefined();
    for (const type of ["m.message", "m.room.member", "m.room.encrypted", "org.example.x"]) {
      expect(guardLocalContent("extensible", type)).toBeUndefined();
    }
  });
});
