/** A line, word by word. */
import { Failure } from "../failure.js";

/** What lines without a user or a room are about. */
export interface Session {
  user: string | undefined;
  room: string | undefined;
}

export class Words {
  readonly #session: Session;
  #left: string;
  usage = "";

  constructor(line: string, session: Session) {
    this.#left = line.trim();
    this.#session = session;
  }

  /** Whom the session speaks for, if anybody. */
  get user(): string | undefined {
    return this.#session.user;
  }

  /** @throws Failure where nobody was chosen. */
  acting(): string {
    const { user } = this.#session;
    if (user === undefined) throw new Failure("who says so? `as @user:server` chooses, or --as");
    return user;
  }

  isNext(start: string): boolean {
    return this.#left.startsWith(start);
  }

  /** The next word; `undefined` at the end. */
  maybe(): string | undefined {
    const [word = ""] = this.#left.split(/\s/, 1);
    if (word === "") return undefined;
    this.#left = this.#left.slice(word.length).trimStart();
    return word;
  }

  word(what: string): string {
    const word = this.maybe();
    if (word === undefined) throw this.#misused(`${what} is missing`);
    return word;
  }

  /** A word that begins with its sigil. */
  sigil(sigil: "@" | "$", what: string): string {
    const word = this.word(what);
    if (!word.startsWith(sigil)) throw this.#misused(`${word} is no ${what}: it begins with ${sigil}`);
    return word;
  }

  /** The room that is named, or the session's. */
  room(): string {
    if (this.isNext("!")) return this.word("ROOM");
    const { room } = this.#session;
    if (room === undefined) throw this.#misused("which room? give its id, or choose one by `use ROOM`");
    return room;
  }

  roomOrAlias(): string {
    const word = this.word("ROOM");
    if (!/^[!#]/.test(word)) throw this.#misused(`${word} is no room: it begins with ! or #`);
    return word;
  }

  /** `--name value` pairs that come first. */
  options<const N extends string>(...names: readonly N[]): { readonly [K in N]: string | undefined } {
    const found: Partial<Record<N, string>> = {};
    while (this.isNext("--")) {
      const [given = "", joined] = this.word("option").slice(2).split("=", 2);
      const name = names.find((one) => one === given);
      if (name === undefined) throw this.#misused(`there is no --${given}`);
      found[name] = joined ?? this.word(`the value of --${given}`);
    }
    // Each of `names` is there now, if only as `undefined`.
    return { ...Object.fromEntries(names.map((name) => [name, undefined])), ...found };
  }

  all(): readonly string[] {
    return this.rest()
      .split(/\s+/)
      .filter((word) => word !== "");
  }

  /** Everything that is left, as it was typed. */
  rest(): string {
    const left = this.#left;
    this.#left = "";
    return left;
  }

  needRest(what: string): string {
    const rest = this.rest();
    if (rest === "") throw this.#misused(`${what} is missing`);
    return rest;
  }

  /** @throws Failure if something is left. */
  end(): void {
    if (this.#left !== "") throw this.#misused(`what is ${this.#left}?`);
  }

  #misused(what: string): Failure {
    return new Failure(this.usage === "" ? what : `${what} (${this.usage})`);
  }
}
