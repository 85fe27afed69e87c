/**
 * What the tests use of vitest, for runtimes on which vitest itself does not run: describe, it, hooks, and the same
 * assertions (`@vitest/expect`). Tests run one after the other. Whatever is not here (`vi`) is left out on purpose:
 * a file that asks for it is not among those that run elsewhere.
 */
import "./json.js";
import { ASYMMETRIC_MATCHERS_OBJECT, chai, getState, JestAsymmetricMatchers, setState } from "@vitest/expect";
import { customMatchers, GLOBAL_EXPECT, JestChaiExpect, JestExtend } from "@vitest/expect";

/** Tests wait for all that is due by it; browsers have none, and a message comes after all that is due. */
const platform: { setImmediate?: unknown } = globalThis;
platform.setImmediate ??= (callback: () => void): void => {
  const { port1, port2 } = new MessageChannel();
  const received = (): void => {
    port1.close();
    callback();
  };
  Object.assign(port1, { onmessage: received });
  port2.postMessage(undefined);
};

type Body = (...args: unknown[]) => unknown;

/** How a test ended, as vitest's JSON report calls it. */
export interface Assertion {
  readonly fullName: string;
  readonly status: "passed" | "failed" | "skipped";
  readonly failureMessages: readonly string[];
}

/** One test file. */
export interface FileResult {
  readonly name: string;
  readonly status: "passed" | "failed";
  readonly message: string;
  readonly assertionResults: readonly Assertion[];
}

interface Hooks {
  readonly beforeAll: Body[];
  readonly afterAll: Body[];
  readonly beforeEach: Body[];
  readonly afterEach: Body[];
}

interface Suite extends Hooks {
  readonly name: string;
  readonly parent: Suite | undefined;
  readonly children: (Suite | Test)[];
}

interface Test {
  readonly name: string;
  readonly body: Body | undefined;
}

function newSuite(name: string, parent: Suite | undefined): Suite {
  return { name, parent, children: [], beforeAll: [], afterAll: [], beforeEach: [], afterEach: [] };
}

let current = newSuite("", undefined);

// ---- what test files import -----------------------------------------------------------------------------------

function describeNow(name: string, body: Body): void {
  const suite = newSuite(name, current);
  current.children.push(suite);
  current = suite;
  try {
    body();
  } finally {
    current = suite.parent ?? current;
  }
}

function itNow(name: string, ...rest: readonly unknown[]): void {
  // Options or a timeout may stand on either side of the body.
  const body = rest.find((part): part is Body => typeof part === "function");
  current.children.push({ name, body });
}

function skip(name: string): void {
  current.children.push({ name, body: undefined });
}

/** Rows are lists of arguments where all of them are lists, as in vitest. */
function eachOf(define: (name: string, body: Body) => void) {
  return (rows: readonly unknown[]) =>
    (name: string, body: Body): void => {
      const spread = rows.every((row) => Array.isArray(row));
      for (const row of rows) {
        const args: readonly unknown[] = spread ? (row as readonly unknown[]) : [row];
        define(titleOf(name, args), () => body(...args));
      }
    };
}

function titleOf(name: string, args: readonly unknown[]): string {
  let next = 0;
  return name.replace(/%[sdioj%]|\$([a-zA-Z0-9_.]+)/g, (found, key: string | undefined) => {
    if (found === "%%") return "%";
    if (key === undefined) return named(args[next++]);
    const [first] = args;
    return typeof first === "object" && first !== null && key in first
      ? named((first as Readonly<Record<string, unknown>>)[key])
      : found;
  });
}

/** Some of what is tested has no prototype. */
function named(value: unknown): string {
  if (typeof value === "object" && value !== null) return JSON.stringify(value);
  return typeof value === "function" ? value.name : `${value as string | number | bigint | boolean | null | undefined}`;
}

const conditional = (define: typeof itNow) => ({
  skip,
  skipIf: (condition: unknown) => (condition ? skip : define),
  runIf: (condition: unknown) => (condition ? define : skip),
});

