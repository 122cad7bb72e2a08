// Counts whom a mail is addressed to. Mail to a crowd gets a field with the number; mail to a larger one is held.

import { exit, print, read, write } from "./wasi";
import { settings } from "./settings";

const HOLD = 10;

const SPACE: u8 = 32, TAB: u8 = 9, LF: u8 = 10, CR: u8 = 13;
const COMMA: u8 = 44, COLON: u8 = 58, SEMICOLON: u8 = 59, QUOTE: u8 = 34, BACKSLASH: u8 = 92, OPEN: u8 = 40, CLOSE: u8 = 41;

// The octets that were read so far, and how many they are.
let buffer = new Uint8Array(65536);
let length: i32 = 0;

// Reads on; false at the end of the message.
function more(): bool {
  if (length == buffer.length) {
    const larger = new Uint8Array(2 * length);
    larger.set(buffer);
    buffer = larger;
  }
  const count = read(buffer, length);
  length += count;
  return count > 0;
}

// The end of the line that begins at `start`, its line end included; -1 at the end of the message.
function lineEnd(start: i32): i32 {
  let at = start;
  while (at < length || more()) if (buffer[at++] == LF) return at;
  return at == start ? -1 : at;
}

function isEmpty(start: i32, end: i32): bool {
  for (let at = start; at < end; at++) if (buffer[at] != CR && buffer[at] != LF) return false;
  return true;
}

// Whether the field that begins at `start` has this name, in letters of either case.
function isNamed(start: i32, end: i32, name: string): bool {
  if (start + name.length >= end) return false;
  for (let index = 0; index < name.length; index++) {
    if ((buffer[start + index] | 0x20) != (name.charCodeAt(index) | 0x20)) return false;
  }
  return buffer[start + name.length] == COLON;
}

// Counts the addresses of a list (RFC 5322, section 3.4): what stands between commas outside of quotes and comments.
function addresses(start: i32, end: i32): i32 {
  let count = 0, comments = 0;
  let quoted = false, inside = false;
  for (let at = start; at < end; at++) {
    const octet = buffer[at];
    if (octet == BACKSLASH) at++;
    else if (octet == QUOTE && comments == 0) quoted = !quoted;
    else if (!quoted && octet == OPEN) comments++;
    else if (!quoted && octet == CLOSE) comments = max(comments - 1, 0);
    else if (!quoted && comments == 0) {
      // A group, as in `Team: a@x, b@x;`, is its members.
      if (octet == COMMA || octet == SEMICOLON || octet == COLON) {
        if (inside && octet != COLON) count++;
        inside = false;
      } else if (octet != SPACE && octet != TAB && octet != CR && octet != LF) inside = true;
    }
  }
  return inside ? count + 1 : count;
}

function main(): void {
  const limits = settings();
  let recipients = 0, start = 0, fieldStart = 0;
  let complete = false, counts = false, forged = false;
  // Where fields of our own name stand, which the sender must have written: start and end of each.
  const skipped: i32[] = [];
  while (!complete) {
    const end = lineEnd(start);
    if (end < 0) break;
    const continued = buffer[start] == SPACE || buffer[start] == TAB;
    complete = isEmpty(start, end);
    if (!continued) {
      if (counts) recipients += addresses(fieldStart, start);
      counts = !complete && (isNamed(start, end, "To") || isNamed(start, end, "Cc"));
      forged = !complete && isNamed(start, end, "X-Recipients");
      fieldStart = counts ? start + 3 : start;
    }
    if (forged) skipped.push(start), skipped.push(end);
    start = end;
  }
  if (counts) recipients += addresses(fieldStart, start);
  if (recipients >= limits.holdFrom) exit(HOLD, "it went to " + recipients.toString() + " recipients");
  // Nothing written: the message stays as it is, and its body is not even read.
  if (recipients < limits.markFrom) return;
  print(1, "X-Recipients: " + recipients.toString() + "\r\n");
  let copied = 0;
  for (let index = 0; index < skipped.length; index += 2) {
    write(1, buffer.dataStart + copied, skipped[index] - copied);
    copied = skipped[index + 1];
  }
  write(1, buffer.dataStart + copied, length - copied);
  // Some mail ends in its header; what a filter writes has a whole one.
  if (!complete) print(1, "\r\n");
  for (let count = read(buffer, 0); count > 0; count = read(buffer, 0)) write(1, buffer.dataStart, count);
}

main();
