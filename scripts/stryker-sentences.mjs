/** Tells Stryker to leave sentences for people alone: codes, rules and keys are behaviour, wording is not. */
import { PluginKind, declareValuePlugin } from "@stryker-mutator/api/plugin";

/**
 * The parts of a syntax node that matter here; Stryker's own type for it is Babel's.
 * @typedef {{ type: string, value?: unknown, quasis?: { value: { raw: string } }[] }} Node
 */

/** @param {Node} node */
function textOf({ type, value, quasis = [] }) {
  if (type === "StringLiteral") return String(value);
  return type === "TemplateLiteral" ? quasis.map((part) => part.value.raw).join("") : "";
}

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, "sentences", {
    shouldIgnore(path) {
      const { node } = /** @type {{ node: Node }} */ (/** @type {unknown} */ (path));
      return textOf(node).trim().split(" ").length >= 4 ? "a sentence for people" : undefined;
    },
  }),
];
