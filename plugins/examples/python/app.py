"""Puts a tag in front of the subject, by the sender: mail from `*@billing.example` becomes `[Invoice] ...`."""

import json
import re
from email.utils import getaddresses
from fnmatch import translate

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.filter import Failure_Message, Verdict, Verdict_Pass
from wit_world.imports.mail import Message

# A rule of the settings: which senders, and their tag.
Rule = tuple[re.Pattern[str], str]

# What `configure` made of the settings; the first rule that fits counts.
rules: list[Rule] = []

# How often Python has to run a function before it has settled how to run it best.
WARM_UP = 20


def read_rule(place: str, rule: object) -> Rule:
    """Checks one rule of the settings. `place` is what the operator is told."""
    if not isinstance(rule, dict):
        raise ValueError(f"`{place}`: a table with `from` and `tag` was expected")
    for key in ("from", "tag"):
        if key not in rule:
            raise ValueError(f"`{place}`: missing key `{key}`")
        if not isinstance(rule[key], str) or not rule[key].strip():
            raise ValueError(f"`{place}.{key}`: a text was expected")
    for key in rule:
        if key not in ("from", "tag"):
            raise ValueError(f"`{place}`: unknown key `{key}`; there are `from` and `tag`")
    if not rule["tag"].isprintable():
        raise ValueError(f"`{place}.tag`: has a character that can't be shown")
    return re.compile(translate(rule["from"].lower())), rule["tag"].strip()


def read_settings(text: str) -> list[Rule]:
    settings = json.loads(text)
    for key in settings:
        if key != "rules":
            raise ValueError(f"unknown key `{key}`; there is `rules`")
    entries = settings.get("rules", [])
    if not isinstance(entries, list):
        raise ValueError("`rules`: a list was expected")
    return [read_rule(f"rules[{index}]", entry) for index, entry in enumerate(entries)]


def tag_for(senders: list[str]) -> str | None:
    """The tag of the first rule that fits one of the addresses."""
    addresses = [address.lower() for _, address in getaddresses(senders)]
    for pattern, tag in rules:
        if any(pattern.match(address) for address in addresses):
            return tag
    return None


class Filter(exports.Filter):
    """popgate looks for this class: it has the functions of the interface `filter`."""

    def configure(self, settings: str) -> None:
        global rules
        try:
            rules = read_settings(settings)
        except ValueError as fault:  # JSON that is none is a ValueError, too
            raise Err(str(fault))
        # What happens on first use happens here, and not anew for each message, which gets a copy of what is left now.
        for _ in range(WARM_UP):
            tag_for(["Nobody <nobody@invalid>"])

    def filter(self, message: Message) -> Verdict:
        tag = tag_for(message.headers("From"))
        subject = message.header("Subject") or ""
        # A reply to mail that was tagged here has the tag already.
        if tag is None or tag in subject:
            return Verdict_Pass()
        try:
            message.report("TAGGED", 0.0, None, tag)
            # U+FFFD stands for octets that are not UTF-8, and they would be lost.
            if "\ufffd" not in subject:
                message.set_header("Subject", f"{tag} {subject}".rstrip())
        except Err as refused:
            raise Err(Failure_Message(refused.value))
        return Verdict_Pass()
