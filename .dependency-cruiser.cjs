/**
 * The layers, bottom first. A module imports from its own layer and from those before it, nothing else.
 * `inspect` and `engine` are neighbours that do not know each other.
 */
const layers = ["errors", "ids", "json", "crypto", "rules", "event", "dag", "auth", "stateres", "versions"];
const pathOf = (layer) => (layer === "errors" ? "^src/errors\\.ts$" : `^src/${layer}/`);

const layering = layers.map((layer, rank) => ({
  name: `layer-${layer}`,
  comment: `${layer} may import only ${[...layers.slice(0, rank), "itself"].join(", ")}.`,
  severity: "error",
  from: { path: pathOf(layer) },
  to: { path: "^src/", pathNot: layers.slice(0, rank + 1).map(pathOf) },
}));

const only = (name, from, to) => ({
  name,
  severity: "error",
  from: { path: "^src/", pathNot: from },
  to: { path: to },
});

/** What of federation has no engine in it: how servers are found and left alone, requests signed, errors and endpoints written. */
const httpKnows = "^src/federation/(?:discovery/|keys/held\\.ts$|(?:request-auth|endpoints|errors|back-off)\\.ts$)";

module.exports = {
  forbidden: [
    ...layering,
    {
      name: "layer-inspect",
      comment: "inspect explains what the layers before it did, and speaks to people by the facade.",
      severity: "error",
      from: { path: "^src/inspect/" },
      to: { path: "^src/", pathNot: [...[...layers, "inspect"].map(pathOf), "^src/facade\\.ts$"] },
    },
    {
      name: "layer-engine",
      comment: "engine and federation stand on the core and on ports; only the host knows adapters.",
      severity: "error",
      from: { path: "^src/(?:ports|engine|federation)/" },
      to: { path: "^src/(?:inspect|adapters)/" },
    },
    {
      name: "facade-knows-no-edge",
      comment: "The root entry gathers the core.",
      severity: "error",
      from: { path: "^src/[^/]+\\.ts$" },
      to: { path: "^src/adapters/" },
    },
    {
      name: "page",
      comment: "The page looks at rooms: by inspect and the core, and signatures by the platform.",
      severity: "error",
      from: { path: "^src/page/" },
      to: { path: "^src/(?:engine|federation|testing|cli|facade|adapters/(?!webcrypto/))" },
    },
    {
      name: "only-draw-imports-page",
      comment: "The library knows no page; `roomdag draw` takes its layout and its frame.",
      severity: "error",
      from: { path: "^src/", pathNot: ["^src/page/", "^src/cli/draw/"] },
      to: { path: "^src/page/" },
    },
    {
      name: "nothing-imports-testing-or-cli",
      severity: "error",
      from: { path: "^src/", pathNot: ["^src/(?:testing|cli)/"] },
      to: { path: "^src/(?:testing|cli)/" },
    },
    {
      name: "testing-does-not-import-cli",
      severity: "error",
      from: { path: "^src/testing/" },
      to: { path: "^src/cli/" },
    },
    {
      name: "no-node-builtins-in-core",
      severity: "error",
      from: { path: "^src/", pathNot: ["^src/(?:cli|adapters)/"] },
      to: { dependencyTypes: ["core"] },
    },
    only("immer-only-in-control", ["^src/engine/control\\.ts$"], "(?:^|/)immer(?:/|$)"),
    {
      name: "layer-ports",
      comment: "ports are types over the core.",
      severity: "error",
      from: { path: "^src/ports/" },
      to: { path: "^src/", pathNot: [...layers.map(pathOf), "^src/ports/"] },
    },
    {
      name: "layer-adapters",
      comment: "adapters implement ports; they know no engine.",
      severity: "error",
      from: { path: "^src/adapters/" },
      to: { path: "^src/(?:engine|federation|inspect|cli|testing)/", pathNot: httpKnows },
    },
    {
      name: "adapter-http",
      comment:
        "HTTP is written by the tables of federation and signed by its rules; other adapters know nothing of it.",
      severity: "error",
      from: { path: "^src/adapters/", pathNot: "^src/adapters/(?:node-)?http/" },
      to: { path: "^src/federation/" },
    },
    {
      name: "engine-below-federation",
      severity: "error",
      from: { path: "^src/engine/" },
      to: { path: "^src/federation/" },
    },
    only("stringify-only-in-canonical", ["^src/json/canonical\\.ts$"], "fast-json-stable-stringify"),
    only("noble-only-in-crypto", ["^src/crypto/"], "@noble/"),
    only("fast-check-only-in-testing", ["^src/testing/"], "(?:^|/)(?:fast-check|@fast-check)(?:/|$)"),
    {
      name: "only-declared-dependencies",
      severity: "error",
      // The page is bundled with all that it uses.
      from: { path: "^src/", pathNot: ["^src/(?:testing|page)/"] },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown", "npm-optional"] },
    },
    { name: "no-unresolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "no-orphans",
      comment: "A module that nothing imports and that imports nothing is forgotten code.",
      severity: "error",
      from: { orphan: true, pathNot: ["^src/index\\.ts$", "^src/[^/]+/index\\.ts$", "\\.d\\.ts$"] },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "types", "default"] },
  },
};
