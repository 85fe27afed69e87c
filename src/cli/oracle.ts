/** `roomdag oracle`: requests on stdin, answers on stdout, a line each. */
import { answerLine } from "../inspect/oracle.js";
import { splitLines } from "./lines.js";
import type { Line } from "./lines.js";
import type { Output } from "./output.js";

/** A line is one string in memory, and engines hold strings of about half a gigabyte. */
const MAX_LINE_BYTES = 256 * 1024 * 1024;

/** Answers every line until the input ends or nobody reads the answers. */
export async function runOracle(
  input: AsyncIterable<Uint8Array>,
  output: Output,
  maxBytes: number = MAX_LINE_BYTES,
): Promise<void> {
  for await (const line of splitLines(input, maxBytes)) {
    await output.write(`${answer(line, maxBytes)}\n`);
    if (output.closed) return;
  }
}

function answer(line: Line, maxBytes: number): string {
  if ("tooLong" in line) {
    return failure("too_large", `a line has at most ${maxBytes} bytes, and this has ${line.tooLong}`);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line.bytes);
  } catch {
    return failure("bad_json", "the line is not UTF-8");
  }
  try {
    return answerLine(text);
  } catch {
    return failure("internal", "the request could not be answered");
  }
}

function failure(code: string, error: string): string {
  return JSON.stringify({ code, error, id: null });
}
