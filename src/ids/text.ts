/** Lengths of text in the units that the protocol's limits count. `.length` counts UTF-16 units and fits none. */

const SURROGATE = /[\ud800-\udfff]/;

/**
 * How many bytes `text` has in UTF-8. A lone surrogate, which UTF-8 cannot hold, counts as three, so
 * a limit is never passed by broken text.
 */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (isPairAt(text, i)) {
      // Two units, four bytes.
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}

/** How many code points `text` has; a lone surrogate counts as one. */
export function codePointLength(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length; i++) {
    if (isPairAt(text, i)) {
      count--;
      i++;
    }
  }
  return count;
}

/** The index of the first surrogate without its other half, or -1. */
export function loneSurrogateAt(text: string): number {
  if (!SURROGATE.test(text)) return -1;
  for (let i = 0; i < text.length; i++) {
    if (isPairAt(text, i)) i++;
    else if (isSurrogate(text.charCodeAt(i))) return i;
  }
  return -1;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}

function isPairAt(text: string, index: number): boolean {
  const high = text.charCodeAt(index);
  if (high < 0xd800 || high > 0xdbff) return false;
  const low = text.charCodeAt(index + 1);
  return low >= 0xdc00 && low <= 0xdfff;
}
