import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

/** Folders whose functions depend on their arguments alone. */
const pure = [
  "src/*.ts",
  "src/{ids,json,crypto,rules,event,dag,auth,stateres,versions,inspect}/**/*.ts",
  "src/engine/{cache,cause,create,decide,held,limits,settle,snapshot,state-view,upgrade,workspace}.ts",
  "src/engine/room/{outbox,types}.ts",
  "src/federation/{acl,discovery/**/*}.ts",
];

/** Folders that wait for the host's ports, and for nothing else. */
const portable = [
  "src/{ports,engine,federation}/**/*.ts",
  "src/adapters/memory/**/*.ts",
  "src/testing/simulation/**/*.ts",
];

/** What a platform has and the language has not, or what differs from one moment to the next. */
const platform = [
  "Date",
  "performance",
  "setTimeout",
  "setInterval",
  "queueMicrotask",
  "fetch",
  "crypto",
  "process",
  "Buffer",
  "TextEncoder",
  "TextDecoder",
  "Intl",
];

/**
 * @param {string} object
 * @param {string} property
 * @param {string} message
 */
const member = (object, property, message) => ({ object, property, message });

const ambient = "A pure folder takes time and randomness as arguments.";
const locale = "Locale tables differ between machines; compare code points.";

export default defineConfig(
  globalIgnores([
    ".cache/",
    "dist/",
    "coverage/",
    "reports/",
    "docs/",
    "site/",
    "fixtures/",
    ".stryker-tmp/",
    ".dependency-cruiser.cjs",
  ]),
  {
    linterOptions: { reportUnusedDisableDirectives: "error", reportUnusedInlineConfigs: "error" },
  },
  js.configs.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/consistent-type-imports": ["error", { disallowTypeAnnotations: false }],
      "@typescript-eslint/consistent-type-exports": "error",
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/prefer-readonly": "error",
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true, requireDefaultForNonUnion: false },
      ],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-param-reassign": "error",
      "max-len": ["error", { code: 120, ignoreUrls: true }],
      "max-depth": ["error", 4],
      complexity: ["error", 20],
      // Numbers in messages are plain; the rule is about objects.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      // `x => void f(x)` and `() => log(x)` read well.
      "@typescript-eslint/no-confusing-void-expression": [
        "error",
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // JSON's grammar is about control characters.
      "no-control-regex": "off",
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: "only-allowed-literals" },
      ],
      // Code points are exactly what spreading a string is for.
      "@typescript-eslint/no-misused-spread": "off",
      "@typescript-eslint/unified-signatures": "off",
      // It follows the types of arbitraries without end, and crashes.
      "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
    },
  },
  {
    files: portable,
    rules: {
      "no-console": "error",
      "no-restricted-globals": ["error", ...platform.map((name) => ({ name, message: "The host injects it." }))],
      "no-restricted-properties": ["error", member("Math", "random", "The host injects it.")],
    },
  },
  {
    files: pure,
    rules: {
      "no-console": "error",
      "no-restricted-globals": ["error", ...[...platform, "Promise"].map((name) => ({ name, message: ambient }))],
      "no-restricted-properties": [
        "error",
        member("Date", "now", ambient),
        member("Math", "random", ambient),
        ...[
          "localeCompare",
          "toLocaleString",
          "toLocaleLowerCase",
          "toLocaleUpperCase",
          "toLocaleDateString",
          "toLocaleTimeString",
        ].map((property) => ({ property, message: locale })),
      ],
      "no-restricted-syntax": [
        "error",
        { selector: ":function[async=true]", message: "The core is synchronous." },
        { selector: "AwaitExpression", message: "The core is synchronous." },
        { selector: "ForOfStatement[await=true]", message: "The core is synchronous." },
        { selector: "ForInStatement", message: "`for in` walks prototypes and reorders integer-like keys." },
      ],
    },
  },
  {
    // Dense arrays indexed by integers that the module itself handed out: a guard would be dead code in a hot loop.
    files: ["src/{dag,stateres}/**/*.ts"],
    rules: { "@typescript-eslint/no-non-null-assertion": "off" },
  },
  {
    files: ["test/**/*.ts", "bench/**/*.ts"],
    rules: {
      // A test may say that something is there: it fails loudly if not.
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-unnecessary-type-parameters": "off",
      complexity: "off",
    },
  },
  {
    files: ["**/*.{js,mjs,cjs}"],
    languageOptions: { globals: { console: "readonly", process: "readonly", URL: "readonly", module: "writable" } },
  },
);
