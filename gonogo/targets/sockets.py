"""Carries requests to a live service, with its token, and says what became of one that got no answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import requests

from gonogo.contract import Contract
from gonogo.errors import TargetError
from gonogo.model import Json
from gonogo.targets.http import Answer

__all__ = ["NoAnswer", "SocketTransport"]

_CONNECT = 5.0  # seconds


class NoAnswer(Exception):
    """A request got no answer; ``late`` where there was none in time, otherwise there was no connection or it broke."""

    def __init__(self, cause: str, *, late: bool) -> None:
        super().__init__(cause)
        self.late = late


class SocketTransport:
    """Carries requests to a service over HTTP, with the token of the contract, which never comes back out.

    Args:
        url: where the service is; the paths of the contract follow it.
        contract: token, timeout and authorities.
        environ: where the token is read.

    Raises:
        TargetError: the address is none, or the token is not there.
    """

    def __init__(self, url: str, contract: Contract, environ: Mapping[str, str]) -> None:
        self.url = url.rstrip("/")
        self._timeout = contract.timeout
        self._session = requests.Session()
        self._session.trust_env = False  # the options say where the service is; no proxy or password from elsewhere
        if contract.ca:
            if not Path(contract.ca).is_file():
                raise TargetError(
                    f"[target] ca: {contract.ca} is no file; write where the authorities' certificates are"
                )
            self._session.verify = contract.ca
        self._token = b""
        if contract.token_env:
            token = environ.get(contract.token_env, "").strip()  # a file's last line break comes along easily
            if not token:
                raise TargetError(
                    f"the environment variable {contract.token_env} ([target] token_env) is not set; put the token there"
                )
            if not (token.isascii() and token.isprintable()):  # whoever refuses it later would quote it
                raise TargetError(
                    f"the token in {contract.token_env} holds what no header may: write printable ASCII on one line"
                )
            self._token = token.encode()
            self._session.headers[contract.token_header] = contract.token_form.replace("{token}", token)

    def __call__(self, method: str, path: str, body: Json = None) -> Answer:
        """Send a request and wait for the answer; one that changes nothing is sent again where its connection broke.

        Raises:
            NoAnswer: there is none.
            TargetError: the certificate of the service is not to be trusted.
        """
        try:
            return self._send(method, path, body)
        except NoAnswer as error:
            if error.late or method != "GET":
                raise
        return self._send(method, path, body)

    def _send(self, method: str, path: str, body: Json) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            answer = self._session.request(
                method,
                self.url + path,
                data=content,
                headers=headers,
                timeout=(min(_CONNECT, self._timeout), self._timeout),
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as error:
            raise TargetError(
                f"{self.url}: its certificate is not to be trusted ({_cause(error)}); see [target] ca"
            ) from error
        except requests.Timeout as error:
            raise NoAnswer(f"no answer within {self._timeout:g} s", late=True) from error
        except requests.RequestException as error:
            raise NoAnswer(_cause(error), late=False) from error
        told = answer.content.replace(self._token, b"[token]") if self._token else answer.content
        return Answer(answer.status_code, told, {name.lower(): value for name, value in answer.headers.items()})

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _cause(error: BaseException) -> str:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}"
