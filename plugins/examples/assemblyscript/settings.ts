// The settings: a flat table of whole numbers, which is all the JSON that this filter needs.

import { exit, variable } from "./wasi";

// Tries again later: the mail is not to blame for settings that are wrong.
const LATER = 75;

export class Settings {
  markFrom: i32 = 20;
  holdFrom: i32 = i32.MAX_VALUE;
}

function number(key: string, value: string): i32 {
  if (value.length == 0 || value.length > 6) exit(LATER, "`" + key + "`: a number from 1 to 999999 was expected");
  for (let index = 0; index < value.length; index++) {
    const digit = value.charCodeAt(index) - 48;
    if (digit < 0 || digit > 9) exit(LATER, "`" + key + "`: a number from 1 to 999999 was expected");
  }
  return I32.parseInt(value);
}

export function settings(): Settings {
  const settings = new Settings();
  const json = variable("POPGATE_SETTINGS").trim();
  if (json == "" || json == "{}") return settings;
  if (!json.startsWith("{") || !json.endsWith("}")) exit(LATER, "the settings are no table");
  const members = json.slice(1, -1).split(",");
  for (let index = 0; index < members.length; index++) {
    const colon = members[index].indexOf(":");
    const key = members[index].slice(0, max(colon, 0)).trim();
    const value = members[index].slice(colon + 1).trim();
    if (key == '"mark_from"') settings.markFrom = number("mark_from", value);
    else if (key == '"hold_from"') settings.holdFrom = number("hold_from", value);
    else exit(LATER, "unknown key in the settings; there are `hold_from` and `mark_from`");
  }
  return settings;
}
