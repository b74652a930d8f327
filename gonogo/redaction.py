"""Secrets in texts and bodies: found by their form, and replaced by ``[redacted:<kind>]``.

Pure: the same text always gives the same text, so a request that holds a secret still leads to its recording. Every
pattern takes time in proportion to the text: what repeats without an end gives nothing back (``++``), and what may be
tried again is bounded.
"""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

from gonogo.errors import DefinitionError
from gonogo.model import Json, Request

__all__ = ["MARKER", "SHORTEST_VALUE", "Redaction", "Span", "cut", "is_secret", "joined", "kinds_in"]

MARKER = re.compile(r"\[redacted:([\w-]{1,80})\]")
SHORTEST_VALUE = 6  # characters of an exact value, so that it is no word that stands everywhere
_ROUNDS = 4  # a replacement may show another secret beside it; more often than this it never does
_DEPTH = 4  # JSON within a text within JSON ...

# The names under which secrets stand in JSON, in settings and in headers; whatever stands before them.
_NAME = (
    r"(?:api[_-]?key|access[_-]?key(?:[_-]?id)?|account[_-]?key|private[_-]?key|secret[_-]?key|secret[_-]?access[_-]?key"
    r"|secret|password|passwd|passphrase|authorization|set-cookie|cookie|credentials?|connection[_-]?string"
    r"|(?:access|refresh|auth|id|session|bearer|api|bot|security)[_-]?token)"
)
_SENSITIVE = re.compile(rf"[\w.-]{{0,80}}?{_NAME}", re.IGNORECASE)
_BEFORE_LITERAL = re.compile(rf'{_NAME}\\{{0,8}}"\s{{0,8}}:\s{{0,8}}\Z', re.IGNORECASE)
# "token" alone is also what a model's log of probabilities calls a piece of a word
_LIKE_A_TOKEN = re.compile(r"(?=\D{0,200}\d)(?=[^A-Za-z]{0,200}[A-Za-z])\S{16,}+")
_LITERAL = re.compile(
    r'"((?:[^"\\]|\\(?:.|\Z))*+)(?:"|\Z)', re.DOTALL
)  # always matches, so that no place is read twice

_PEM = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_DIGIT_SOON = r"(?=[A-Za-z_-]{0,200}[0-9])"  # keeps hyphenated words apart from keys

