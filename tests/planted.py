"""Secrets of many kinds, made up, each with the text that it stands in. Put together here, so that no scanner takes them for real."""

from __future__ import annotations

import base64

_MIXED = "aB3dE5gH7jK9mN1pQ2sT4vW6xY8zA0cD"
_HEX = "0123456789abcdef" * 4
_JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890","name":"Jo"}', b"a signature of it")
)
_PEM_BODY = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"] * 3)


def _pem(kind: str) -> str:
    return f"-----BEGIN {kind}-----\n{_PEM_BODY}\n-----END {kind}-----"


def _shaped(kind: str, secret: str) -> tuple[str, str, str]:
    return kind, secret, secret


# kind, text, secret
PLANTED: list[tuple[str, str, str]] = [
    _shaped("openai-key", "sk-" + _MIXED + "T3BlbkFJ"),
    _shaped("openai-key", "sk-proj-" + _MIXED + "_x-Y9" + _MIXED),
    _shaped("anthropic-key", "sk-ant-" + "api03-" + _MIXED + "-AA"),
    _shaped("openrouter-key", "sk-or-" + "v1-" + _HEX),
    _shaped("huggingface-token", "hf_" + _MIXED + "abcd"),
    _shaped("github-token", "ghp_" + _MIXED + "abcd"),
    _shaped("github-token", "github_pat_" + _MIXED + "_" + _MIXED),
    _shaped("gitlab-token", "glpat-" + _MIXED[:20]),
    _shaped("slack-token", "xoxb-" + "123456789012-" + _MIXED),
    ("slack-webhook", "https://hooks.slack.com/services/T00/B00/" + _MIXED, "T00/B00/" + _MIXED),
    _shaped("stripe-key", "sk_" + "live_" + _MIXED),
    _shaped("google-key", "AIza" + _MIXED + "_-9"),
    _shaped("google-token", "ya29." + _MIXED),
    _shaped("aws-key", "AKIA" + "ABCDEFGH23456789"),
    ("aws-secret", "aws_secret_key = " + _MIXED + "/+abcdEF", _MIXED + "/+abcdEF"),
    ("azure-key", "AccountName=x;AccountKey=" + _MIXED + _MIXED + "==", _MIXED + _MIXED + "=="),
    _shaped("groq-key", "gsk_" + _MIXED + _MIXED),
    _shaped("npm-token", "npm_" + _MIXED + "abcd"),
    _shaped("pypi-token", "pypi-" + _MIXED + _MIXED),
    _shaped("sendgrid-key", "SG." + _MIXED[:22] + "." + _MIXED),
    _shaped("telegram-token", "123456789:AA" + _MIXED + "b"),
    _shaped("vault-token", "hvs." + _MIXED),
    _shaped("jwt", _JWT),
    _shaped("private-key", _pem("PRIVATE" + " KEY")),
    _shaped("private-key", _pem("RSA PRIVATE" + " KEY")),
    ("authorization", "Authorization: Basic dXNlcjpoZXNsbw==", "dXNlcjpoZXNsbw=="),
    ("authorization", "curl -H 'Authorization: Bearer opaque-token-0815' x", "opaque-token-0815"),
    ("authorization", "the header Bearer opaque.token.4711 works", "opaque.token.4711"),
    ("cookie", "Set-Cookie: session=0815abc; Path=/", "0815abc"),
    ("url-password", "postgresql://blog:hunter2@db.example/blog", "hunter2"),
    ("url-password", "see https://jo:p%40ss@example.com/x", "p%40ss"),
    ("url-parameter", "GET /v1/models?api_key=k3y-0f-mine&x=1", "k3y-0f-mine"),
    ("url-parameter", "https://example.com/?key=abcd1234", "abcd1234"),
    ("field", '{"api_key": "not by its form", "n": 1}', "not by its form"),
    ("field", "{'client_secret': 'not by its form'}", "not by its form"),
    ("setting", "export OPENAI_API_KEY=whatever-it-is", "whatever-it-is"),
    ("setting", 'password = "correct horse battery"', "correct horse battery"),
    ("setting", "X-Api-Key: 4f5e6d7c8b", "4f5e6d7c8b"),
]
