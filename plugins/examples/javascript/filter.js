// Scores mail by regular expressions over its header fields; holds it from a sum on.

// What `configure` made of the settings.
let rules = [];
let holdAt = Infinity;

// No more of a value is looked at: a pattern that backtracks must not meet a text as long as the sender likes.
const VALUE_MAX = 1000;

const RULE_KEYS = ["symbol", "header", "pattern", "flags", "points"];

function check(holds, fault) {
    if (!holds) throw fault;
}

function onlyKeys(table, keys, place) {
    for (const key of Object.keys(table)) {
        check(keys.includes(key), `${place}unknown key \`${key}\`; there are ${keys.map((key) => `\`${key}\``).join(", ")}`);
    }
}

function readRule(rule, index) {
    const place = `\`rules[${index}]\``;
    check(rule !== null && typeof rule === "object" && !Array.isArray(rule), `${place}: a table was expected`);
    onlyKeys(rule, RULE_KEYS, `${place}: `);
    const { symbol, header, pattern, flags = "", points } = rule;
    check(typeof symbol === "string" && /^\w{1,64}$/.test(symbol), `${place}: \`symbol\` has 1 to 64 letters, digits and \`_\``);
    check(typeof header === "string" && header !== "", `${place}: \`header\` is the name of a header field`);
    check(typeof pattern === "string", `${place}: \`pattern\` is a regular expression`);
    check(flags === "" || flags === "i", `${place}: \`flags\` is empty or "i"`);
    check(Number.isFinite(points), `${place}: \`points\` is a number`);
    try {
        return { symbol, header, points, pattern: new RegExp(pattern, flags + "u") };
    } catch (fault) {
        throw `${place}: \`pattern\`: ${fault.message}`;
    }
}

function configure(json) {
    const settings = JSON.parse(json);
    onlyKeys(settings, ["hold_at", "rules"], "");
    const { hold_at: limit = Infinity, rules: list = [] } = settings;
    check(typeof limit === "number", "`hold_at`: a number was expected");
    check(Array.isArray(list), "`rules`: a list was expected");
    holdAt = limit;
    rules = list.map(readRule);
}

function examine(message) {
    let sum = 0;
    for (const { symbol, header, pattern, points } of rules) {
        const hit = message.headers(header).find((value) => pattern.test(value.slice(0, VALUE_MAX)));
        if (hit === undefined) continue;
        sum += points;
        message.report(symbol, points, null, `${header}: ${hit.slice(0, 100)}`);
    }
    return sum >= holdAt ? { tag: "hold", val: `its header has ${sum} points of ${holdAt}` } : { tag: "pass" };
}

// The interface `filter`. A text that `configure` throws is the error that the operator reads.
export const filter = { configure, filter: examine };