# Kind, texts of which one must be there (in lower case), and the pattern; a group ``secret`` is what is replaced.
# What is known by its form stands before what is known by its surroundings, and gives its name where both are found.
_KNOWN: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "private-key",
        ("private key",),
        rf"{_PEM}(?:[^-]|-(?!----))*+-----END [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----",
    ),
    ("private-key", ("private key",), rf"{_PEM}(?:(?:\s|\\[nr])*+[A-Za-z0-9+/=]{{20,}}+)++"),
    ("age-key", ("age-secret-key-",), r"AGE-SECRET-KEY-1[0-9A-Z]{50,}+"),
    ("anthropic-key", ("sk-ant-",), r"(?<![A-Za-z0-9])sk-ant-[A-Za-z0-9_-]{16,}+"),
    ("openrouter-key", ("sk-or-",), r"(?<![A-Za-z0-9])sk-or-[A-Za-z0-9_-]{20,}+"),
    ("openai-key", ("sk-",), rf"(?<![A-Za-z0-9])sk-{_DIGIT_SOON}[A-Za-z0-9_-]{{20,}}+"),
    ("huggingface-token", ("hf_",), r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{30,}+"),
    ("github-token", ("gh",), r"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{36,}+"),
    ("github-token", ("github_pat_",), r"(?<![A-Za-z0-9])github_pat_[A-Za-z0-9_]{22,}+"),
    (
        "gitlab-token",
        ("gl",),
        r"(?<![A-Za-z0-9])gl(?:pat|ptt|dt|rt|rtr|cbt|soat|ft|imt|agent|oas|ffct)-[A-Za-z0-9_.-]{20,}+",
    ),
    ("slack-token", ("xox", "xapp-"), r"(?<![A-Za-z0-9])(?:xox[abceoprs]|xapp)-[A-Za-z0-9-]{10,}+"),
    (
        "slack-webhook",
        ("hooks.slack.com",),
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[\w/-]{16,}+)",
    ),
    ("stripe-key", ("_live_", "_test_"), r"(?<![A-Za-z0-9])[srp]k_(?:live|test)_[A-Za-z0-9]{16,}+"),
    ("webhook-secret", ("whsec_",), r"(?<![A-Za-z0-9])whsec_[A-Za-z0-9+/=]{16,}+"),
    ("google-key", ("aiza",), r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}"),
    ("google-token", ("ya29.", "gocspx-"), r"(?<![A-Za-z0-9])(?:ya29\.|GOCSPX-)[A-Za-z0-9_.-]{20,}+"),
    ("aws-key", ("akia", "asia", "abia", "acca"), r"(?<![A-Za-z0-9])A(?:KI|SI|BI|CC)A[A-Z0-9]{16}(?![A-Za-z0-9])"),
    (
        "aws-secret",
        ("aws",),
        r"(?i:aws[\w .-]{0,20}?(?:secret|private)[\w .-]{0,20}?)[\"']?\s{0,4}[=:]\s{0,4}[\"']?"
        r"(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])",
    ),
    (
        "azure-key",
        ("accountkey", "sharedaccess"),
        r"(?i:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/]{30,}+={0,2})",
    ),
    ("groq-key", ("gsk_",), r"(?<![A-Za-z0-9])gsk_[A-Za-z0-9]{40,}+"),
    ("xai-key", ("xai-",), r"(?<![A-Za-z0-9])xai-[A-Za-z0-9]{40,}+"),
    ("perplexity-key", ("pplx-",), r"(?<![A-Za-z0-9])pplx-[A-Za-z0-9]{32,}+"),
    ("replicate-token", ("r8_",), r"(?<![A-Za-z0-9])r8_[A-Za-z0-9]{30,}+"),
    ("langsmith-key", ("lsv2_",), r"(?<![A-Za-z0-9])lsv2_(?:pt|sk)_[A-Za-z0-9_]{30,}+"),
    ("npm-token", ("npm_",), r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36,}+"),
    ("pypi-token", ("pypi-",), r"(?<![A-Za-z0-9])pypi-[A-Za-z0-9_-]{50,}+"),
    ("sendgrid-key", ("sg.",), r"(?<![A-Za-z0-9])SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,}+"),
    ("twilio-key", ("sk",), r"(?<![A-Za-z0-9])SK[0-9a-f]{32}(?![A-Za-z0-9])"),
    ("telegram-token", (":aa",), r"(?<![0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])"),
    ("digitalocean-token", ("_v1_",), r"(?<![A-Za-z0-9])do[opr]_v1_[a-f0-9]{64}"),
    ("databricks-token", ("dapi",), r"(?<![A-Za-z0-9])dapi[a-f0-9]{32}"),
    ("vault-token", ("hv",), r"(?<![A-Za-z0-9])hv[sbr]\.[A-Za-z0-9_-]{20,}+"),
    ("jwt", ("eyj",), r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{6,4000}+\.[A-Za-z0-9_-]{6,}+(?:\.[A-Za-z0-9_-]*+){1,3}"),
    (
        "authorization",
        ("authorization",),
        r"(?i)authorization\\{0,4}[\"']?\s{0,8}[:=]\s{0,8}\\{0,4}[\"']?"
        r"(?:(?:bearer|basic|token|digest|negotiate|apikey)\s{1,8})?(?P<secret>[^\s\"',;\\]{6,}+)",
    ),
    (
        "authorization",
        ("bearer",),
        r"(?i)\bbearer\s{1,8}(?=[a-z._~+/=-]{0,200}[0-9])(?P<secret>[A-Za-z0-9._~+/=-]{12,}+)",
    ),
    ("authorization", ("basic",), r"(?i)\bbasic\s{1,8}(?=[a-z+/]{0,200}[0-9=])(?P<secret>[A-Za-z0-9+/]{8,}+={0,2})"),
    (
        "cookie",
        ("cookie",),
        r"(?i)\bcookie\\{0,4}[\"']?\s{0,8}:\s{0,8}\\{0,4}[\"']?(?P<secret>[\w!#$%&*+.^`|~-]{1,128}=[^\r\n\"'\\]++)",
    ),
    ("url-password", ("://",), r"(?i)[a-z0-9]://[^\s/?#:@\"'<>\\]{0,256}:(?P<secret>[^\s/?#@\"'<>\\]{1,1024})@"),
    ("url-user", ("://",), r"://(?=[A-Za-z_-]{0,200}[0-9])(?P<secret>[^\s/?#:@\"'<>\\]{16,1024})@"),
    (
        "url-parameter",
        ("=",),
        r"(?i)[?&;](?:[\w.-]{0,40}?(?:api[_-]?key|token|secret|password|passwd|pwd|signature|credential)|key|auth|sig|code)="
        r"(?P<secret>[^\s&#\"'<>\\\[]{4,}+)",
    ),
    ("field", ('"', "'"), rf"(?i){_NAME}\\{{0,8}}[\"']\s{{0,8}}:\s{{0,8}}\\{{0,8}}[\"'](?P<secret>[^\"'\\\r\n]++)"),
    (
        "field",
        ("token",),
        r"(?i)token\\{0,8}[\"']\s{0,8}:\s{0,8}\\{0,8}[\"'](?=[a-z_.-]{0,200}[0-9])(?P<secret>[^\s\"'\\]{16,}+)",
    ),
    ("setting", ("=",), rf"(?i){_NAME}\s{{0,3}}=\s{{0,3}}\\{{0,4}}[\"'](?P<secret>[^\"'\\\r\n]{{4,}}+)"),
    ("setting", ("=",), rf"(?i){_NAME}\s{{0,3}}=\s{{0,3}}(?P<secret>(?![\[(${{<%])[^\s\"'`,;&<>\\]{{4,}}+)"),
    ("setting", ("token",), r"(?i)token\s{0,3}=\s{0,3}(?=[a-z_.-]{0,200}[0-9])(?P<secret>[^\s\"'`,;&<>\\\[]{16,}+)"),
    (
        "setting",
        (":",),
        rf"(?i){_NAME}\s{{0,2}}:\s{{1,8}}(?=[^\s0-9]{{0,200}}[0-9])(?P<secret>[^\s\"'`,;<>\\\[]{{6,}}+)",
    ),
)


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a text, and what is to stand there instead."""

    start: int
    end: int
    instead: str


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]

    def spans(self, text: str) -> Iterator[Span]:
        """Every place where a secret of this kind stands."""
        group = "secret" if "secret" in self.pattern.groupindex else 0
        for match in self.pattern.finditer(text):
            start, end = match.span(group)
            if end > start:
                yield Span(start, end, _marker(self.kind))


def _marker(kind: str) -> str:
    return f"[redacted:{kind}]"


@dataclass(frozen=True)
class Redaction:
    """What counts as a secret: what this module knows, patterns of one's own, and exact values.

    Attributes:
        patterns: regular expressions; a group named ``secret`` is what is replaced, else the whole match.
        values: name -> the secret itself; found as it stands, in a URL and in base64.

    Raises:
        DefinitionError: a pattern is no regular expression, or matches where nothing stands.
    """

    patterns: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse patterns that cannot be used."""
        for pattern in self.patterns:
            try:
                empty = re.compile(pattern).search("") is not None
            except re.error as error:
                raise DefinitionError(
                    f"the pattern {pattern!r} is no regular expression ({error}); write one such as INT-[0-9]{{6}}"
                ) from error
            if empty:
                raise DefinitionError(
                    f"the pattern {pattern!r} matches where nothing stands; write one that needs a text"
                )

    @cached_property
    def _rules(self) -> tuple[_Rule, ...]:
        exact = [
            _Rule(name, (), re.compile("|".join(re.escape(form) for form in _forms(value))))
            for name, value in self.values.items()
        ]
        known = [_Rule(kind, hints, re.compile(pattern)) for kind, hints, pattern in _KNOWN]
        return (*exact, *known, *(_Rule("custom", (), re.compile(pattern)) for pattern in self.patterns))

    def spans(self, text: str, depth: int = 0) -> list[Span]:
        """The places of all secrets, in order, none over another. What is redacted already is left alone."""
        lowered = text.lower()
        found = [
            span
            for rule in self._rules
            if not rule.hints or any(hint in lowered for hint in rule.hints)
            for span in rule.spans(text)
        ]
        if depth < _DEPTH and "\\" in text and '"' in text:
            found += self._in_literals(text, depth)
        marked = [match.span() for match in MARKER.finditer(text)] if found else []
        return joined(one for one in found if not _lies_in(one, marked))

    def _in_literals(self, text: str, depth: int) -> Iterator[Span]:
        """Secrets in JSON that stands in a text: its escapes may hide them."""
        for match in _LITERAL.finditer(text):
            start, end = match.span(1)
            if "\\" not in match[1]:
                continue
            try:
                decoded = json.loads(f'"{match[1]}"', strict=False)
            except ValueError:
                continue
            if _BEFORE_LITERAL.search(text, max(0, start - 81), start - 1):
                yield Span(start, end, _marker("field"))
            elif (redacted := self.text(decoded, depth + 1)) != decoded:
                yield Span(start, end, json.dumps(redacted, ensure_ascii=False)[1:-1])

    def text(self, text: str, depth: int = 0) -> str:
        """The text without secrets."""
        for _ in range(_ROUNDS):
            spans = self.spans(text, depth)
            if not spans:
                break
            text = cut(text, spans)
        return text

    def value(self, value: Json, name: str = "") -> Json:
        """A value of JSON without secrets; the very same object where it holds none. ``name`` is the key that it stands under."""
        match value:
            case str():
                return self._named(value, name)
            case list():
                items = [self.value(one, name) for one in value]
                return value if _same(items, value) else items
            case dict():
                return self._mapping(value)
            case int() | float() if is_secret(name, value):
                return _marker("field")
            case _:
                return value

    def _named(self, text: str, name: str) -> str:
        redacted = self.text(text)
        return _marker("field") if is_secret(name, text) and not MARKER.fullmatch(redacted) else redacted

    def named_spans(self, text: str, name: str) -> list[Span]:
        """As ``spans``, of a text that stands under a key of JSON."""
        found = self.spans(text)
        whole = (
            is_secret(name, text) and not MARKER.fullmatch(text) and not (found and MARKER.fullmatch(cut(text, found)))
        )
        return [Span(0, len(text), _marker("field"))] if whole else found

    def _mapping(self, value: dict[str, Json]) -> dict[str, Json]:
        made: dict[str, Json] = {}
        for key, one in value.items():
            free, number = shown, _ = self.text(key), 1
            while free in made:  # two keys that were told apart by their secrets only
                number += 1
                free = f"{shown} {number}"
            made[free] = self.value(one, key)
        return value if _same(made.values(), value.values()) and list(made) == list(value) else made

    def request(self, request: Request) -> Request:
        """The request as it is recorded; the very same object where it holds no secret."""
        body = dict(request.body)
        redacted = self.value(body)
        return request if redacted is body else Request(request.provider, request.operation, _as_mapping(redacted))


