/** The table of operations agrees with what the operations do, and the page with the table. */
import { describe, expect, it } from "vitest";
import { render } from "../../scripts/federation-docs.mjs";
import { aclProtectedOperations, errorForms, errorsOf, operationTable, Server } from "../../src/federation/index.js";
import type { OperationName } from "../../src/ports/index.js";
import { readText } from "../package/support.js";
import { codeOf, World } from "../support/servers.js";

const names = Object.keys(operationTable) as OperationName[];

/** What each operation asks for as text. */
const texts = {
  roomId: "!none:a.example",
  userId: "@user:a.example",
  eventId: "$none",
  roomVersion: "11",
  dir: "f",
  transactionId: "1",
  roomAlias: "#none:a.example",
  accessToken: "x",
};

describe("the table of operations", () => {
  it("has no endpoint twice, and names each parameter once", () => {
    const endpoints = names.flatMap((name) => operationTable[name].endpoints);
    const forms = endpoints.map(({ method, path }) => `${method} ${path.replaceAll(/\{\w+\}/g, "{}")}`);
    expect(new Set(forms).size).toBe(forms.length);
    for (const { path } of endpoints) {
      expect(path).toMatch(
        /^\/_matrix\/(?:federation\/v[12]|key\/v2|policy\/v1)(?:\/(?:[a-zA-Z0-9_]+|\{[a-zA-Z]+\}))+$/,
      );
      const parameters = path.match(/\{\w+\}/g) ?? [];
      expect(new Set(parameters).size).toBe(parameters.length);
    }
  });

  it("names methods that a server has", () => {
    for (const name of names) {
      for (const method of operationTable[name].askedBy) {
        expect(Object.hasOwn(Server.prototype, method), `${name}: ${method}`).toBe(true);
      }
    }
  });

  it("agrees with the list of what an ACL guards", () => {
    // The room of `policy_sign` is named by the event in it, so that the operation looks at the ACL itself.
    const guarded = names.filter((name) => operationTable[name].acl === "request" && name !== "policy_sign");
    expect(guarded.sort()).toEqual([...aclProtectedOperations].sort());
    expect(names.filter((name) => operationTable[name].acl === "each")).toEqual(["send"]);
  });

  it("says of which operations anybody may ask", async () => {
    const world = new World();
    await world.add("a", { policy: { checkServer: () => ({ code: "blocked", reason: "everybody" }) } });
    const receiver = world.receiver("a");
    for (const name of names) {
      const code = await codeOf<unknown>(receiver("b.example", name, texts as never));
      expect(code === "policy_refused", name).toBe(operationTable[name].auth === "x-matrix");
    }
  });

  it("lists what may go wrong once, and nothing that is no answer", () => {
    for (const name of names) {
      const errors = errorsOf(name);
      expect(new Set(errors).size).toBe(errors.length);
      expect(new Set(operationTable[name].errors).size, name).toBe(operationTable[name].errors.length);
      for (const code of errors) expect(errorForms[code].kind, `${name}: ${code}`).not.toBe("local");
    }
  });

  it("has a use for each code, but for those that a transport answers", () => {
    const used = new Set(names.flatMap(errorsOf));
    const unused = Object.entries(errorForms).filter(
      ([code, { kind }]) => kind !== "local" && !used.has(code as never),
    );
    expect(unused.map(([code]) => code).sort()).toEqual(["not_json", "unauthorized"]);
  });
});

describe("docs/federation.md", () => {
  const page = readText("docs/federation.md");
  const source = { operationTable, errorForms, errorsOf };

  it("is what the code gives", () => {
    expect(render(page, source)).toBe(page);
  });

  it("differs where the code says something else", () => {
    const { invite, ...rest } = operationTable;
    expect(render(page, { ...source, operationTable: { ...rest, renamed: invite }, errorsOf: () => [] })).not.toBe(
      page,
    );
    expect(render(page, { ...source, errorForms: {} })).not.toBe(page);
  });

  it("must have a place for each table", () => {
    for (const name of ["operations", "answers", "errors"]) {
      expect(() => render(page.replace(`<!-- generated: ${name} -->`, ""), source)).toThrow(name);
      expect(() => render(page.replace(`<!-- end: ${name} -->`, ""), source)).toThrow(name);
    }
  });

  it("speaks of methods that a server has", () => {
    const methods = [...page.matchAll(/`Server\.(\w+)`/g)].map((match) => match[1] ?? "");
    expect(methods.length).toBeGreaterThan(10);
    for (const method of methods) expect(Object.hasOwn(Server.prototype, method), method).toBe(true);
  });
});
