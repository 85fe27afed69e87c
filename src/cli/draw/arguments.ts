/** The command line of `roomdag draw`. */
import { parseArgs } from "node:util";
import { Failure } from "../failure.js";
import { storeArguments } from "../store.js";
import type { StoreArguments } from "../store.js";

/** What a room is drawn as. */
export type DrawForm = "html" | "svg" | "dot" | "mermaid" | "png";

export interface DrawArguments {
  readonly paths: readonly string[];
  /** Instead of paths. */
  readonly store: StoreArguments | undefined;
  readonly form: DrawForm;
  /** `-` is standard output. */
  readonly output: string;
  readonly roomVersion: string | undefined;
  readonly roomId: string | undefined;
  readonly dark: boolean;
  readonly fold: boolean;
}

const flags = {
  output: { type: "string", short: "o" },
  svg: { type: "boolean" },
  dot: { type: "boolean" },
  mermaid: { type: "boolean" },
  png: { type: "boolean" },
  dark: { type: "boolean" },
  "no-fold": { type: "boolean" },
  "room-version": { type: "string" },
  room: { type: "string" },
  store: { type: "string" },
  database: { type: "string" },
} as const;

const forms = ["svg", "dot", "mermaid", "png"] as const;

/** @throws Failure with a sentence when the arguments make no sense. */
export function drawArguments(args: readonly string[]): DrawArguments {
  const { values, positionals } = parse(args);
  const chosen = forms.filter((form) => values[form] === true);
  const [form = "html", other] = chosen;
  if (other !== undefined) throw new Failure(`draw makes one thing at a time: --${form} or --${other}`);
  const { store, database, room } = values;
  const stored = storeArguments({ store, database, room }, positionals);
  if (stored === undefined && positionals.length === 0) {
    throw new Failure("draw takes at least one file (- is standard input), or --store DIR");
  }
  if (stored !== undefined && values["room-version"] !== undefined) {
    throw new Failure("--store takes no --room-version: the store knows");
  }
  if (positionals.length > 1 && form !== "html") throw new Failure(`--${form} draws one file`);
  const usual = { html: "room.html", png: "room.png", svg: "-", dot: "-", mermaid: "-" } as const;
  return {
    paths: positionals,
    store: stored,
    form,
    output: values.output ?? usual[form],
    roomVersion: values["room-version"],
    roomId: room,
    dark: values.dark === true,
    fold: values["no-fold"] !== true,
  };
}

const parseFlags = (args: readonly string[]) =>
  parseArgs({ args: [...args], options: flags, allowPositionals: true, strict: true });

function parse(args: readonly string[]): ReturnType<typeof parseFlags> {
  try {
    return parseFlags(args);
  } catch (error) {
    throw new Failure(error instanceof Error ? error.message : String(error));
  }
}