def is_secret(name: str, value: Json) -> bool:
    """Whether what stands under this key of JSON is a secret whatever it looks like."""
    if isinstance(value, str):
        return bool(
            value and (_SENSITIVE.fullmatch(name) or (name.lower() == "token" and _LIKE_A_TOKEN.fullmatch(value)))
        )
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(_SENSITIVE.fullmatch(name))


def _as_mapping(value: Json) -> dict[str, Json]:
    assert isinstance(value, dict)
    return value


def _same(some: Iterable[Any], others: Iterable[Any]) -> bool:
    return all(one is other for one, other in zip(some, others, strict=True))


def _forms(value: str) -> list[str]:
    """A secret as it stands, in a URL, and in base64; the longest first."""
    encoded = base64.b64encode(value.encode("utf-8", "surrogateescape")).decode("ascii").rstrip("=")
    return sorted({value, quote(value, safe=""), encoded}, key=len, reverse=True)


def _lies_in(span: Span, places: Sequence[tuple[int, int]]) -> bool:
    """Whether a span lies within one of these places, which are in order."""
    number = bisect_right(places, span.start, key=lambda place: place[0]) - 1
    return number >= 0 and span.end <= places[number][1]


def joined(spans: Iterable[Span]) -> list[Span]:
    """Spans in order; those that overlap are one, under the name of the first or of the one that holds the other."""
    kept: list[Span] = []
    for one in sorted(spans, key=lambda span: (span.start, -span.end)):
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
        elif one.end > kept[-1].end:
            instead = kept[-1].instead if MARKER.fullmatch(kept[-1].instead) else one.instead
            kept[-1] = Span(kept[-1].start, one.end, instead)
    return kept


def cut(text: str, spans: Sequence[Span]) -> str:
    """The text with its spans replaced."""
    parts, end = [], 0
    for span in spans:
        parts += [text[end : span.start], span.instead]
        end = span.end
    return "".join([*parts, text[end:]])


def kinds_in(text: str) -> set[str]:
    """The kinds of what is redacted in a text."""
    return set(MARKER.findall(text))