export const describe = Object.assign(describeNow, { each: eachOf(describeNow) });
export const it = Object.assign(itNow, { each: eachOf(itNow), ...conditional(itNow) });
export const test = it;

export const beforeAll = (hook: Body): void => void current.beforeAll.push(hook);
export const afterAll = (hook: Body): void => void current.afterAll.push(hook);
export const beforeEach = (hook: Body): void => void current.beforeEach.push(hook);
export const afterEach = (hook: Body): void => void current.afterEach.push(hook);

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin);

/** What the plugins have added. */
interface Extensible {
  readonly extend: (expect: object, matchers: object) => void;
}

const assertion = (value: unknown, message?: string): unknown => {
  const state = getState(assertion as never);
  setState({ assertionCalls: state.assertionCalls + 1 }, assertion as never);
  return chai.expect(value, message);
};
const asymmetric = (globalThis as unknown as Readonly<Record<symbol, object>>)[ASYMMETRIC_MATCHERS_OBJECT];
export const expect: object = Object.assign(assertion, chai.expect, asymmetric, {
  getState: () => getState(assertion as never),
});
setState({ assertionCalls: 0, isExpectingAssertions: false, isExpectingAssertionsError: null }, assertion as never);
Object.defineProperty(globalThis, GLOBAL_EXPECT, { value: assertion, configurable: true });
(chai.expect as unknown as Extensible).extend(assertion, customMatchers);

/** For @fast-check/vitest, which asks for the hooks of the test that runs: property tests here have none. */
export const TestRunner = {
  getCurrentTest: (): object => ({ suite: { filepath: "" }, context: {} }),
  getSuiteHooks: (): object => ({ beforeEach: [], afterEach: [] }),
  /** Only for tests that take their values one by one (`g`), which ours do not. */
  createTaskCollector: (): object => Object.assign(() => undefined, { each: () => undefined }),
};

// ---- running ---------------------------------------------------------------------------------------------------

/** Loads one file and runs what it defines. */
export async function runFile(name: string, load: () => Promise<unknown>): Promise<FileResult> {
  const root = newSuite("", undefined);
  current = root;
  const assertionResults: Assertion[] = [];
  let message = "";
  try {
    await load();
    if (root.children.length === 0) throw new Error("the file defines no test");
    await runSuite(root, "", assertionResults);
  } catch (error) {
    message = textOf(error);
  }
  const failed = message !== "" || assertionResults.some(({ status }) => status === "failed");
  return { name, status: failed ? "failed" : "passed", message, assertionResults };
}

async function runSuite(suite: Suite, prefix: string, results: Assertion[]): Promise<void> {
  const name = `${prefix} ${suite.name}`.trim();
  for (const hook of suite.beforeAll) await hook();
  for (const child of suite.children) {
    if ("children" in child) await runSuite(child, name, results);
    else results.push(await runTest(suite, `${name} ${child.name}`.trim(), child.body));
  }
  for (const hook of suite.afterAll) await hook();
}

async function runTest(suite: Suite, fullName: string, body: Body | undefined): Promise<Assertion> {
  if (body === undefined) return { fullName, status: "skipped", failureMessages: [] };
  const chain = chainOf(suite);
  try {
    for (const { beforeEach: hooks } of chain) for (const hook of hooks) await hook();
    try {
      await body({});
    } finally {
      for (const { afterEach: hooks } of chain.toReversed()) for (const hook of hooks) await hook();
    }
    return { fullName, status: "passed", failureMessages: [] };
  } catch (error) {
    return { fullName, status: "failed", failureMessages: [textOf(error)] };
  }
}

function chainOf(suite: Suite): readonly Suite[] {
  const chain: Suite[] = [];
  for (let at: Suite | undefined = suite; at !== undefined; at = at.parent) chain.unshift(at);
  return chain;
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
